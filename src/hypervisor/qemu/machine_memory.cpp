// A VM's memory at one instant, together with its disks; VMs that go on from such an instant.
//
//   running, live:   migrate ─► QEMU reads all memory, and is held back ─ stop ─ cut disks ─ let go
//                            ─► it keeps the device state, write-protects all memory, resumes ─ sends memory ─► done
//   running, saved:  stop ─ cut disks ─ migrate ─────────────── sends memory ────────────────► done ─ cont
//   paused:                 cut disks ─ migrate ─────────────── sends memory ────────────────► done ─ cont, stop (gives the disks back)
//
// What is sent comes through a pipe (stream_pipe.hpp) and is taken apart on the way (stream_splitter.hpp).
#include <unistd.h>

#include <algorithm>
#include <future>
#include <string>

#include "base/crash_point.hpp"
#include "base/patience.hpp"
#include "hypervisor/qemu/disk_files.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "hypervisor/qemu/memory_checksum.hpp"
#include "hypervisor/qemu/memory_layout.hpp"
#include "hypervisor/qemu/ready_pool.hpp"
#include "hypervisor/qemu/stream_guard.hpp"
#include "hypervisor/qemu/stream_pipe.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto kPreparation = 30s;     // QEMU reads all memory once, while the guest runs; a longer one is no error, but lengthens the pause
constexpr auto kResumePatience = 30s;  // with that reading, if it was not to be waited for
constexpr auto kMigrationEnd = 10s;    // from the stream's last byte to QEMU's word that it is done
constexpr auto kSourceEnd = 1s;        // from a source's closed monitor to its end
constexpr auto kLoadPatience = 60s;    // of a clone's device state; megabytes at most
constexpr auto kPollPause = 1ms;
constexpr auto kUnplugLook = 20ms;
constexpr auto kStreamLook = 20ms;
constexpr std::size_t kTogetherForTemplate = 4;        // it takes as long to make as two VMs' own processes
constexpr std::int64_t kNoBandwidthLimit = 1LL << 40;  // bytes per second; QEMU's default is 128 MiB/s

Result<void> migration_switches(Qmp& qmp, bool background) {
    // A process that was kept ready still has the second one on, with which QEMU refuses the first.
    json::array switches{json::object{{"capability", "late-block-activate"}, {"state", false}},
                         json::object{{"capability", "background-snapshot"}, {"state", background}}};
    TRY(qmp.run("migrate-set-capabilities", {{"capabilities", std::move(switches)}}));
    return {};
}

// QEMU flushes all disks while the guest stands still: what is on its way already need not be waited for then.
void flush(const storage::Place& place) {
    const Result<Fd> file = open_layer_read_only(place);
    if (file.has_value()) ::fdatasync(file->get());
}

// A source that has ended is told of, whatever call met it first. Its monitor is lost a moment before.
std::unexpected<Error> cannot_be_captured(const Process& source, Error error) {
    const bool has_gone = error.code == ErrorCode::internal ? wait_for_end(source, kSourceEnd) : has_ended(source);
    if (!has_gone) return failed("The VM's memory cannot be captured", std::move(error));
    return fail(ErrorCode::operation_failed, "The VM's process has ended while its memory was captured; start the VM, and try again",
                error.message + ": " + error.detail);
}

}  // namespace

// What one capture carries from its beginning under the lock to its end.
struct Machine::MemoryCapture {
    explicit MemoryCapture(std::chrono::milliseconds stall_max) : pipe(stall_max) {}
    bool was_running = false;
    Process source;
    MemoryFacts facts;
    steady_clock::time_point begun = steady_clock::now();
    std::optional<std::chrono::microseconds> stopped_at;  // QEMU's clock
    bool migrating = false;                               // the stream is QEMU's now, or may be
    StreamPipe pipe;
};

// --- capture

