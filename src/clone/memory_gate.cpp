#include "clone/memory_gate.hpp"

#include <algorithm>
#include <chrono>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "base/task_group.hpp"
#include "clone/report.hpp"
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

constexpr std::size_t kGatesAtOnce = 8;                     // they wait for guests most of the time
constexpr std::chrono::milliseconds kGatePatience{60'000};  // SSH keys on a slow machine

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
    if (plan_.keep_identity) {
        entry.facts.push_back({"identity", "kept", "as was asked for; every link is down"});
    } else {
        TRY_ASSIGN(const guest::GateRequest request, store::read(parts_.database(), [&](Transaction& transaction) {
                       return request_for(transaction, vm, memory_of(plan_, job_), parts_.shared.plumbing.privileged());
                   }));
        const std::chrono::milliseconds patience = std::min<std::chrono::milliseconds>(kGatePatience, std::chrono::seconds(plan_.wait_seconds));
        TRY_ASSIGN(entry.facts, guest::pass_instant_gate(parts_.hypervisor, request, patience, stop));
    }
    crash_point("gate-passed");
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance row, store::get<VmInstance>(transaction, vm.text()));
        row.owner_job_uuid.reset();
        row.identity_state = IdentityState::own;
        return store::update(transaction, row);
    });
}

Result<Output> MemoryGate::run(StepContext& step) {
    struct Waiting {
        VmId vm;
        GateEntry entry;
    };
    std::vector<Waiting> waiting;
    TRY(parts_.database().read([&](Transaction& transaction) -> Result<void> {
        waiting.clear();
        TRY_ASSIGN(const std::optional<Job> job, store::find<Job>(transaction, {{"uuid", job_.text()}}));
        for (std::size_t i = 0; i < plan_.clones.size(); ++i) {
            TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", clone_uuid(job_, i).text()}}));
            if (!vm || vm->owner_job_uuid != job_ || vm->state != VmState::running) continue;  // undone, or through already
            GateEntry entry;
            entry.index = static_cast<std::int64_t>(i);
            if (job) entry.running_milliseconds = vm->last_op_date.milliseconds - job->create_date.milliseconds;
            waiting.push_back({vm->uuid, std::move(entry)});
        }
        return {};
    }));
    for_each_parallel(waiting.size(), kGatesAtOnce, [&](std::size_t index) {
        Waiting& one = waiting[index];
        const auto begun = std::chrono::steady_clock::now();
        Result<void> passed =
            step.stop().stop_requested() ? Result<void>(fail(ErrorCode::cancelled, "cancelled")) : pass(one.vm, one.entry, step.stop());
        one.entry.gate_milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count();
        if (passed.has_value()) return;
        telemetry::log_warning("VM {}: {} ({})", one.vm.text(), passed.error().message, passed.error().detail);
        one.entry.error = passed.error().message;
        one.entry.error_detail = passed.error().detail;
        const Result<void> removed = lifecycle::demolish_vm(parts_, one.vm);
        if (!removed.has_value()) telemetry::log_error("VM {}: {} ({})", one.vm.text(), removed.error().message, removed.error().detail);
    });
    if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
    for (const Waiting& one : waiting) {
        if (!plan_.atomic || !one.entry.error) continue;
        const std::string& name = plan_.clones[static_cast<std::size_t>(one.entry.index)].name;
        return error_of_clone(name, Error{ErrorCode::operation_failed, *one.entry.error, one.entry.error_detail.value_or(""), nullptr, {}});
    }
    TRY(lifecycle::disown_memory_image(parts_, job_));
    std::vector<GateEntry> entries;
    for (Waiting& one : waiting) entries.push_back(std::move(one.entry));
    return entries_json(entries);
}

Result<void> MemoryGate::undo(StepContext&) { return {}; }  // the clones' own steps remove them

}  // namespace ramet::clone
