#include "hypervisor/qemu/machine.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <climits>

#include "base/crash_point.hpp"
#include "base/patience.hpp"
#include "hypervisor/qemu/disk_files.hpp"
#include "hypervisor/qemu/tpm.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto kPlugPatience = 5s;        // for QEMU to go after "quit", and the kernel after SIGKILL
constexpr auto kPowerButtonAgain = 10s;   // a guest that was booting may have missed the first
constexpr auto kAgentShutdownAfter = 2s;  // guests without ACPI may have an agent
constexpr auto kForkWindow = 2s;          // a lock without a findable process: it is between fork and exec
constexpr auto kLookAgain = 50ms;
constexpr auto kEndAfterSilence = 1s;  // of a QEMU that did not answer
constexpr auto kTpmAfterQemu = 1s;     // it ends a moment before QEMU is seen to have ended

std::string working_directory_of(pid_t pid) {
    std::array<char, PATH_MAX> path;
    const ssize_t size = ::readlink(("/proc/" + std::to_string(pid) + "/cwd").c_str(), path.data(), path.size());
    return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : std::string();
}

// A guest that powers off makes QEMU exit with 0; every other end is QEMU's own, and its last words are all there is to explain it.
void tell_end(const std::string& run_root, const VmId& vm, std::optional<int> code) {
    const Result<std::optional<RunDirectory>> directory = RunDirectory::find(run_root, vm);
    const std::string words = directory.has_value() && *directory ? (*directory)->log_tail() : "";
    if (code == 0 && words.empty()) return;
    telemetry::log_warning("VM {}: QEMU {}{}{}", vm.text(), end_text(code), words.empty() ? "" : "; its last words: ", words);
}

}  // namespace

// --- the process

std::optional<Process> Machine::find_process(const RunDirectory& directory) {
    const auto is_ours = [&](pid_t pid) { return working_directory_of(pid) == directory.path() && names_vm(command_line_of(pid), vm_); };
    if (const auto known = directory.read_pid()) {
        Result<Process> process = open_process(known->first, known->second);
        if (process.has_value() && is_ours(process->pid)) return std::move(*process);
    }
    for (const pid_t pid : all_processes()) {
        const std::optional<std::uint64_t> start_time = start_time_of(pid);
        if (!start_time || !is_ours(pid)) continue;
        Result<Process> process = open_process(pid, *start_time);
        if (process.has_value()) return std::move(*process);
    }
    return std::nullopt;
}

Result<void> Machine::adopt(Process process, bool stop_asked) {
    auto run = std::make_shared<Run>();
    run->process = std::move(process);
    run->stop_asked = stop_asked;
    TRY(surroundings_.watch.watch(run->process, [run, vm = vm_, &surroundings = surroundings_](std::optional<int> code) {
        if (run->stop_asked) return;
        tell_end(surroundings.options.run_root, vm, code);
        std::function<void(const VmId&)> listener;
        {
            const std::lock_guard lock(surroundings.listener_mutex);
            listener = surroundings.listener;
        }
        if (listener) listener(vm);
    }));
    run_ = std::move(run);
    qmp_.reset();
    return {};
}

Result<bool> Machine::alive(bool settle) {
    if (run_ && !has_ended(run_->process)) {
        if (settle) try_to_settle();
        return true;
    }
    run_.reset();
    qmp_.reset();
    if (!directory_) { TRY_ASSIGN(directory_, RunDirectory::find(surroundings_.options.run_root, vm_)); }
    if (!directory_) return false;
    const Deadline deadline = after(kForkWindow);
    while (true) {
        TRY_ASSIGN(const bool locked, directory_->locked());
        if (!locked) return false;
        if (std::optional<Process> process = find_process(*directory_)) {
            TRY(adopt(std::move(*process), false));
            Result<DomainRecord> record = directory_->read_record();
            if (record.has_value())
                record_ = std::move(*record);
            else
                telemetry::log_error("VM {}: {} ({})", vm_.text(), record.error().message, record.error().detail);
            watch_tpm();
            settled_ = false;
            if (settle) try_to_settle();
            return true;
        }
        if (std::chrono::steady_clock::now() > deadline) {
            return fail(ErrorCode::internal, "The VM has a process that cannot be found; see the server's log", directory_->path() + "/lock is held");
        }
        TRY(pause_patiently(kLookAgain));
    }
}