Result<MemoryFacts> Machine::capture_memory(const std::vector<OverlaySpec>& overlays, const MemoryPlace& place, const std::stop_token& stop,
                                            const WhileStopped& while_stopped) {
    const Patience patience(stop);
    MemoryCapture capture(surroundings_.options.stream_stall);
    std::uint64_t memory_bytes = 0;
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(check_capture(overlays));
        TRY(still_patient());
        memory_bytes = static_cast<std::uint64_t>(memory_mebibytes(record_.spec)) * limits::kMiB;
        TRY_ASSIGN(capture.source, open_process(run_->process.pid, run_->process.start_time));
    }
    TRY_ASSIGN(MemoryFiles files, MemoryFiles::make(place, memory_bytes));
    TRY(capture.pipe.make());
    MemoryWriter writer(files.memory(), memory_bytes);
    TRY_ASSIGN(std::optional<StreamGuard> guard, StreamGuard::start(capture.pipe.read_end()));
    // Its own thread from the beginning: QEMU fills the pipe while it still holds the guest.
    std::future<Result<std::string>> splitting = std::async(std::launch::async, [&]() -> Result<std::string> {
        Result<std::string> state = split_stream(capture.pipe, writer, {kMachineType, kMemoryBlock, memory_bytes, kScreenBlock});
        if (const Result<void> whole = writer.finish(); state.has_value() && !whole.has_value()) state = std::unexpected<Error>(whole.error());
        const bool is_silent = !state.has_value() && state.error().code == ErrorCode::timeout;
        if (!state.has_value() && !is_silent) capture.pipe.drain();
        return state;
    });
    Result<void> done;
    {
        const Result<std::unique_lock<std::timed_mutex>> lock = hold();
        done = lock.has_value() ? prepare_stream(capture) : Result<void>(std::unexpected<Error>(lock.error()));
        capture.pipe.close_write_end();
        if (done.has_value()) done = cut_with_memory(capture, overlays, while_stopped);
        capture.pipe.open();
    }
    crash_point("qemu.memory.streaming");
    Result<std::string> state = await_stream(capture, std::move(splitting), std::move(guard));
    if (done.has_value() || capture.migrating) {
        const Patience tidy = Patience::to_tidy_up();
        const Result<std::unique_lock<std::timed_mutex>> lock = hold();
        const Result<void> ended = lock.has_value() ? end_capture(capture, state) : Result<void>(std::unexpected<Error>(lock.error()));
        if (!lock.has_value()) settled_ = false;
        if (done.has_value()) done = ended;
    }
    if (done.has_value()) done = files.complete(*state, surroundings_.user, place.durable);
    if (!done.has_value()) {
        (void)remove_memory_files(place);
        return cannot_be_captured(capture.source, std::move(done.error()));
    }
    crash_point("qemu.memory.captured");
    capture.facts.memory_bytes = static_cast<std::int64_t>(memory_bytes);
    capture.facts.allocated_bytes = files.allocated_bytes();
    capture.facts.state_bytes = static_cast<std::int64_t>(state->size());
    capture.facts.checksum = checksum_of_files(writer.checksum(), *state);
    capture.facts.taken = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - capture.begun);
    return capture.facts;
}

// Without mutex_. A stream that is given up, by a cancel or for QEMU's silence, is read to its end by the guard.
Result<std::string> Machine::await_stream(MemoryCapture& capture, std::future<Result<std::string>> splitting, std::optional<StreamGuard> guard) {
    if (!capture.migrating) capture.pipe.abandon();  // nothing will come
    while (splitting.wait_for(kStreamLook) != std::future_status::ready) {
        if (!still_patient().has_value()) capture.pipe.abandon();
    }
    Result<std::string> state = splitting.get();
    if (state.has_value()) {
        const Result<void> wanted = still_patient();
        if (!wanted.has_value()) return std::unexpected<Error>(wanted.error());
        return state;
    }
    if (!capture.migrating || capture.pipe.has_ended()) return state;
    const pid_t reader = guard->leave_the_rest();
    const Result<Process> process = open_process(reader, start_time_of(reader).value_or(0));
    if (process.has_value()) (void)surroundings_.watch.watch(*process, [](std::optional<int>) {});  // reaps it
    return state;
}

