#include "lifecycle/revert_memory.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Output;
using workflow::StepContext;

namespace {

constexpr std::chrono::milliseconds kGuestPatience{20'000};  // for a guest's agent; the revert is none the worse without
constexpr std::string_view kDisksAlone = "or revert the volumes one by one, for the disks alone";

std::optional<std::string> size_obstacle(const VmInstance& kept, const VmInstance& now) {
    if (kept.cpu_num == now.cpu_num && kept.memory_size == now.memory_size) return std::nullopt;
    return fmt::format("the VM instance had cpuNum {} and memorySize {} then, and has {} and {} now; set them back by UpdateVmInstance, {}",
                       kept.cpu_num, kept.memory_size, now.cpu_num, now.memory_size, kDisksAlone);
}

bool is_same_card(const VmNic& kept, const VmNic& now) {
    return kept.mac == now.mac && kept.ip == now.ip && kept.l3_network_uuid == now.l3_network_uuid && kept.driver_type == now.driver_type &&
           kept.multi_queue_num == now.multi_queue_num;
}

std::optional<std::string> nic_obstacle(const std::vector<VmNic>& kept, const std::vector<VmNic>& now) {
    for (const VmNic& nic : kept) {
        const auto same = std::ranges::find(now, nic.device_id, &VmNic::device_id);
        if (same == now.end())
            return fmt::format("NIC {} (MAC {}), which the guest's memory knows, is not there any more; give it back, {}", nic.device_id, nic.mac,
                               kDisksAlone);
        if (!is_same_card(nic, *same))
            return fmt::format("NIC {} was another when the group was taken (MAC {}, address {}); give it back what it had, {}", nic.device_id,
                               nic.mac, nic.ip.value_or("none"), kDisksAlone);
    }
    for (const VmNic& nic : now) {
        if (std::ranges::find(kept, nic.device_id, &VmNic::device_id) == kept.end())
            return fmt::format("NIC {} (MAC {}) came after the group was taken; take it out, {}", nic.device_id, nic.mac, kDisksAlone);
    }
    return std::nullopt;
}

std::vector<std::string> firmware_tags(const std::vector<std::string>& tags) {
    std::vector<std::string> found;
    for (const std::string& tag : tags)
        if (tag.starts_with(kBootModeTag) || tag == kTpmTag) found.push_back(tag);
    std::ranges::sort(found);
    return found;
}

Result<std::optional<std::string>> place_obstacle(Transaction& transaction, const SnapshotGroupId& group) {
    TRY_ASSIGN(const std::vector<VolumeSnapshotGroupRef> refs,
               store::list<VolumeSnapshotGroupRef>(transaction, {{"volumeSnapshotGroupUuid", group.text()}}));
    for (const VolumeSnapshotGroupRef& ref : refs) {
        TRY_ASSIGN(const std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", ref.volume_uuid.text()}}));
        if (!volume || volume->device_id.value_or(0) == ref.device_id) continue;
        return std::optional<std::string>{
            fmt::format("volume '{}' was the VM instance's disk {} then and is {} now; detach the data volumes and attach "
                        "them in the order they had, {}",
                        volume->name, ref.device_id, volume->device_id.value_or(0), kDisksAlone)};
    }
    return std::optional<std::string>{};
}

struct KeptMemory {
    std::optional<std::string> obstacle;
    std::optional<std::string> layout;
};

std::string facts_json(const std::vector<guest::GateFact>& facts) {
    std::string text;
    for (const guest::GateFact& fact : facts) text += (text.empty() ? "[" : ",") + api::to_json(fact);
    return text.empty() ? "[]" : text + "]";
}

}  // namespace

Result<std::optional<std::string>> memory_obstacle_in_rows(Transaction& transaction, const SnapshotGroupId& uuid) {
    TRY_ASSIGN(const VolumeSnapshotGroup group, store::get<VolumeSnapshotGroup>(transaction, uuid.text()));
    if (!group.memory_image_uuid || !group.machine) return std::optional<std::string>{};
    TRY_ASSIGN(const std::optional<MemoryImage> image, store::find<MemoryImage>(transaction, {{"uuid", group.memory_image_uuid->text()}}));
    if (!image || !require_usable(*image).has_value())
        return std::optional<std::string>{"the memory that was kept is damaged or gone; ungroup it and revert the volumes one by one"};
    TRY_ASSIGN(const KeptMachine kept, api::from_json<KeptMachine>(*group.machine));
    TRY_ASSIGN(const VmRows now, load_vm(transaction, group.vm_instance_uuid));
    TRY_ASSIGN(const std::vector<std::string> tags, system_tags_of(transaction, group.vm_instance_uuid.text()));
    std::optional<std::string> obstacle = size_obstacle(kept.vm, now.vm);
    if (!obstacle) obstacle = nic_obstacle(kept.nics, now.nics);
    if (!obstacle && firmware_tags(kept.system_tags) != firmware_tags(tags))
        obstacle =
            fmt::format("the VM instance had another boot mode, or a TPM, when the group was taken; set its system tags back, {}", kDisksAlone);
    return obstacle ? Result<std::optional<std::string>>(std::move(obstacle)) : place_obstacle(transaction, uuid);
}

Result<std::optional<std::string>> memory_obstacle(Parts& parts, const SnapshotGroupId& group) {
    TRY_ASSIGN(KeptMemory kept, store::read(parts.database(), [&](Transaction& transaction) -> Result<KeptMemory> {
                   KeptMemory found;
                   TRY_ASSIGN(found.obstacle, memory_obstacle_in_rows(transaction, group));
                   TRY_ASSIGN(const VolumeSnapshotGroup row, store::get<VolumeSnapshotGroup>(transaction, group.text()));
                   if (found.obstacle || !row.memory_image_uuid) return found;
                   TRY_ASSIGN(const MemoryImage image, store::get<MemoryImage>(transaction, row.memory_image_uuid->text()));
                   found.layout = image.layout;
                   return found;
               }));
    if (kept.obstacle || !kept.layout) return std::move(kept.obstacle);
    const Result<void> fits = parts.hypervisor.memory_fits(*kept.layout);
    if (fits.has_value()) return std::optional<std::string>{};
    if (fits.error().code != ErrorCode::operation_failed) return std::unexpected<Error>(fits.error());
    return std::optional<std::string>{fits.error().message + ", " + std::string(kDisksAlone)};
}

Result<void> put_firmware_aside(Parts& parts, const VmId& vm, const JobId& job) {
    FirmwareCapture aside(parts, job.text(), vm, "copy");
    TRY_ASSIGN(const bool needed, aside.needed());
    if (!needed) return {};
    TRY(aside.take());
    return aside.persist();
}

Result<void> forget_firmware_aside(Parts& parts, const JobId& job) { return remove_firmware(parts.shared.data_dir, job.text()); }

namespace {

Result<void> put_firmware_back(Parts& parts, const VmId& vm, const JobId& job) {
    FirmwareCapture aside(parts, job.text(), vm, "copy");
    TRY_ASSIGN(const bool taken, aside.taken());
    if (!taken) return {};
    TRY(remove_firmware(parts.shared.data_dir, vm.text()));
    return aside.give_to(vm);
}

}  // namespace

// The intent: the VM is the job's, and one of the image's users.
Result<void> ResumeReverted::begin(const JobId& job) {
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, wanted_.vm.text()));
        if (vm.owner_job_uuid == job) return {};  // this step, run again
        TRY(require_state(ErrorCode::operation_failed, vm, "RevertVmFromSnapshotGroup", {VmState::stopped}, job));
        TRY_ASSIGN(const std::optional<std::string> obstacle, memory_obstacle_in_rows(transaction, wanted_.group));
        if (obstacle) return fail(ErrorCode::operation_failed, "the VM instance cannot go on from the memory of this group: " + *obstacle);
        TRY(reserve_memory_user(transaction, wanted_.vm, wanted_.image));
        vm.owner_job_uuid = job;
        return set_vm_state(transaction, std::move(vm), VmState::starting, parts_.now());
    });
}

