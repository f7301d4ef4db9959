// One VM as this adapter knows it: its run directory, its process if it has one, the conversation with it.
//
//            start()                      stop(), the guest's own power-off, a crash
//   off ───────────────► prelaunch ──────► running ⇄ paused ──────► off
//                         links are set      (QEMU holds the run directory's lock in all but "off")
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/agent.hpp"
#include "hypervisor/qemu/command_line.hpp"
#include "hypervisor/qemu/fork_server.hpp"
#include "hypervisor/qemu/memory_files.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/qemu.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "hypervisor/qemu/run_directory.hpp"

namespace ramet::hypervisor {

class ReadyPool;
struct ReadyProcess;

class Freeze;
class StreamGuard;

// The answer to an order, in words for its user when it did not come.
template <class Value>
Result<Value> explain_timeout(Result<Value> answer, const std::string& command) {
    if (answer.has_value() || answer.error().code != ErrorCode::timeout) return answer;
    return fail(ErrorCode::timeout, "The VM's process does not answer; `ramet doctor` says what to do", command + ": " + answer.error().message);
}

class Templates;

// What all machines share. Outlives them.
struct Surroundings {
    QemuOptions options;  // run_root is canonical
    std::optional<User> user;
    Capabilities capabilities;
    std::mutex listener_mutex;
    std::function<void(const VmId&)> listener;
    std::unique_ptr<ForkServer> processes;  // where QEMU's processes come from
    ReadyPool* ready = nullptr;             // those started in advance
    Templates* templates = nullptr;         // those that are forked
    ExitWatch watch;                        // last: its thread uses what stands above
};

// Thread rules: all public calls from any thread; they wait for each other, except for the guest's own time in stop() and the agent's.
class Machine {
public:
    Machine(Surroundings& surroundings, VmId vm) : surroundings_(surroundings), vm_(std::move(vm)) {}

    Result<void> start(const DomainSpec& spec);
    Result<void> stop(StopMode mode, const std::stop_token& stop);
    Result<void> pause();
    Result<void> resume();
    Result<void> reset();
    Result<DomainState> state();
    Result<bool> is_stopped_by_io();
    Result<std::string> generation_id();
    Result<bool> disks_untouched();
    Result<CaptureFacts> snapshot_disks(const std::vector<OverlaySpec>& overlays, Quiesce quiesce, const WhileStopped& while_stopped);
    // freeze -> `capture` -> thaw. `capture` is not called when a required freeze cannot be had; it may use all but the agent.
    Result<FreezeFacts> while_frozen(Quiesce quiesce, const std::function<Result<void>()>& capture);
    Result<void> agent_answers();
    Result<MemoryFacts> capture_memory(const std::vector<OverlaySpec>& overlays, const MemoryPlace& place, const std::stop_token& stop,
                                       const WhileStopped& while_stopped);
    Result<void> start_from_memory(const DomainSpec& spec, const MemoryPlace& place, const std::string& layout, std::size_t together);
    void in_background(bool wanted);
    // On a machine of its own, with nothing but `ready`'s process: gives it its devices and the captured state.
    Result<void> load_ready(ReadyProcess& ready, const MemoryPlace& place);
    Result<void> swap_nic(const NicSpec& nic);
    Result<std::vector<DiskTop>> disk_tops();
    Result<void> shorten_disk(const ShortenSpec& spec, const storage::CopyObserver& observer, const std::stop_token& stop);
    Result<void> attach_disk(const DiskSpec& disk);
    Result<void> detach_disk(const VolumeId& volume);
    Result<void> set_link(const NicId& nic, bool up);
    Result<std::string> console_socket();
    Result<bool> take_up();  // finds a process that outlived an earlier server; true when there is one
    Result<void> forget();
    // `use` with a synchronised agent; one at a time per VM.
    Result<void> with_agent(std::chrono::milliseconds patience, const std::function<Result<void>(Agent&, Deadline)>& use);

private:
    struct Run {
        Process process;
        std::atomic<bool> stop_asked{false};
    };
    struct Opened {
        CommandLineInput input;
        std::vector<Fd> files;
    };