Result<void> Machine::check_capture(const std::vector<OverlaySpec>& overlays) {
    TRY(require_alive());
    if (!record_.streams.empty()) return fail(ErrorCode::wrong_state, "The VM's layers are being merged; try again in a moment");
    if (record_.device_layout != kDeviceLayout) {
        return fail(ErrorCode::wrong_state, "The VM was started by an earlier server with other devices; stop and start it, then capture its memory");
    }
    if (overlays.size() != record_.spec.disks.size()) {
        return fail(ErrorCode::invalid_argument, "A VM's memory can be captured only together with all of its disks");
    }
    for (const OverlaySpec& overlay : overlays) {
        const DiskSpec* disk = find_disk(overlay.volume);
        if (disk == nullptr) return fail(ErrorCode::wrong_state, "A volume of the capture is not attached to the running VM");
        if (overlay.overlay.format != DiskFormat::qcow2) return fail(ErrorCode::invalid_argument, "An overlay has to be a qcow2 file");
        if (disk->chain_top_first.front().path == overlay.overlay.path && disk->chain_top_first.front().root == overlay.overlay.root) {
            return fail(ErrorCode::wrong_state, "The VM's disks have been cut already and its memory has moved on; capture again");
        }
    }
    return {};
}

Result<void> Machine::prepare_stream(MemoryCapture& capture) {
    TRY(require_alive());
    if (!settled_) return fail(ErrorCode::wrong_state, "The VM is not done with an earlier capture that was called off; try again in a moment");
    TRY_ASSIGN(const std::string status, run_state());
    if (status != "running" && status != "paused") {
        return fail(ErrorCode::wrong_state, "The VM is neither running nor paused; wait until it is, and try again", "QEMU says " + status);
    }
    capture.was_running = status == "running";
    TRY_ASSIGN(Qmp* const qmp, monitor());
    TRY(migration_switches(*qmp, false));
    capture.facts.reason = "the VM was paused";
    if (capture.was_running) {
        const Result<void> background = migration_switches(*qmp, true);
        capture.facts.live = background.has_value();
        capture.facts.reason = background.has_value() ? "userfaultfd: the guest ran on while its memory was saved"
                                                      : "the guest stood while its memory was saved: " + background.error().detail;
    }
    TRY(ask("migrate-set-parameters", {{"max-bandwidth", kNoBandwidthLimit}}));
    if (capture.facts.live) capture.pipe.dam();
    TRY(qmp->run("getfd", {{"fdname", "memory"}}, capture.pipe.write_end()));
    capture.facts.layout = layout_text(record_.spec, surroundings_.capabilities);
    for (const DiskSpec& disk : record_.spec.disks) flush(disk.chain_top_first.front());
    return {};
}

Result<void> Machine::begin_cut(MemoryCapture& capture, const std::vector<OverlaySpec>& overlays) {
    TRY(add_overlays(overlays));
    record_.pending = PendingSnapshot{overlays, capture.was_running};
    record_.resume_owed = capture.was_running;
    TRY(directory_->write_record(record_));
    if (!capture.facts.live) return {};
    TRY(send_stream(capture));
    return wait_until_prepared(capture);
}

// The pause. Whatever happens after the stop, the guest goes on: here, or in end_capture once QEMU has the stream, or when QEMU answers again.
Result<void> Machine::cut_with_memory(MemoryCapture& capture, const std::vector<OverlaySpec>& overlays, const WhileStopped& while_stopped) {
    Result<void> done = begin_cut(capture, overlays);
    if (done.has_value()) {
        done = cut_at_instant(capture, overlays, while_stopped);
        crash_point("qemu.memory.cut");
    }
    const bool cut = done.has_value();
    capture.pipe.open();
    if (done.has_value()) done = capture.facts.live ? wait_for_resume(capture) : send_stream(capture);
    put_in_order(capture, overlays, cut, done);
    return done;
}

void Machine::put_in_order(const MemoryCapture& capture, const std::vector<OverlaySpec>& overlays, bool cut, const Result<void>& done) {
    const Patience tidy = Patience::to_tidy_up_after(done);
    if (!capture.migrating) (void)ask("closefd", {{"fdname", "memory"}});  // else the splitter waits for more
    // A QEMU that saves in the background lets the guest go on itself; end_capture looks whether it has.
    const bool is_due = !done.has_value() && capture.was_running && !(capture.facts.live && capture.migrating);
    const Result<void> resumed = is_due ? ensure_running() : Result<void>();
    // The answer may have been lost on the way.
    const Result<bool> on_top = cut ? Result<bool>(true) : are_on_top(overlays);
    if (on_top.value_or(false)) commit_overlays(overlays, {});  // asking for the write counters would lengthen the pause
    if (!on_top.has_value() || !resumed.has_value()) return leave_unsettled(capture.was_running);
    if (*on_top) return;
    remove_overlays(overlays);
    record_.pending.reset();
    if (!capture.migrating) record_.resume_owed = false;
    save_record();
}