Result<std::vector<guest::GateFact>> ResumeReverted::go_on(const std::stop_token& stop) {
    TRY(place_vm(parts_, {wanted_.vm}));
    TRY_ASSIGN(const MemoryImage image, use_memory_image(parts_, wanted_.vm, wanted_.image));
    TRY_ASSIGN(const hypervisor::DomainState state, parts_.hypervisor.state(wanted_.vm));
    // An earlier run may have written to them and have ended since: disks and memory would be of two instants.
    if (state == hypervisor::DomainState::shut_off) TRY(wanted_.empty_tops());
    TRY(start_domain_from_memory(parts_, wanted_.vm, image, 1, &wanted_.to));
    crash_point("revert-resumed");
    TRY(plug_domain(parts_, wanted_.vm));
    return guest::wake_in_the_present(parts_.hypervisor, wanted_.vm, image.agent, kGuestPatience, stop);
}

Result<Output> ResumeReverted::run(StepContext& step) {
    if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
    TRY(begin(step.job()));
    crash_point("revert-begun");
    Result<std::vector<guest::GateFact>> facts = go_on(step.stop());
    if (facts.has_value()) return facts_json(*facts);
    if (facts.error().code == ErrorCode::cancelled) return std::unexpected(std::move(facts.error()));
    return caused(ErrorCode::operation_failed, "the VM instance cannot go on from the memory of this group; it is Stopped, with the disks it had",
                  std::move(facts.error()));
}