    Result<std::unique_lock<std::timed_mutex>> hold();  // mutex_
    Result<std::unique_lock<std::timed_mutex>> hold_agent(Deadline deadline);
    // machine.cpp; all with mutex_ held unless said otherwise
    Result<bool> alive(bool settle = true);  // takes up a process when there is one we do not know
    Result<void> require_alive();
    Result<void> adopt(Process process, bool stop_asked);
    Result<Qmp*> monitor(std::chrono::milliseconds patience = limits::kQmpTimeout);
    Result<boost::json::value> ask(const char* command, boost::json::object arguments = {});
    Result<std::string> run_state();
    Result<Opened> open_files(const DomainSpec& spec, const RunDirectory& directory);
    Result<void> begin_record(const DomainSpec& spec, bool durable = true);  // directory and record of a VM about to be started
    Result<void> launch_process(const DomainSpec& spec, RunDirectory& directory, MemoryOpening* memory);
    void watch_tpm();
    Result<void> finish_start(Result<void> started);  // kills what did not come up
    Result<void> begin();                             // from prelaunch: links, then the first instruction
    Result<void> set_link_of(const NicSpec& nic, bool up);
    void announce();
    Result<void> take_plug();
    Result<bool> wait_for_guest(const std::shared_ptr<Run>& run, const std::stop_token& stop);  // without mutex_
    void ask_agent_to_shut_down();                                                              // without mutex_
    void kill_run();
    std::optional<Process> find_process(const RunDirectory& directory);
    void save_record();  // logs a failure: what it says can be found out again from QEMU

    // machine_memory.cpp
    struct MemoryCapture;
    Result<void> check_capture(const std::vector<OverlaySpec>& overlays);
    Result<void> prepare_stream(MemoryCapture& capture);
    Result<void> send_stream(MemoryCapture& capture);
    Result<void> wait_until_prepared(const MemoryCapture& capture);
    Result<void> cut_with_memory(MemoryCapture& capture, const std::vector<OverlaySpec>& overlays, const WhileStopped& while_stopped);
    Result<void> cut_at_instant(MemoryCapture& capture, const std::vector<OverlaySpec>& overlays, const WhileStopped& while_stopped);
    Result<void> begin_cut(MemoryCapture& capture, const std::vector<OverlaySpec>& overlays);
    Result<void> wait_for_resume(MemoryCapture& capture);
    void put_in_order(const MemoryCapture& capture, const std::vector<OverlaySpec>& overlays, bool cut, const Result<void>& done);
    Result<std::string> await_stream(MemoryCapture& capture, std::future<Result<std::string>> splitting, std::optional<StreamGuard> guard);
    Result<void> end_capture(MemoryCapture& capture, Result<std::string> state);
    Result<std::string> migration_end(bool give_up);  // QEMU's word for how it ended
    Result<bool> saves_in_background();
    Result<void> go_on_after(MemoryCapture& capture);
    Result<std::string> migration_status();
    Result<void> settle_migration();
    Result<void> leave_migration(bool running);  // from "postmigrate" to running or paused
    Result<void> stop_again();                   // what leave_migration owes
    Result<std::string> wait_until_loaded();     // QEMU's run state then
    Result<void> begin_from_memory();
    Result<bool> begin_as_fork(const DomainSpec& spec, const MemoryPlace& place, const std::string& layout);
    Result<void> let_go_on();
    void put_guest_in_background();  // machine_background.cpp, as the next
    void put_in_background(bool wanted);
    void leave_shared_session();
    Result<bool> unplug_nic(const NicSpec& nic);

    // machine_ready.cpp
    Result<void> start_forked(const DomainSpec& spec, const KeptMemory& memory);
    Result<void> start_ready(ReadyProcess ready, const DomainSpec& spec, const MemoryPlace& place);
    Result<void> complete_and_load(ReadyProcess& ready, const MemoryPlace& place);
    Result<void> begin_loading(const MemoryPlace& place);
    Result<std::string> plug_layers(std::int64_t device_id, std::span<const storage::Place> chain_top_first, bool writable_top);  // the top's node
    Result<void> plug_node(const DiskSpec& disk, const std::string& node);
    Result<void> plug_blank_disk(const DiskSpec& disk);
    Result<void> exchange_blank_layer(const DiskSpec& disk);
    Result<std::int64_t> size_of_node(const std::string& node);
    Result<void> plug_fresh_disk(const DiskSpec& disk);
    Result<void> exchange_seed(Fd file);
    Result<void> exchange_node(boost::json::object file, boost::json::object format);
    Result<void> plug_blank_seed(Fd& seed);
    Result<void> fill_seed(const Fd& blank, const std::string& seed_image);
    Result<void> plug_fresh_nic(const NicSpec& nic);