// An order without an answer may have been carried out.
Result<void> Machine::send_stream(MemoryCapture& capture) {
    const Result<json::value> sent = ask("migrate", {{"uri", "fd:memory"}});
    capture.migrating = sent.has_value() || sent.error().code == ErrorCode::timeout || sent.error().code == ErrorCode::cancelled;
    if (!sent.has_value()) return std::unexpected<Error>(sent.error());
    return {};
}

// The stop may come as soon as QEMU has nothing left to do but to take the device state.
Result<void> Machine::wait_until_prepared(const MemoryCapture& capture) {
    const Deadline deadline = steady_clock::now() + kPreparation;
    while (steady_clock::now() < deadline && capture.pipe.holds_back(run_->process.pid) == false && !has_ended(run_->process))
        TRY(pause_patiently(kPollPause));
    return {};
}

Result<void> Machine::cut_at_instant(MemoryCapture& capture, const std::vector<OverlaySpec>& overlays, const WhileStopped& while_stopped) {
    TRY_ASSIGN(Qmp* const qmp, monitor());
    qmp->drop_events();
    if (capture.was_running) TRY(ask("stop"));
    crash_point("qemu.memory.stopped");
    if (while_stopped) TRY(while_stopped());
    return blockdev_snapshot(overlays);
}

Result<void> Machine::wait_for_resume(MemoryCapture& capture) {
    TRY_ASSIGN(Qmp* const qmp, monitor());
    const Deadline deadline = steady_clock::now() + kResumePatience;
    while (true) {
        const Result<QmpEvent> resumed = qmp->wait_event("RESUME", std::min(deadline, steady_clock::now() + 500ms));
        if (resumed.has_value()) {
            if (const auto stopped = qmp->take_event("STOP")) capture.facts.capture.paused = resumed->at - stopped->at;
            record_.resume_owed = false;
            return {};
        }
        if (resumed.error().code != ErrorCode::timeout) return std::unexpected<Error>(resumed.error());
        TRY_ASSIGN(const std::string status, migration_status());
        if (status == "failed" || status == "cancelled") return fail(ErrorCode::operation_failed, "QEMU gave up capturing the VM's memory");
        if (steady_clock::now() > deadline) return fail(ErrorCode::timeout, "QEMU does not let the guest go on after a capture");
    }
}

Result<std::string> Machine::migration_status() {
    TRY_ASSIGN(const json::value reply, ask("query-migrate"));
    return text_in(reply, "status");
}

Result<void> Machine::end_capture(MemoryCapture& capture, Result<std::string> state) {
    if (!settled_) return state.has_value() ? Result<void>() : Result<void>(std::unexpected<Error>(std::move(state.error())));
    TRY(require_alive());
    const Result<std::string> status = migration_end(!state.has_value());
    const Result<void> goes_on = status.has_value() ? go_on_after(capture) : Result<void>(std::unexpected<Error>(status.error()));
    if (!goes_on.has_value()) {
        leave_unsettled(capture.was_running);
    } else if (record_.resume_owed) {
        record_.resume_owed = false;
        save_record();
    }
    if (!state.has_value()) return std::unexpected<Error>(std::move(state.error()));
    TRY(goes_on);
    if (*status != "completed") return fail(ErrorCode::operation_failed, "QEMU gave up capturing the VM's memory", "migration " + *status);
    return {};
}

// `give_up`: what is still to come is of no use to anybody. A background snapshot has to come to its own end all the same: after "migrate_cancel"
// QEMU 7.2 makes no whole one any more.
Result<std::string> Machine::migration_end(bool give_up) {
    const Deadline deadline = steady_clock::now() + kMigrationEnd;
    if (give_up) {
        TRY_ASSIGN(const bool background, saves_in_background());
        if (!background) TRY(ask("migrate_cancel"));
    }
    while (true) {
        TRY_ASSIGN(std::string status, migration_status());
        if (status.empty() || status == "none" || status == "completed" || status == "failed" || status == "cancelled") return status;
        if (steady_clock::now() > deadline) return fail(ErrorCode::timeout, "QEMU does not come to the end of capturing the VM's memory", status);
        TRY(pause_patiently(kPollPause));
    }
}