Result<void> Machine::require_alive() {
    TRY_ASSIGN(const bool running, alive());
    if (!running) return fail(ErrorCode::wrong_state, "The VM is not running; start it first");
    return {};
}

void Machine::kill_run() {
    if (!run_) return;
    run_->stop_asked = true;
    kill_process(run_->process);
    if (!wait_for_end(run_->process, kPlugPatience)) telemetry::log_error("VM {}: process {} does not end", vm_.text(), run_->process.pid);
    run_.reset();
    qmp_.reset();
}

void Machine::save_record() {
    const Result<void> written = directory_->write_record(record_);
    if (!written.has_value()) telemetry::log_error("VM {}: its record cannot be written: {}", vm_.text(), written.error().detail);
}

// --- the conversation

Result<std::unique_lock<std::timed_mutex>> Machine::hold() {
    Result<std::unique_lock<std::timed_mutex>> lock = lock_patiently(mutex_, Deadline::max());
    if (!lock.has_value() && lock.error().code == ErrorCode::timeout) return fail(ErrorCode::timeout, "The VM's process keeps another task waiting");
    return lock;
}

Result<Qmp*> Machine::monitor(std::chrono::milliseconds patience) {
    if (!qmp_ || qmp_->broken()) {
        qmp_.reset();
        const Deadline deadline = after(patience);
        TRY_ASSIGN(Fd socket, connect_unix(directory_->fd(), "qmp.sock", deadline));
        TRY_ASSIGN(qmp_, Qmp::open(std::move(socket), deadline));
    }
    return qmp_.get();
}

Result<json::value> Machine::ask(const char* command, json::object arguments) {
    TRY_ASSIGN(Qmp* const qmp, monitor());
    return explain_timeout(qmp->run(command, std::move(arguments)), command);
}

