// What CloneVmInstance would do: everything up to the reservation is done in earnest, then the reservation is rolled back.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <thread>

#include "api/json.hpp"
#include "clone/capture.hpp"
#include "clone/clone_vm.hpp"
#include "clone/make_plan.hpp"
#include "clone/report.hpp"
#include "clone/reserve.hpp"
#include "clone/tell_memory.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/shorten.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;

namespace {

constexpr double kMillisecondsPerClone = 3;      // rows, files, commits
constexpr double kMillisecondsPerExtent = 0.02;  // of a reflink, as measured on XFS
constexpr double kMillisecondsPerResume = 40;    // a process that loads the captured state
// A guest's own work on its identity keeps a processor busy: emulated, as measured; with KVM a guess, for there was none to measure with.
constexpr double kGateMillisecondsEmulated = 1000, kGateMillisecondsKvm = 200;

struct Foreseen {
    Reserved reserved;
    std::int64_t start_bytes = 0;  // that the start of each clone writes
};

// The reservation as it would be; nothing of it stays.
Result<Foreseen> reserve_and_roll_back(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message,
                                       const PreparedClone& prepared) {
    std::optional<Foreseen> foreseen;
    const Result<void> rolled_back = parts.database().write([&](Transaction& transaction) -> Result<void> {
        foreseen.reset();  // the database may try again
        TRY(lifecycle::require_room(transaction, prepared.room, wanted_room(prepared)));
        TRY_ASSIGN(Reserved made, reserve(transaction, request, message, prepared.checked, prepared.plan, parts.now()));
        // The seeds of all have the same blocks: what differs in them has the same length, or nearly so.
        std::int64_t start_bytes = 0;
        if (prepared.plan.strategy == lifecycle::Strategy::instant_start && !made.vms.empty()) {
            TRY_ASSIGN(start_bytes, lifecycle::bytes_of_start(transaction, made.vms.front().vm.uuid));
        }
        foreseen = Foreseen{std::move(made), start_bytes};
        return fail(ErrorCode::cancelled, "a dry run keeps nothing");
    });
    if (foreseen) return std::move(*foreseen);
    if (!rolled_back.has_value()) return std::unexpected(rolled_back.error());
    return fail(ErrorCode::internal, "a dry run was committed");
}

api::ErrorInventory error_inventory(const std::string& name, const std::string& refusal) {
    const Error error = error_of_clone(name, Error{ErrorCode::no_host, refusal, {}, nullptr, {}});
    return api::from_json<api::ErrorInventory>(api::error_object(error)).value_or(api::ErrorInventory{"", "", error.message});
}

std::vector<api::PlannedCloneInventory> clones_of(const Reserved& reserved) {
    std::vector<api::PlannedCloneInventory> clones;
    auto vm = reserved.vms.begin();
    for (const PlannedClone& planned : reserved.plan.clones) {
        api::PlannedCloneInventory clone;
        clone.name = planned.name;
        if (planned.refusal) {
            clone.error = error_inventory(planned.name, *planned.refusal);
        } else {
            clone.host_uuid = vm->vm.last_host_uuid;
            for (const lifecycle::NicBlueprint& nic : vm->nics) clone.nics.push_back({nic.nic.l3_network_uuid, nic.nic.mac, nic.nic.ip});
            ++vm;
        }
        clones.push_back(std::move(clone));
    }
    return clones;
}

// From memory: what is captured, then each clone's start and its guest's work on its identity, as many at a time as there are processors.
double estimate_going_on(lifecycle::Parts& parts, const Reserved& reserved, api::CloneVmInstancePlan& told) {
    const auto clones = static_cast<double>(reserved.vms.size());
    const std::string& accelerator = parts.hypervisor.capabilities().accelerator;
    const double gate = reserved.plan.keep_identity ? 0 : accelerator == "kvm" ? kGateMillisecondsKvm : kGateMillisecondsEmulated;
    const double processors = std::max(1U, std::thread::hardware_concurrency());
    told.estimate_basis +=
        fmt::format("; {} ms for the memory, {} ms per clone to go on from it, {} ms of a processor for its identity ({}, {} processors)",
                    told.memory->estimated_milliseconds, kMillisecondsPerResume, gate, accelerator, processors);
    return static_cast<double>(told.memory->estimated_milliseconds) + clones * kMillisecondsPerResume + gate * std::ceil(clones / processors);
}

// Copies onto one storage take turns at its speed; storages work side by side, and a limit holds for all.
Result<void> estimate_time(lifecycle::Parts& parts, const Reserved& reserved, api::CloneVmInstancePlan& told) {
    const auto clones = static_cast<double>(reserved.vms.size());
    double milliseconds = kMillisecondsPerClone * clones;
    double all_bytes = 0;
    std::map<PrimaryStorageId, double> bytes_on;
    for (const PlannedVolume& volume : reserved.plan.volumes) {
        if (volume.mode == lifecycle::LayerMode::reflink) milliseconds += kMillisecondsPerExtent * clones * static_cast<double>(volume.extents);
        if (volume.mode != lifecycle::LayerMode::copy) continue;
        bytes_on[volume.storage] += clones * static_cast<double>(volume.data_bytes);
        all_bytes += clones * static_cast<double>(volume.data_bytes);
    }
    told.estimate_basis = fmt::format("{} ms per clone", kMillisecondsPerClone);
    double longest = 0;
    for (const auto& [uuid, bytes] : bytes_on) {
        TRY_ASSIGN(const PrimaryStorage row,
                   store::read(parts.database(), [&](Transaction& transaction) { return store::get<PrimaryStorage>(transaction, uuid.text()); }));
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(row.url));
        TRY_ASSIGN(const storage::CopySpeed speed, storage->copy_speed());
        longest = std::max(longest, 1000 * bytes / static_cast<double>(speed.bytes_per_second));
        told.estimate_basis += fmt::format("; {} MB/s on storage '{}' ({})", speed.bytes_per_second / 1'000'000, row.name, speed.basis);
    }
    if (reserved.plan.bandwidth && all_bytes > 0) {
        longest = std::max(longest, 1000 * all_bytes / static_cast<double>(*reserved.plan.bandwidth));
        told.estimate_basis += fmt::format("; bandwidth {} bytes/s", *reserved.plan.bandwidth);
    }
    if (told.memory) milliseconds += estimate_going_on(parts, reserved, told);
    told.estimated_milliseconds = std::llround(milliseconds + longest);
    return {};
}