Result<bool> Machine::saves_in_background() {
    TRY_ASSIGN(const json::value reply, ask("query-migrate-capabilities"));
    if (!reply.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-migrate-capabilities");
    return std::ranges::any_of(reply.as_array(), [](const json::value& entry) {
        if (text_in(entry, "capability") != "background-snapshot") return false;
        const json::value* state = entry.as_object().if_contains("state");
        return state != nullptr && *state == json::value(true);
    });
}

Result<void> Machine::go_on_after(MemoryCapture& capture) {
    TRY_ASSIGN(const std::string machine, run_state());
    if (!capture.facts.live && (capture.was_running || machine == "postmigrate")) TRY(leave_migration(capture.was_running));
    if (capture.facts.live && machine != "running") TRY(ensure_running());
    if (!capture.facts.live && capture.was_running && qmp_) {
        const auto stop_event = qmp_->take_event("STOP"), resume_event = qmp_->take_event("RESUME");
        if (stop_event && resume_event) capture.facts.capture.paused = resume_event->at - stop_event->at;
    }
    return {};
}

// Of a capture that nobody waits for any more; while QEMU is at it the guest cannot be let go on.
Result<void> Machine::settle_migration() {
    (void)ask("closefd", {{"fdname", "memory"}});
    TRY(migration_end(true));
    return {};
}

// QEMU gives its disks away at the end of a migration and takes them back with "cont" alone.
Result<void> Machine::leave_migration(bool running) {
    record_.pause_owed = !running;
    if (!running) TRY(directory_->write_record(record_));  // a server that comes next would take it for a guest that should run
    TRY(ensure_running());
    crash_point("qemu.memory.given-back");
    return stop_again();
}

Result<void> Machine::stop_again() {
    if (!record_.pause_owed) return {};
    TRY(ask("stop"));
    record_.pause_owed = false;
    save_record();
    return {};
}

// --- going on from a captured instant

Result<std::string> Machine::wait_until_loaded() {
    const Deadline deadline = steady_clock::now() + kLoadPatience;
    while (true) {
        TRY_ASSIGN(std::string status, run_state());
        if (status != "inmigrate" && status != "prelaunch") return status;
        if (steady_clock::now() > deadline) return fail(ErrorCode::timeout, "QEMU does not finish loading the captured state");
        TRY(pause_patiently(kPollPause));
    }
}

Result<void> Machine::begin_from_memory() {
    TRY_ASSIGN(const std::string status, wait_until_loaded());
    if (status != "paused") return fail(ErrorCode::operation_failed, "The VM cannot go on from the captured state", "QEMU says " + status);
    for (const NicSpec& nic : record_.spec.nics) TRY(set_link_of(nic, false));
    return let_go_on();
}

Result<void> Machine::let_go_on() {
    crash_point("qemu.memory.loaded");
    if (begins_in_background_) put_guest_in_background();
    TRY_ASSIGN(Qmp* const qmp, monitor());
    TRY(explain_timeout(qmp->run_until("cont", "RESUME"), "cont"));  // QEMU answers when it has done more, and the guest runs already
    if (begins_in_background_)
        put_in_background(true);
    else
        leave_shared_session();
    return {};
}

// False: this VM has to start by itself.
Result<bool> Machine::begin_as_fork(const DomainSpec& spec, const MemoryPlace& place, const std::string& layout) {
    KeptMemory memory{place, layout, spec.disks};
    for (DiskSpec& disk : memory.disks) disk.chain_top_first.erase(disk.chain_top_first.begin());  // the VM's own
    const Result<void> started = finish_start(start_forked(spec, memory));
    if (started.has_value()) return true;
    const ErrorCode code = started.error().code;
    if (code == ErrorCode::cancelled || code == ErrorCode::timeout) return std::unexpected<Error>(started.error());
    if (code != ErrorCode::not_found)
        telemetry::log_warning("VM {}: a fork of a template is of no use ({}); another process is started", vm_.text(), started.error().detail);
    return false;
}

Result<void> Machine::start_from_memory(const DomainSpec& spec, const MemoryPlace& place, const std::string& layout, std::size_t together) {
    TRY(check_layout(layout, surroundings_.capabilities));
    DomainSpec wanted = spec;
    TRY(adopt_layout(wanted, layout));
    for (NicSpec& nic : wanted.nics) nic.link_up = false;
    TRY(check_spec(wanted));
    TRY_ASSIGN(const auto lock, hold());
    TRY_ASSIGN(const bool running, alive());
    if (running) {
        TRY_ASSIGN(const std::string status, run_state());
        if (status == "running") return {};  // this start, repeated
        if (status != "inmigrate" && status != "paused")
            return fail(ErrorCode::operation_failed, "The VM cannot go on from the captured state", "QEMU says " + status);
        kill_run();  // a start that was cut off before the first instruction: how far it came with state and disks is not known
    }
    if (std::optional<ReadyProcess> ready = surroundings_.ready != nullptr ? surroundings_.ready->take(place, wanted) : std::nullopt) {
        const Result<void> started = finish_start(start_ready(std::move(*ready), wanted, place));
        if (started.has_value()) return {};
        telemetry::log_warning("VM {}: a process that was kept ready is of no use ({}); another is started", vm_.text(), started.error().detail);
    }
    if (together >= kTogetherForTemplate && surroundings_.templates != nullptr) {
        TRY_ASSIGN(const bool is_fork, begin_as_fork(wanted, place, layout));
        if (is_fork) return {};
    }
    TRY_ASSIGN(MemoryOpening opening, MemoryOpening::begin(place));
    TRY(begin_record(wanted, false));  // a new VM's: until the first cut it says what the rows say
    Result<void> started = launch_process(record_.spec, *directory_, &opening);
    if (started.has_value()) started = begin_from_memory();
    return finish_start(std::move(started));
}

// --- a NIC with another MAC

Result<bool> Machine::unplug_nic(const NicSpec& nic) {
    const std::string device = nic_device(nic.device_id);
    const Deadline deadline = steady_clock::now() + surroundings_.options.detach_patience;
    const auto absent = [this, &device]() -> Result<bool> {
        TRY_ASSIGN(const json::value devices, ask("qom-list", {{"path", "/machine/peripheral"}}));
        if (!devices.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "qom-list");
        return std::ranges::none_of(devices.as_array(), [&](const json::value& entry) { return text_in(entry, "name") == device; });
    };
    const Result<json::value> asked = ask("device_del", {{"id", device}});
    if (!asked.has_value() && asked.error().detail.find("not found") != std::string::npos) return true;
    if (!asked.has_value() && asked.error().detail.find("already in the process") == std::string::npos) return std::unexpected<Error>(asked.error());
    while (steady_clock::now() < deadline) {
        TRY_ASSIGN(const bool gone, absent());
        if (gone) return true;
        TRY(pause_patiently(kUnplugLook));
    }
    return absent();
}

Result<void> Machine::swap_nic(const NicSpec& nic) {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    DomainSpec changed = record_.spec;
    for (NicSpec& each : changed.nics) {
        if (each.nic == nic.nic) each.mac = nic.mac;
    }
    TRY(check_spec(changed));
    const auto known = std::ranges::find(record_.spec.nics, nic.nic, &NicSpec::nic);
    if (known == record_.spec.nics.end()) return fail(ErrorCode::not_found, "The running VM has no such NIC");
    NicSpec fresh = *known;
    fresh.mac = nic.mac;
    fresh.link_up = nic.link_up;
    fresh.port = -1;
    for (std::int64_t port = 0; port < nic_ports(record_.spec); ++port) {
        const bool taken = std::ranges::any_of(record_.spec.nics, [port](const NicSpec& other) { return port_of(other) == port; });
        if (!taken && fresh.port < 0) fresh.port = port;
    }
    if (fresh.port < 0) return fail(ErrorCode::operation_failed, "The running VM has no free slot to put a new NIC in; stop it and start it again");
    TRY_ASSIGN(const bool gone, unplug_nic(*known));
    if (!gone) {
        return fail(ErrorCode::operation_failed,
                    "The guest does not let go of its NIC; give it a guest agent or a kernel with PCI hot-plug, or clone without memory");
    }
    (void)ask("set_link", {{"name", nic_backend(fresh.device_id)}, {"up", true}});  // the wire's own end went down with the old NIC
    TRY(ask("device_add", nic_device_options(fresh)));
    *known = fresh;
    save_record();
    TRY(set_link_of(fresh, fresh.link_up));
    if (fresh.link_up) announce();
    return {};
}

}  // namespace ramet::hypervisor
