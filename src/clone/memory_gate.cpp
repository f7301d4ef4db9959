#include "clone/memory_gate.hpp"

#include <algorithm>
#include <chrono>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "base/task_group.hpp"
#include "clone/report.hpp"
#include "lifecycle/await_guest.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::clone {
namespace {
struct GateEntries {
    std::vector<GateEntry> entries;
};
}  // namespace
}  // namespace ramet::clone

namespace ramet {

template <> const TypeInfo& describe<clone::GateEntries>() {
    static const TypeInfo info =
        object<clone::GateEntries>("GateEntries", "One per clone.", field<&clone::GateEntries::entries>("entries", "In the order of the names."));
    return info;
}

template <> const TypeInfo& describe<clone::GateEntry>() {
    using clone::GateEntry;
    static const TypeInfo info = object<GateEntry>(
        "GateEntry", "How a clone came by its identity.", field<&GateEntry::index>("index", "Which name."),
        field<&GateEntry::running_milliseconds>("runningMilliseconds", "From the request to the clone's first instruction."),
        field<&GateEntry::gate_milliseconds>("gateMilliseconds", "From there to its open links, without waiting for others."),
        field<&GateEntry::error>("error", "Why it was not let through."), field<&GateEntry::error_detail>("errorDetail", "For the operator."),
        field<&GateEntry::facts>("facts", "What was changed and what was kept."));
    return info;
}

}  // namespace ramet

namespace ramet::clone {

using store::Transaction;
using workflow::Output;
using workflow::StepContext;

namespace {

constexpr std::size_t kGatesAtOnce = 8;                            // they wait for guests most of the time
constexpr std::chrono::milliseconds kGatePatience{60'000};         // SSH keys on a slow machine
constexpr std::chrono::milliseconds kGatePatiencePerClone{3'000};  // each of many guests has a smaller share of the machine

std::string entries_json(const std::vector<GateEntry>& entries) {
    std::string text;
    for (const GateEntry& entry : entries) text += (text.empty() ? "[" : ",") + api::to_json(entry);
    return text.empty() ? "[]" : text + "]";
}

std::int64_t prefix_length_of(const std::string& netmask) {
    std::int64_t length = 0;
    std::size_t place = 0;
    while (place < netmask.size()) {
        std::size_t used = 0;
        const int part = std::atoi(netmask.c_str() + place);
        for (int bit = 128; bit > 0; bit /= 2) length += (part & bit) != 0 ? 1 : 0;
        used = netmask.find('.', place);
        if (used == std::string::npos) break;
        place = used + 1;
    }
    return length > 0 ? length : 24;
}

Result<guest::GateRequest> request_for(Transaction& transaction, const VmId& vm, const MemoryImageId& memory, bool taps) {
    TRY_ASSIGN(const lifecycle::VmRows rows, lifecycle::load_vm(transaction, vm));
    TRY_ASSIGN(const MemoryImage image, store::get<MemoryImage>(transaction, memory.text()));
    TRY_ASSIGN(const hypervisor::DomainSpec domain, lifecycle::domain_spec(transaction, rows, "", taps));
    guest::GateRequest request{vm, vm.text(), rows.host_name, {}, image.agent};
    if (image.source_macs.size() != domain.nics.size()) return fail(ErrorCode::internal, "the memory image knows other NICs than the clone has");
    for (std::size_t i = 0; i < domain.nics.size(); ++i) {
        request.nics.push_back({domain.nics[i], image.source_macs[i], prefix_length_of(domain.nics[i].netmask)});
    }
    return request;
}

}  // namespace

std::optional<Error> gate_error(const std::string& output, std::size_t index) {
    if (output.empty()) return std::nullopt;
    const Result<GateEntries> read = api::from_json<GateEntries>("{\"entries\":" + output + "}");
    if (!read.has_value()) return std::nullopt;
    for (const GateEntry& entry : read->entries) {
        if (entry.index == static_cast<std::int64_t>(index) && entry.error)
            return Error{ErrorCode::operation_failed, *entry.error, entry.error_detail.value_or(""), nullptr, {}};
    }
    return std::nullopt;
}

Result<void> MemoryGate::pass(const VmId& vm, GateEntry& entry, const std::stop_token& stop) {
    IdentityState identity = IdentityState::pending;
    if (plan_.keep_identity) {
        entry.facts.push_back({"identity", "kept", "as was asked for; every link is down"});
        TRY_ASSIGN(const MemoryImage image, store::read(parts_.database(), [&](Transaction& transaction) {
                       return store::get<MemoryImage>(transaction, memory_of(plan_, job_).text());
                   }));
        identity = image.agent ? IdentityState::given : IdentityState::pending;  // nothing is given: what the guest has is read back
    } else {
        TRY_ASSIGN(const guest::GateRequest request, store::read(parts_.database(), [&](Transaction& transaction) {
                       return request_for(transaction, vm, memory_of(plan_, job_), parts_.shared.plumbing.privileged());
                   }));
        const std::chrono::milliseconds needed = kGatePatience + static_cast<int>(plan_.clones.size()) * kGatePatiencePerClone;
        const std::chrono::milliseconds patience = std::min<std::chrono::milliseconds>(needed, std::chrono::seconds(plan_.wait_seconds));
        TRY_ASSIGN(entry.facts, guest::pass_instant_gate(parts_.hypervisor, request, patience, stop));
        // A guest whose agent was silent in the source is given its identity when it answers one day.
        identity = request.agent ? IdentityState::given : IdentityState::pending;
    }
    TRY(lifecycle::AwaitGuest(parts_, vm, plan_.wait_for, std::chrono::seconds(plan_.wait_seconds)).wait(stop));
    crash_point("gate-passed");
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance row, store::get<VmInstance>(transaction, vm.text()));
        row.owner_job_uuid.reset();
        row.identity_state = identity;
        return store::update(transaction, row);
    });
}