Result<std::string> Machine::run_state() {
    TRY_ASSIGN(const json::value reply, ask("query-status"));
    const json::value* status = reply.is_object() ? reply.as_object().if_contains("status") : nullptr;
    if (status == nullptr || !status->is_string()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-status");
    return std::string(status->as_string());
}

Result<DomainState> Machine::state() {
    TRY_ASSIGN(const auto lock, hold());
    TRY_ASSIGN(const bool running, alive());
    if (!running) return DomainState::shut_off;
    Result<std::string> status = run_state();
    if (!status.has_value()) {
        const auto last_look = still_patient().has_value() ? kEndAfterSilence : 0ms;
        if (wait_for_end(run_->process, last_look)) return DomainState::shut_off;  // it was on its way out
        return std::unexpected<Error>(std::move(status.error()));
    }
    if (*status == "shutdown") return DomainState::shut_off;
    const bool executes = *status == "running" || *status == "suspended" || *status == "finish-migrate" || *status == "colo";
    return executes ? DomainState::running : DomainState::paused;
}

Result<bool> Machine::is_stopped_by_io() {
    TRY_ASSIGN(const auto lock, hold());
    TRY_ASSIGN(const bool running, alive());
    if (!running) return false;
    TRY_ASSIGN(const std::string status, run_state());
    return status == "io-error";
}

// --- start

Result<Machine::Opened> Machine::open_files(const DomainSpec& spec, const RunDirectory& directory) {
    Opened opened;
    CommandLineInput& input = opened.input;
    input.spec = spec;
    input.kvm = surroundings_.capabilities.accelerator == "kvm";
    input.tcg_tb_megabytes = surroundings_.options.tcg_tb_megabytes;
    const auto keep = [&opened](Fd file) {
        opened.files.push_back(std::move(file));
        return kFirstInheritedFd + static_cast<int>(opened.files.size()) - 1;
    };
    TRY_ASSIGN(Fd lock, directory.lock());
    keep(std::move(lock));
    TRY_ASSIGN(Fd listener, directory.listen("qmp.sock", surroundings_.user));
    input.monitor_fd = keep(std::move(listener));
    for (const DiskSpec& disk : spec.disks) {
        DiskFiles names;
        for (std::size_t i = 0; i < disk.chain_top_first.size(); ++i) {
            if (i == 0) {
                TRY_ASSIGN(Fd file, open_layer_handle(disk.chain_top_first[i], surroundings_.user));
                names.names_top_first.push_back("/proc/self/fd/" + std::to_string(keep(std::move(file))));
            } else {
                TRY_ASSIGN(Fd file, open_layer_read_only(disk.chain_top_first[i]));
                const int number = keep(std::move(file));
                input.file_sets.push_back({number, file_node(disk.device_id, disk.chain_top_first.size() - 1 - i)});
                names.names_top_first.push_back("/dev/fdset/" + std::to_string(number));
            }
        }
        input.disks.push_back(std::move(names));
    }
    if (!spec.seed_image.empty()) {
        TRY_ASSIGN(Fd file, open_seed(spec.seed_image));
        const int number = keep(std::move(file));
        input.file_sets.push_back({number, "seed"});
        input.seed_file = "/dev/fdset/" + std::to_string(number);
    }
    if (!spec.uefi_vars.empty()) {
        TRY_ASSIGN(OpenedFirmware firmware, open_firmware(surroundings_.options.firmware, spec.uefi_vars, surroundings_.user));
        const int number = keep(std::move(firmware.code));
        input.file_sets.push_back({number, "firmware"});
        input.firmware_code_file = "/dev/fdset/" + std::to_string(number);
        input.firmware_vars_file = "/proc/self/fd/" + std::to_string(keep(std::move(firmware.vars)));
    }
    for (const NicSpec& nic : spec.nics) {
        std::vector<int>& numbers = input.nic_fds.emplace_back();
        if (nic.tap.empty()) continue;
        TRY_ASSIGN(std::vector<Fd> queues, open_tap(nic.tap, nic.queues));
        for (Fd& queue : queues) numbers.push_back(keep(std::move(queue)));
    }
    return opened;
}

Result<void> Machine::launch_process(const DomainSpec& spec, RunDirectory& directory, MemoryOpening* memory) {
    end_tpm(directory);
    directory.remove_leftovers();
    TRY_ASSIGN(Opened opened, open_files(spec, directory));
    if (memory != nullptr) {
        opened.input.memory_file = "/proc/self/fd/" + std::to_string(kFirstInheritedFd + static_cast<int>(opened.files.size()));
        opened.files.push_back(std::move(memory->memory));
        opened.input.state_fd = kFirstInheritedFd + static_cast<int>(opened.files.size());
        opened.files.push_back(std::move(memory->state));
    }
    TRY_ASSIGN(const Fd log, directory.open_log());
    Launch order;
    order.program = surroundings_.options.qemu_binary;
    order.arguments = command_line(opened.input);
    order.directory = directory.fd();
    order.log = log.get();
    for (const Fd& file : opened.files) order.inherited.push_back(file.get());
    order.huge_pages = memory == nullptr;  // clones share their memory in small pages, and all else is less than the huge ones it would touch
    order.laid_out_once = memory != nullptr && !opened.input.kvm;  // it was not tried with KVM
    order.user = surroundings_.user;
    if (!spec.tpm_state.empty()) {
        TRY(launch_tpm(surroundings_.options.swtpm_binary, spec.tpm_state, directory, surroundings_.user));
        crash_point("qemu.tpm-launched");
    }
    TRY_ASSIGN(Process process, surroundings_.processes->launch(order));
    crash_point("qemu.launched");
    const Result<void> written = directory.write_pid(process);
    if (!written.has_value()) telemetry::log_warning("VM {}: {}", vm_.text(), written.error().detail);  // the scan finds it all the same
    TRY(adopt(std::move(process), true));  // true: until it runs its end is start()'s own failure
    watch_tpm();
    return {};
}

// The end of a VM's TPM is its own only while the VM goes on.
void Machine::watch_tpm() {
    if (record_.spec.tpm_state.empty() || !run_) return;
    const auto lost = [run = run_, vm = vm_](std::optional<int>) {
        if (run->stop_asked || wait_for_end(run->process, kTpmAfterQemu)) return;
        telemetry::log_error("VM {}: the process of its TPM has ended; the guest's TPM answers nothing until the VM is stopped and started",
                             vm.text());
    };
    const std::optional<Process> process = find_tpm(*directory_);
    const Result<void> watched = process ? surroundings_.watch.watch(*process, lost) : Result<void>(fail(ErrorCode::not_found, "there is none"));
    if (!watched.has_value()) telemetry::log_error("VM {}: its TPM cannot be watched: {}", vm_.text(), watched.error().message);
}

Result<void> Machine::set_link_of(const NicSpec& nic, bool up) {
    TRY(ask("set_link", {{"name", nic_device(nic.device_id)}, {"up", up}}));
    return {};
}

Result<void> Machine::begin() {
    for (const NicSpec& nic : record_.spec.nics) {
        if (!nic.link_up) TRY(set_link_of(nic, false));
    }
    crash_point("qemu.prelaunch");
    TRY(ask("cont"));
    return {};
}

Result<void> Machine::start(const DomainSpec& spec) {
    TRY(check_spec(spec));
    TRY_ASSIGN(const auto lock, hold());
    TRY_ASSIGN(const bool running, alive());
    if (running) {
        TRY_ASSIGN(const std::string status, run_state());
        return status == "prelaunch" ? begin() : Result<void>();
    }
    TRY(begin_record(spec));
    Result<void> started = launch_process(record_.spec, *directory_, nullptr);
    if (started.has_value()) started = begin();
    return finish_start(std::move(started));
}

Result<void> Machine::begin_record(const DomainSpec& spec, bool durable) {
    TRY_ASSIGN(RunDirectory directory, RunDirectory::make(surroundings_.options.run_root, spec.vm.text(), surroundings_.user));
    directory_ = std::move(directory);
    record_ = DomainRecord{.spec = spec};
    record_.spec.bridges = bridges_of(spec);
    settled_ = true;
    TRY(directory_->write_record(record_, durable));
    crash_point("qemu.recorded");
    return {};
}

Result<void> Machine::finish_start(Result<void> started) {
    if (!started.has_value()) {
        kill_run();
        end_tpm(*directory_);
        if (started.error().code == ErrorCode::internal) {
            return fail(ErrorCode::start_failed, "QEMU gave up while starting the VM; the server's log says why",
                        started.error().message + ": " + started.error().detail + "; QEMU: " + directory_->log_tail());
        }
        if (started.error().code == ErrorCode::operation_failed)
            return caused(ErrorCode::start_failed, "The VM cannot be started", std::move(started.error()));
        return started;
    }
    run_->stop_asked = false;
    // It may have ended before the line above, unseen by the listener.
    if (has_ended(run_->process)) {
        const std::string tail = directory_->log_tail();
        run_.reset();
        qmp_.reset();
        return fail(ErrorCode::start_failed, "The VM ended as soon as it was started; the server's log says why", tail);
    }
    return {};
}

// --- stop and the like

Result<void> Machine::take_plug() {
    const Result<Qmp*> qmp = monitor(kPlugPatience);
    const bool told = qmp.has_value() && (*qmp)->run("quit", {}, -1, kPlugPatience).has_value();
    if (!told || !wait_for_end(run_->process, kPlugPatience)) {
        kill_process(run_->process);
        if (!wait_for_end(run_->process, kPlugPatience)) {
            return fail(ErrorCode::stop_failed, "The VM's process cannot be ended; its host's storage or kernel may hang",
                        "process " + std::to_string(run_->process.pid) + " survived SIGKILL");
        }
    }
    run_.reset();
    qmp_.reset();
    return {};
}

void Machine::ask_agent_to_shut_down() {
    (void)with_agent(1s, [](Agent& agent, Deadline deadline) { return agent.send("guest-shutdown", {{"mode", "powerdown"}}, deadline); });
}

Result<bool> Machine::wait_for_guest(const std::shared_ptr<Run>& run, const std::stop_token& stop) {
    const auto begun = std::chrono::steady_clock::now();
    bool agent_asked = false, pressed_again = false;
    while (true) {
        if (wait_for_end(run->process, kLookAgain)) return true;
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "Stopping the VM was cancelled; the guest may still shut down");
        const auto waited = std::chrono::steady_clock::now() - begun;
        if (waited >= surroundings_.options.graceful_stop) return false;
        if (!agent_asked && waited >= kAgentShutdownAfter) {
            agent_asked = true;
            ask_agent_to_shut_down();
        }
        if (!pressed_again && waited >= kPowerButtonAgain) {
            pressed_again = true;
            TRY_ASSIGN(const auto lock, hold());
            if (run_ == run) (void)ask("system_powerdown");
        }
    }
}

