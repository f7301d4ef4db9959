#include "lifecycle/process_keeper.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/limits.hpp"
#include "base/patience.hpp"
#include "base/task_group.hpp"
#include "lifecycle/events.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"
#include "workflow/journal.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

constexpr std::chrono::milliseconds kLookPatience{500};  // with one VM: its QEMU may hang

Result<void> note_stop(Parts& parts, const VmInstance& seen) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", seen.uuid.text()}}));
        // What has changed since it was seen belongs to another job; the next look sees it as it is then.
        if (!vm || vm->state != VmState::running || vm->last_op_date != seen.last_op_date || vm->owner_job_uuid) return {};
        const Timestamp now = parts.now();
        TRY_ASSIGN(Event event,
                   event_about(transaction, *vm, "io-stop", std::to_string(now.milliseconds),
                               "VM instance '" + vm->name +
                                   "' was stopped in the middle of a write, as its storage is full or failing; nothing is lost: make room "
                                   "(or mend the storage) and resume it"));
        event.severity = "warning";
        event.create_date = now;
        TRY(record_event(transaction, std::move(event)));
        return set_vm_state(transaction, *vm, VmState::paused, now);
    });
}

Result<std::vector<VmInstance>> vms_on(Transaction& transaction) {
    std::vector<VmInstance> on;
    for (const VmState state : {VmState::running, VmState::paused}) {
        TRY_ASSIGN(std::vector<VmInstance> some, store::list<VmInstance>(transaction, {{"state", std::string(name_of(state))}}));
        std::ranges::move(some, std::back_inserter(on));
    }
    return on;
}

enum class Seen : std::uint8_t { as_it_should, stopped_by_io, ended };

Seen look_at(hypervisor::Hypervisor& hypervisor, const VmId& vm) {
    const Patience patience = Patience::at_most(kLookPatience);
    const Result<hypervisor::DomainState> state = hypervisor.state(vm);
    if (state == hypervisor::DomainState::shut_off) return Seen::ended;
    if (state != hypervisor::DomainState::paused) return Seen::as_it_should;  // or it hangs, which others tell
    return hypervisor.is_stopped_by_io(vm).value_or(false) ? Seen::stopped_by_io : Seen::as_it_should;
}

}  // namespace

void ProcessKeeper::start() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const Result<void> looked = look();
            if (!looked.has_value()) telemetry::log_warning("processes of VMs: {} ({})", looked.error().message, looked.error().detail);
            (void)workflow::pause(limits::kProcessLook, stop);
        }
    });
}

void ProcessKeeper::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

Result<void> ProcessKeeper::look() {
    TRY_ASSIGN(const std::vector<VmInstance> on, store::read(parts_.database(), &vms_on));
    std::vector<Seen> seen(on.size(), Seen::as_it_should);
    for_each_parallel(on.size(), limits::kVmsAskedAtOnce, [&](std::size_t index) { seen[index] = look_at(parts_.hypervisor, on[index].uuid); });
    for (std::size_t index = 0; index < on.size(); ++index) {
        if (seen[index] == Seen::stopped_by_io) TRY(note_stop(parts_, on[index]));
        if (seen[index] == Seen::ended) TRY(vm_found_ended(parts_, on[index].uuid));
    }
    return {};
}

}  // namespace ramet::lifecycle
