#include "lifecycle/await_guest.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"
#include "workflow/journal.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Output;
using workflow::StepContext;

namespace {

constexpr std::chrono::milliseconds kLookPause{250};
constexpr std::chrono::milliseconds kAgentPatience{300};      // of one look; a guest that boots says nothing
constexpr std::chrono::milliseconds kCancelPatience{10'000};  // for a start that is cancelled

}  // namespace

Result<Output> AwaitGuest::run(StepContext& step) {
    const auto now = std::chrono::steady_clock::now();
    if (!deadline_) deadline_ = now + patience_;
    if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
    TRY_ASSIGN(const Look found, look());
    if (found.seen) return Output{};
    if (now >= *deadline_) return given_up(found);
    step.come_back(kLookPause);
    return Output{};
}

Result<void> AwaitGuest::wait(const std::stop_token& stop) {
    const auto deadline = std::chrono::steady_clock::now() + patience_;
    while (true) {
        TRY_ASSIGN(const Look found, look());
        if (found.seen) return {};
        if (std::chrono::steady_clock::now() >= deadline) return given_up(found);
        if (!workflow::pause(kLookPause, stop)) return fail(ErrorCode::cancelled, "cancelled");
    }
}

Error AwaitGuest::given_up(const Look& found) const {
    return Error{ErrorCode::timeout,
                 fmt::format("waitFor '{}': {} within {} s; look at its console, or wait longer with waitForSeconds", name_of(what_), found.missing,
                             patience_.count()),
                 {},
                 nullptr,
                 {}};
}

Result<AwaitGuest::Look> AwaitGuest::look() {
    TRY_ASSIGN(const hypervisor::DomainState domain, parts_.hypervisor.state(vm_));
    if (domain == hypervisor::DomainState::shut_off) return fail(ErrorCode::start_failed, "the VM ended while its guest was waited for");
    switch (what_) {
    case WaitFor::created:
    case WaitFor::running: return Look{true, {}};
    case WaitFor::agent: return Look{parts_.hypervisor.agent_ping(vm_, kAgentPatience).has_value(), "the guest agent did not answer"};
    case WaitFor::ip: return look_for_address();
    }
    return Look{true, {}};
}

Result<AwaitGuest::Look> AwaitGuest::look_for_address() {
    TRY_ASSIGN(const VmRows rows, store::read(parts_.database(), [&](Transaction& transaction) { return load_vm(transaction, vm_); }));
    auto nic = std::ranges::find_if(rows.nics, [&](const VmNic& candidate) { return candidate.l3_network_uuid == rows.vm.default_l3_network_uuid; });
    if (nic == rows.nics.end()) nic = rows.nics.begin();
    if (nic == rows.nics.end() || !nic->ip || nic->state == NicState::disable) {
        return fail(ErrorCode::operation_failed, "waitFor 'ip': the clone has no address of ours on a NIC that is up; wait for 'agent' instead");
    }
    const Result<std::vector<std::string>> reported = parts_.hypervisor.agent_addresses(vm_, kAgentPatience);
    if (reported.has_value() && std::ranges::find(*reported, *nic->ip) != reported->end()) return Look{true, {}};
    TRY_ASSIGN(const bool answers, parts_.shared.plumbing.answers(port_spec(rows, *nic)));
    return Look{answers, fmt::format("nothing answered on {}, nor did the guest agent report that address", *nic->ip)};
}

Result<Output> AskStart::run(StepContext& step) {
    const JobId id = start_job(step);
    TRY_ASSIGN(const std::optional<Job> asked,
               store::read(parts_.database(), [&](Transaction& transaction) { return store::find<Job>(transaction, {{"uuid", id.text()}}); }));
    if (asked) {  // this step, run again
        TRY(parts_.shared.engine.start(*asked));
        return Output{};
    }
    TRY_ASSIGN(const Job making,
               store::read(parts_.database(), [&](Transaction& transaction) { return store::get<Job>(transaction, step.job().text()); }));
    Request request;
    request.caller.account = making.account_uuid;
    request.job = id;
    api::StartVmInstance message;
    message.uuid = vm_;
    const JobOrder order{"start-vm", "StartVmInstance", vm_.text(), api::to_json(message, api::Audience::storage)};
    TRY(submit(parts_, request, order, [&](Transaction& transaction, Job&) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, vm_.text()));
        vm.owner_job_uuid.reset();
        return set_vm_state(transaction, std::move(vm), VmState::stopped, parts_.now());
    }));
    return Output{};
}

Result<void> AskStart::undo(StepContext& step) {
    const JobId id = start_job(step);
    const Result<void> cancelled = parts_.shared.engine.cancel(id);
    if (!cancelled.has_value() && cancelled.error().code == ErrorCode::not_found) return {};
    TRY_ASSIGN(const Job job, parts_.shared.engine.wait(id, kCancelPatience));
    if (job.finish_date) return {};
    return fail(ErrorCode::timeout, "the start of the clone that is being removed does not end", "job " + id.text());
}

std::vector<std::unique_ptr<workflow::Step>> start_steps(Parts& parts, const VmId& vm, WaitFor what, std::chrono::seconds patience) {
    std::vector<std::unique_ptr<workflow::Step>> steps;
    if (what == WaitFor::created) {
        steps.push_back(std::make_unique<AskStart>(parts, vm));
        return steps;
    }
    steps.push_back(std::make_unique<Boot>(parts, vm));
    if (what != WaitFor::running) steps.push_back(std::make_unique<AwaitGuest>(parts, vm, what, patience));
    return steps;
}

}  // namespace ramet::lifecycle