Result<void> Machine::stop(StopMode mode, const std::stop_token& stop) {
    TRY_ASSIGN(auto lock, hold());
    TRY_ASSIGN(const bool running, alive(false));  // one that does not answer must be stoppable too
    if (!running) {
        if (directory_) end_tpm(*directory_);  // one whose QEMU never came to be
        return {};
    }
    const std::shared_ptr<Run> run = run_;
    run->stop_asked = true;
    if (mode == StopMode::grace) {
        (void)ask("cont");  // a paused guest does not hear the power button
        (void)ask("system_powerdown");
        lock.unlock();
        Result<bool> ended = wait_for_guest(run, stop);
        if (!ended.has_value()) {
            run->stop_asked = false;
            return std::unexpected<Error>(std::move(ended.error()));
        }
        Result<std::unique_lock<std::timed_mutex>> again = hold();
        if (!again.has_value()) {
            run->stop_asked = false;  // its end is told to whoever listens
            return std::unexpected<Error>(std::move(again.error()));
        }
        lock = std::move(*again);
    }
    if (run_ != run) return {};  // another caller saw it end
    if (has_ended(run->process)) {
        run_.reset();
        qmp_.reset();
    } else {
        TRY(take_plug());
    }
    end_tpm(*directory_);
    return {};
}