Result<void> tell_capture(lifecycle::Parts& parts, const lifecycle::Request& request, const PreparedClone& prepared, api::CloneVmInstancePlan& told) {
    const ClonePlan& plan = prepared.plan;
    if (plan.kept) {
        told.capture = "the clones are made from kept layers: no source is touched";
        return {};
    }
    if (plan.memory) {  // always cut: its disks have to be of the memory's instant
        told.capture = "the source's disks and memory are captured at one instant, and the disks go on with new layers";
    } else {
        TRY_ASSIGN(const bool reuses, Capture(parts, request.job, plan).would_reuse());
        told.capture = reuses ? "nothing was written since the last capture: the source is not touched"
                              : "the source's disks are captured at one instant and go on with new layers";
        if (reuses) return {};
    }
    told.capture_bytes_to_write = static_cast<std::int64_t>(plan.volumes.size()) * storage::kOverlayFileBytes;
    for (const PlannedVolume& volume : plan.volumes) {
        const bool on = prepared.checked.source.vm.state != VmState::stopped;
        TRY_ASSIGN(const std::int64_t bytes, lifecycle::bytes_to_make_room(parts, volume.source, on));
        told.merge_bytes_to_write += bytes;
    }
    return {};
}

// Whose firmware state each clone gets a copy of; empty: nobody's.
std::string keeper_of_firmware(const ClonePlan& plan) {
    if (plan.checkpoint) return plan.checkpoint->text();
    return plan.kept ? std::string() : plan.source.text();
}

std::int64_t sum_of_bytes(const Reserved& reserved, const api::CloneVmInstancePlan& told) {
    std::int64_t each = told.start_bytes_to_write + told.firmware_bytes_to_write;
    for (const PlannedVolume& volume : reserved.plan.volumes) each += volume.file_bytes;
    return told.capture_bytes_to_write + told.merge_bytes_to_write + (told.memory ? told.memory->bytes_to_write : 0) +
           std::ssize(reserved.vms) * each;
}

}  // namespace

Result<std::string> dry_run(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message) {
    TRY_ASSIGN(const PreparedClone prepared, prepare(parts, request, message));
    TRY_ASSIGN(const Foreseen foreseen, reserve_and_roll_back(parts, request, message, prepared));
    const Reserved& reserved = foreseen.reserved;
    api::CloneVmInstancePlan told;
    TRY(tell_capture(parts, request, prepared, told));
    for (const PlannedVolume& volume : reserved.plan.volumes) {
        told.volumes.push_back({volume.source, volume.type, std::string(strategy_of(volume)), volume.reason,
                                volume.thick ? "ThickProvisioning" : "ThinProvisioning", volume.storage, volume.file_bytes});
    }
    if (prepared.plan.memory) { TRY_ASSIGN(told.memory, tell_memory(parts, prepared.checked, prepared.plan)); }
    told.start_bytes_to_write = foreseen.start_bytes;
    told.firmware_bytes_to_write = lifecycle::firmware_bytes(parts.shared.data_dir, keeper_of_firmware(prepared.plan), prepared.plan.tpm_policy,
                                                             prepared.checked.vm_tags, prepared.plan.strategy == lifecycle::Strategy::instant_start);
    told.bytes_to_write = sum_of_bytes(reserved, told);
    told.clones = clones_of(reserved);
    TRY(estimate_time(parts, reserved, told));
    api::CloneVmInstanceResults results;
    results.plan = std::move(told);
    return "{\"result\":" + api::to_json(results) + "}";
}

}  // namespace ramet::clone