struct MemoryGate::Waiting {
    VmId vm;
    bool runs = false;
    GateEntry entry;
    std::optional<Error> left{};  // it was not let through, and could not be removed either
};

// All that is the job's still: also what ended before its turn, and what an earlier run of this step was removing when the server died.
Result<std::vector<MemoryGate::Waiting>> MemoryGate::waiting_clones() {
    return store::read(parts_.database(), [&](Transaction& transaction) -> Result<std::vector<Waiting>> {
        std::vector<Waiting> waiting;
        TRY_ASSIGN(const std::optional<Job> job, store::find<Job>(transaction, {{"uuid", job_.text()}}));
        for (std::size_t i = 0; i < plan_.clones.size(); ++i) {
            TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", clone_uuid(job_, i).text()}}));
            if (!vm || vm->owner_job_uuid != job_) continue;  // undone, or through already
            TRY_ASSIGN(const std::int64_t stuck, store::count<JobStep>(transaction, {{"jobUuid", job_.text()},
                                                                                     {"branch", std::to_string(i)},
                                                                                     {"status", std::string(name_of(StepStatus::stuck))}}));
            if (stuck > 0) continue;  // an operator decides
            Waiting one{vm->uuid, vm->state == VmState::running, {}};
            one.entry.index = static_cast<std::int64_t>(i);
            if (job) one.entry.running_milliseconds = vm->last_op_date.milliseconds - job->create_date.milliseconds;
            waiting.push_back(std::move(one));
        }
        return waiting;
    });
}

void MemoryGate::pass_or_remove(Waiting& one, const std::stop_token& stop) {
    const auto begun = std::chrono::steady_clock::now();
    if (one.runs) parts_.hypervisor.in_background(one.vm, false);
    Result<void> passed = fail(ErrorCode::operation_failed, "it ended before it had an identity of its own");
    if (stop.stop_requested())
        passed = fail(ErrorCode::cancelled, "cancelled");
    else if (one.runs)
        passed = pass(one.vm, one.entry, stop);
    one.entry.gate_milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count();
    if (passed.has_value()) return;
    telemetry::log_warning("VM {}: {} ({})", one.vm.text(), passed.error().message, passed.error().detail);
    one.entry.error = passed.error().message;
    one.entry.error_detail = passed.error().detail;
    Result<void> removed = lifecycle::demolish_vm(parts_, one.vm);
    for (std::size_t tried = 1; !removed.has_value() && tried < limits::kStepRetryMax; ++tried) removed = lifecycle::demolish_vm(parts_, one.vm);
    if (!removed.has_value()) one.left = removed.error();
}

Result<Output> MemoryGate::run(StepContext& step) {
    TRY_ASSIGN(std::vector<Waiting> waiting, waiting_clones());
    for_each_parallel(waiting.size(), kGatesAtOnce, [&](std::size_t index) { pass_or_remove(waiting[index], step.stop()); });
    if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
    for (const Waiting& one : waiting) {
        const std::string& name = plan_.clones[static_cast<std::size_t>(one.entry.index)].name;
        if (one.left) return error_of_clone(name, *one.left);  // the job's undo tries again, and is stuck for all to see if that fails too
        if (!plan_.atomic || !one.entry.error) continue;
        return error_of_clone(name, Error{ErrorCode::operation_failed, *one.entry.error, one.entry.error_detail.value_or(""), nullptr, {}});
    }
    TRY(lifecycle::disown_memory_image(parts_, job_));
    parts_.identity_keeper.notice();  // what the guests have now is read back
    std::vector<GateEntry> entries;
    entries.reserve(waiting.size());
    for (Waiting& one : waiting) entries.push_back(std::move(one.entry));
    return entries_json(entries);
}

Result<void> MemoryGate::undo(StepContext&) { return {}; }  // the clones' own steps remove them

}  // namespace ramet::clone
