#include "lifecycle/io_stops.hpp"

#include <vector>

#include "base/limits.hpp"
#include "base/patience.hpp"
#include "base/task_group.hpp"
#include "lifecycle/events.hpp"
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

}  // namespace

void IoStopKeeper::start() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const Result<void> looked = look();
            if (!looked.has_value()) telemetry::log_warning("stopped writes: {} ({})", looked.error().message, looked.error().detail);
            (void)workflow::pause(limits::kIoStopLook, stop);
        }
    });
}

void IoStopKeeper::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

Result<void> IoStopKeeper::look() {
    TRY_ASSIGN(const std::vector<VmInstance> running, store::read(parts_.database(), [](Transaction& transaction) {
                   return store::list<VmInstance>(transaction, {{"state", std::string(name_of(VmState::running))}});
               }));
    std::vector<std::uint8_t> is_stopped(running.size());  // no vector<bool>: each thread writes to its own
    for_each_parallel(running.size(), limits::kVmsAskedAtOnce, [&](std::size_t index) {
        const Patience patience = Patience::at_most(kLookPatience);
        is_stopped[index] = parts_.hypervisor.is_stopped_by_io(running[index].uuid).value_or(false) ? 1 : 0;
    });
    for (std::size_t index = 0; index < running.size(); ++index) {
        if (is_stopped[index] != 0) TRY(note_stop(parts_, running[index]));
    }
    return {};
}

}  // namespace ramet::lifecycle