Result<void> ResumeReverted::undo(StepContext& step) {
    TRY_ASSIGN(const std::optional<VmInstance> vm, store::read(parts_.database(), [&](Transaction& transaction) {
                   return store::find<VmInstance>(transaction, {{"uuid", wanted_.vm.text()}});
               }));
    if (!vm || vm->owner_job_uuid != step.job()) return {};
    const bool went_back = vm->state != VmState::starting;  // the volumes have gone over: a later step failed, and there is no way back
    if (!went_back) {
        TRY(stop_domain(parts_, wanted_.vm, hypervisor::StopMode::cold, {}));
        TRY(put_firmware_back(parts_, wanted_.vm, step.job()));
    }
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance row, store::get<VmInstance>(transaction, wanted_.vm.text()));
        row.owner_job_uuid.reset();
        if (went_back) return store::update(transaction, row);
        row.host_uuid.reset();
        return set_vm_state(transaction, std::move(row), VmState::stopped, parts_.now());
    });
}

Result<void> open_links(Parts& parts, const VmId& id, const JobId& job) {
    TRY_ASSIGN(const VmRows rows, store::read(parts.database(), [&](Transaction& transaction) { return load_vm(transaction, id); }));
    if (rows.vm.owner_job_uuid != job) return {};  // this step, run again
    TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(id));
    const bool is_on = state != hypervisor::DomainState::shut_off;
    for (const VmNic& nic : rows.nics) {
        if (!is_on || nic.state != NicState::enable) continue;
        Result<void> up = parts.hypervisor.set_link(id, nic.uuid, true);
        if (!up.has_value())
            return caused(ErrorCode::operation_failed,
                          fmt::format("the VM instance was taken back and runs, and the link of NIC {} stays down; enable it by ChangeVmNicState",
                                      nic.device_id),
                          std::move(up.error()));
    }
    crash_point("revert-links-up");
    TRY(forget_firmware_aside(parts, job));
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
        vm.owner_job_uuid.reset();
        vm.identity_state = IdentityState::pending;  // it may have been given another name since; what the guest has is read back
        return store::update(transaction, vm);
    }));
    parts.identity_keeper.notice();
    return is_on ? Result<void>() : vm_exited(parts, id);
}

}  // namespace ramet::lifecycle