    // machine_disks.cpp
    void try_to_settle();
    // QEMU does not answer in the middle of a capture: what has become of it, and whether the guest stands, is asked when it does.
    void leave_unsettled(bool resume);
    Result<void> settle_record();                                  // after a restart: a begun snapshot or plug is done or not, QEMU knows
    Result<bool> settle_pending();                                 // true when the overlays are on top
    Result<std::map<std::string, std::string>> top_nodes();        // by device name; a device that is not there has none
    Result<std::map<std::string, std::int64_t>> write_counters();  // by device name
    Result<std::string> hand_over(Fd file, const std::string& purpose, bool read_only);  // the name QEMU opens it by
    Result<void> add_fresh_layer(std::int64_t device_id, std::size_t level, const storage::Place& place, bool writable, const std::string& below);
    Result<void> add_layer(std::int64_t device_id, std::size_t level, const storage::Place& place, bool writable, const std::string& below);
    Result<void> add_overlays(const std::vector<OverlaySpec>& overlays);
    void remove_overlays(const std::vector<OverlaySpec>& overlays);
    void remove_layer(std::int64_t device_id, std::size_t level);
    Result<bool> are_on_top(const std::vector<OverlaySpec>& overlays);
    Result<bool> already_cut(const std::vector<OverlaySpec>& overlays);
    Result<CaptureFacts> cut_disks(const std::vector<OverlaySpec>& overlays, const WhileStopped& while_stopped);  // without mutex_
    Result<CaptureFacts> cut(const std::vector<OverlaySpec>& overlays, bool running, const WhileStopped& while_stopped);
    Result<void> blockdev_snapshot(const std::vector<OverlaySpec>& overlays);
    Result<void> ensure_running();
    void commit_overlays(const std::vector<OverlaySpec>& overlays, const std::map<std::string, std::int64_t>& counters);
    void seal_node(std::int64_t device_id, std::size_t level, const std::string& below);
    Result<void> plug_disk(const DiskSpec& disk);
    Result<bool> unplug_device(const std::string& device);  // false: the guest did not let go
    DiskSpec* find_disk(const VolumeId& volume);

    // machine_quiesce.cpp (and take_up); with agent_mutex_ held and without mutex_, but for the first
    Result<bool> channel_open();
    Result<Fd> reach_agent(Deadline deadline);
    Result<Freeze> begin_freeze(Quiesce quiesce, Deadline deadline);
    void thaw_without_guard();
    void forget_freeze();
    // machine_merge.cpp
    enum class StreamEnd : std::uint8_t { none, running, whole, failed };
    struct Stream {
        StreamEnd end = StreamEnd::none;
        storage::CopyProgress progress{0, 0};
        std::string error;
    };
    std::vector<std::int64_t> levels_of(const DiskSpec& disk) const;  // top first, as in the names of the nodes
    std::string top_node(const DiskSpec& disk) const { return format_node(disk.device_id, static_cast<std::size_t>(levels_of(disk).front())); }
    std::size_t next_level(const DiskSpec& disk) const { return static_cast<std::size_t>(levels_of(disk).front()) + 1; }
    void put_on_top(DiskSpec& disk, const storage::Place& overlay);  // in the record
    Result<bool> begin_stream(const ShortenSpec& spec);              // false: there is nothing between top and base
    Result<Stream> look_at_stream(const DiskSpec& disk);
    Result<bool> take_stream_on(const ShortenSpec& spec, const storage::CopyObserver& observer);  // true: it has ended well
    Result<void> flush_top(const DiskSpec& disk, const std::vector<std::int64_t>& levels);        // `levels`: those that are left
    Result<void> finish_stream(DiskSpec& disk);
    Result<void> cancel_stream(DiskSpec& disk);
    Result<void> settle_streams();  // an earlier server's: finished when whole, else ended
    void dismiss_stream(const DiskSpec& disk);
    void remove_stale_layers(const DiskSpec& disk);

    Surroundings& surroundings_;
    const VmId vm_;
    std::timed_mutex mutex_;
    std::timed_mutex agent_mutex_;   // taken before mutex_
    Deadline agent_silent_until_{};  // an agent that hangs is not asked again before; agent_mutex_ guards it
    std::optional<RunDirectory> directory_;
    std::shared_ptr<Run> run_;
    std::unique_ptr<Qmp> qmp_;
    DomainRecord record_;
    std::atomic<bool> settled_{true};  // false: record_ is an earlier server's, or QEMU did not answer; it has not been asked yet
    bool begins_in_background_ = false;
    bool settle_failed_ = false;    // and the log knows
    Deadline settle_not_before_{};  // one that is silent is not asked by each of many calls in a row
};

}  // namespace ramet::hypervisor