Result<void> Machine::pause() {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    TRY(ask("stop"));
    return {};
}

Result<void> Machine::resume() {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    TRY(ask("cont"));
    return {};
}

Result<void> Machine::reset() {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    TRY(ask("system_reset"));
    return {};
}

// The network learns where the addresses are now; a virtio guest sends gratuitous ARP as well.
void Machine::announce() { (void)ask("announce-self", {{"initial", 50}, {"max", 550}, {"rounds", 3}, {"step", 100}}); }

Result<void> Machine::set_link(const NicId& nic, bool up) {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    for (NicSpec& known : record_.spec.nics) {
        if (known.nic != nic) continue;
        TRY(set_link_of(known, up));
        if (up) announce();
        known.link_up = up;
        save_record();
        return {};
    }
    return fail(ErrorCode::not_found, "The running VM has no such NIC");
}

Result<std::string> Machine::console_socket() {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    return directory_->path() + "/vnc.sock";
}

Result<void> Machine::forget() {
    TRY_ASSIGN(const auto lock, hold());
    TRY_ASSIGN(const bool running, alive());
    if (running) return fail(ErrorCode::wrong_state, "The VM is running; stop it first");
    if (!directory_) return {};
    end_tpm(*directory_);
    TRY(directory_->remove());
    directory_.reset();
    return {};
}

Result<void> Machine::with_agent(std::chrono::milliseconds patience, const std::function<Result<void>(Agent&, Deadline)>& use) {
    const Deadline deadline = after(patience);
    TRY_ASSIGN(const auto one_at_a_time, hold_agent(deadline));
    Fd directory;
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        directory = Fd(::fcntl(directory_->fd(), F_DUPFD_CLOEXEC, 3));
    }
    TRY_ASSIGN(Fd socket, connect_unix(directory.get(), "agent.sock", deadline));
    TRY_ASSIGN(const std::unique_ptr<Agent> agent, Agent::open(std::move(socket), deadline));
    agent_silent_until_ = {};
    return use(*agent, deadline);
}

}  // namespace ramet::hypervisor
