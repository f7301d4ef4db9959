#include "hypervisor/qemu/qemu.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "hypervisor/qemu/kvm_probe.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "hypervisor/qemu/memory_layout.hpp"
#include "hypervisor/qemu/ready_pool.hpp"
#include "hypervisor/qemu/templates.hpp"
#include "hypervisor/qemu/tpm.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {
namespace {

constexpr const char* kForkedSeries = "QEMU 7.2.";  // its constructors and entry points are known to bear it
constexpr auto kProbePatience = std::chrono::seconds(5);
constexpr auto kVersionPatience = std::chrono::seconds(10);

std::optional<User> find_user(const std::string& name) {
    std::array<char, 16 * 1024> buffer;
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
    return User{name, entry.pw_uid, entry.pw_gid, {}};
}

// Who QEMU runs as; empty when we are not root and it can only be ourselves.
Result<std::optional<User>> choose_user(const QemuOptions& options) {
    if (::geteuid() != 0) return std::optional<User>();
    std::optional<User> user = find_user(options.qemu_user);
    if (!user) {
        user = find_user("nobody");
        telemetry::log_warning("user {} does not exist: QEMU runs as nobody, which other services may use too; create it with: useradd --system {}",
                               options.qemu_user, options.qemu_user);
    }
    if (!user || user->uid == 0) return fail(ErrorCode::internal, "QEMU needs an unprivileged user to run as; create ramet-qemu", options.qemu_user);
    return user;
}

// Adds the group of /dev/kvm where that is what opens it.
void add_kvm_group(User& user) {
    struct stat facts{};
    if (::stat("/dev/kvm", &facts) == 0 && (facts.st_mode & 0060) == 0060 && facts.st_gid != 0) user.groups.push_back(facts.st_gid);
}

// KVM is tried once per process and program: the machine does not change under us.
ProbeResult probe_kvm_once(const std::string& binary, const std::optional<User>& user) {
    static std::mutex mutex;
    static std::map<std::string, ProbeResult> known;
    const std::lock_guard lock(mutex);
    const std::string key = binary + " " + (user ? user->name : "");
    if (const auto found = known.find(key); found != known.end()) return found->second;
    ProbeResult result{false, "this machine has no /dev/kvm"};
    if (::access("/dev/kvm", F_OK) == 0) result = probe_accelerator(binary, "kvm", "host", user, kProbePatience);
    return known[key] = result;
}

Result<std::string> version_of(const std::string& binary) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return fail(ErrorCode::internal, "Too many open files");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const Fd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Launch order;
    order.program = binary;
    order.arguments = {"--version"};
    order.directory = directory.get();
    order.log = writing.get();
    TRY_ASSIGN(const Process process, launch(order));
    writing.reset();
    if (!wait_for_end(process, kVersionPatience)) kill_process(process);
    reap(process, true);
    std::array<char, 256> text{};
    const ssize_t count = ::read(reading.get(), text.data(), text.size() - 1);
    const std::string line(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    const std::string before = "version ";
    const std::size_t place = line.find(before);
    if (place == std::string::npos)
        return fail(ErrorCode::internal, "QEMU does not tell its version; check that it is installed", binary + ": " + line);
    return "QEMU " + line.substr(place + before.size(), line.find_first_of(" \n(", place + before.size()) - place - before.size());
}

// Saving memory while the guest writes to it needs userfaultfd, which the kernel gives to unprivileged processes only when it is told to.
// The last word has QEMU at the capture; this one is for plans.
ProbeResult probe_live_memory(bool allow) {
    constexpr const char* kSetting = "/proc/sys/vm/unprivileged_userfaultfd";
    char value = '?';
    const Fd reading(::open(kSetting, O_RDONLY | O_CLOEXEC));
    if (!reading.valid() || ::read(reading.get(), &value, 1) != 1) return {false, "this kernel has no userfaultfd"};
    if (value == '0' && allow && ::geteuid() == 0) {
        const Fd writing(::open(kSetting, O_WRONLY | O_CLOEXEC));
        if (writing.valid() && ::write(writing.get(), "1\n", 2) == 2) value = '1';
    }
    if (value == '1') return {true, "userfaultfd: the guest runs on while its memory is saved"};
    return {false, "QEMU may not use userfaultfd; set vm.unprivileged_userfaultfd=1 with sysctl, or start rametd with --allow-userfaultfd"};
}

class QemuHypervisor final : public Hypervisor {
public:
    explicit QemuHypervisor(std::unique_ptr<Surroundings> surroundings)
        : surroundings_(std::move(surroundings)),
          ready_(*surroundings_),
          templates_(*surroundings_) {
        surroundings_->ready = &ready_;
        surroundings_->templates = &templates_;
    }

    const Capabilities& capabilities() const override { return surroundings_->capabilities; }
    Result<void> start(const DomainSpec& spec) override {
        TRY(check_spec(spec));
        return machine(spec.vm)->start(spec);
    }
    Result<void> stop(const VmId& vm, StopMode mode, std::stop_token stop) override { return machine(vm)->stop(mode, stop); }
    Result<void> pause(const VmId& vm) override { return machine(vm)->pause(); }
    Result<void> resume(const VmId& vm) override { return machine(vm)->resume(); }
    Result<void> reset(const VmId& vm) override { return machine(vm)->reset(); }
    Result<DomainState> state(const VmId& vm) override { return machine(vm)->state(); }
    Result<bool> is_stopped_by_io(const VmId& vm) override { return machine(vm)->is_stopped_by_io(); }
    Result<std::string> generation_id(const VmId& vm) override { return machine(vm)->generation_id(); }
    Result<std::vector<VmId>> running_domains() override;
    Result<std::vector<VmId>> running_tpms() override;
    Result<bool> disks_untouched(const VmId& vm) override { return machine(vm)->disks_untouched(); }
    Result<CaptureFacts> snapshot_disks(const VmId& vm, const std::vector<OverlaySpec>& overlays, Quiesce quiesce,
                                        const WhileStopped& while_stopped) override {
        return machine(vm)->snapshot_disks(overlays, quiesce, while_stopped);
    }
    Result<void> agent_answers(const VmId& vm) override { return machine(vm)->agent_answers(); }
    Result<MemoryFacts> capture_memory(const VmId& vm, const std::vector<OverlaySpec>& overlays, const MemoryPlace& place, std::stop_token stop,
                                       const WhileStopped& while_stopped) override {
        return machine(vm)->capture_memory(overlays, place, stop, while_stopped);
    }
    Result<void> memory_fits(const std::string& layout) override { return check_layout(layout, surroundings_->capabilities); }
    void in_background(const VmId& vm, bool wanted) override { machine(vm)->in_background(wanted); }
    Result<void> start_from_memory(const DomainSpec& spec, const MemoryPlace& place, const std::string& layout, std::size_t together) override {
        TRY(check_spec(spec));
        return machine(spec.vm)->start_from_memory(spec, place, layout, together);
    }
    void keep_ready(const KeptMemory& memory, std::size_t count) override { ready_.keep(memory, count); }
    std::vector<ReadyMachine> promise_ready(const MemoryPlace& place, std::size_t count) override { return ready_.promise(place, count); }
    Result<std::optional<std::string>> verify_memory(const MemoryPlace& place, std::stop_token stop) override {
        return verify_memory_files(place, stop);
    }
    Result<void> remove_memory(const MemoryPlace& place) override {
        templates_.forget(place);
        return remove_memory_files(place);
    }
    Result<void> swap_nic(const VmId& vm, const NicSpec& nic) override { return machine(vm)->swap_nic(nic); }
    Result<std::vector<DiskTop>> disk_tops(const VmId& vm) override { return machine(vm)->disk_tops(); }
    Result<void> shorten_disk(const VmId& vm, const ShortenSpec& spec, const storage::CopyObserver& observer, std::stop_token stop) override {
        return machine(vm)->shorten_disk(spec, observer, stop);
    }
    Result<void> attach_disk(const VmId& vm, const DiskSpec& disk) override { return machine(vm)->attach_disk(disk); }
    Result<void> detach_disk(const VmId& vm, const VolumeId& volume) override { return machine(vm)->detach_disk(volume); }
    Result<void> set_link(const VmId& vm, const NicId& nic, bool up) override { return machine(vm)->set_link(nic, up); }
    Result<void> agent_ping(const VmId& vm, std::chrono::milliseconds patience) override;
    Result<std::vector<std::string>> agent_addresses(const VmId& vm, std::chrono::milliseconds patience) override;
    Result<ExecResult> agent_exec(const VmId& vm, const std::string& program, const std::vector<std::string>& arguments, const std::string& input,
                                  std::chrono::milliseconds patience, const std::stop_token& stop) override;
    Result<void> agent_set_clock(const VmId& vm, std::chrono::milliseconds patience) override;
    Result<void> agent_write_file(const VmId& vm, const std::string& path, const std::string& content) override;
    Result<std::string> agent_read_file(const VmId& vm, const std::string& path, std::size_t bytes_max) override;
    Result<std::string> console_socket(const VmId& vm) override { return machine(vm)->console_socket(); }
    void on_exit(std::function<void(const VmId&)> listener) override {
        const std::lock_guard lock(surroundings_->listener_mutex);
        surroundings_->listener = std::move(listener);
    }
    Result<std::vector<VmId>> reattach() override;
    Result<void> forget(const VmId& vm) override {
        TRY(machine(vm)->forget());
        const std::lock_guard lock(mutex_);
        machines_.erase(vm);
        return {};
    }

private:
    std::shared_ptr<Machine> machine(const VmId& vm) {
        const std::lock_guard lock(mutex_);
        std::shared_ptr<Machine>& found = machines_[vm];
        if (!found) found = std::make_shared<Machine>(*surroundings_, vm);
        return found;
    }

    std::unique_ptr<Surroundings> surroundings_;
    ReadyPool ready_;
    Templates templates_;
    std::mutex mutex_;
    std::map<VmId, std::shared_ptr<Machine>> machines_;
};

// Every process whose working directory is a run directory of ours, even one that was removed: nothing is asked of the database or the records.
std::vector<std::pair<pid_t, VmId>> processes_below(const std::string& run_root) {
    const std::string prefix = run_root + "/";
    std::vector<std::pair<pid_t, VmId>> found;
    for (const pid_t pid : all_processes()) {
        std::array<char, PATH_MAX> path;
        const ssize_t size = ::readlink(("/proc/" + std::to_string(pid) + "/cwd").c_str(), path.data(), path.size());
        const std::string directory(path.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
        if (!directory.starts_with(prefix)) continue;
        const std::string name = directory.substr(prefix.size(), 32);
        if (is_uuid_text(name)) found.emplace_back(pid, VmId::trusted(name));
    }
    return found;
}

Result<std::vector<VmId>> QemuHypervisor::running_domains() {
    std::vector<VmId> found;
    for (const auto& [pid, vm] : processes_below(surroundings_->options.run_root)) {
        if (names_vm(command_line_of(pid), vm)) found.push_back(vm);
    }
    return found;
}

Result<std::vector<VmId>> QemuHypervisor::running_tpms() {
    std::vector<VmId> found;
    for (const auto& [pid, vm] : processes_below(surroundings_->options.run_root)) {
        if (is_tpm(pid)) found.push_back(vm);
    }
    return found;
}

Result<std::vector<VmId>> QemuHypervisor::reattach() {
    std::vector<VmId> running;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(surroundings_->options.run_root, error)) {
        const std::string name = entry.path().filename().string();
        if (!is_uuid_text(name)) continue;
        const VmId vm = VmId::trusted(name);
        const Result<bool> alive = machine(vm)->take_up();
        if (!alive.has_value()) telemetry::log_error("VM {} cannot be taken up: {} ({})", name, alive.error().message, alive.error().detail);
        if (alive.has_value() && *alive) running.push_back(vm);
    }
    if (error) return fail(ErrorCode::internal, "The run directory cannot be read", surroundings_->options.run_root + ": " + error.message());
    return running;
}

Result<void> QemuHypervisor::agent_ping(const VmId& vm, std::chrono::milliseconds patience) {
    return machine(vm)->with_agent(patience, [](Agent& agent, Deadline deadline) -> Result<void> {
        TRY(agent.run("guest-ping", {}, deadline));
        return {};
    });
}

Result<std::vector<std::string>> QemuHypervisor::agent_addresses(const VmId& vm, std::chrono::milliseconds patience) {
    std::vector<std::string> found;
    TRY(machine(vm)->with_agent(patience, [&](Agent& agent, Deadline deadline) -> Result<void> {
        TRY_ASSIGN(found, agent.addresses(deadline));
        return {};
    }));
    return found;
}

Result<ExecResult> QemuHypervisor::agent_exec(const VmId& vm, const std::string& program, const std::vector<std::string>& arguments,
                                              const std::string& input, std::chrono::milliseconds patience, const std::stop_token& stop) {
    ExecResult result;
    TRY(machine(vm)->with_agent(patience, [&](Agent& agent, Deadline deadline) -> Result<void> {
        TRY_ASSIGN(result, agent.exec(program, arguments, input, deadline, stop));
        return {};
    }));
    return result;
}

Result<void> QemuHypervisor::agent_set_clock(const VmId& vm, std::chrono::milliseconds patience) {
    return machine(vm)->with_agent(patience, [](Agent& agent, Deadline deadline) { return agent.set_clock(deadline); });
}

Result<void> QemuHypervisor::agent_write_file(const VmId& vm, const std::string& path, const std::string& content) {
    return machine(vm)->with_agent(limits::kAgentTimeout, [&](Agent& agent, Deadline deadline) { return agent.write_file(path, content, deadline); });
}

Result<std::string> QemuHypervisor::agent_read_file(const VmId& vm, const std::string& path, std::size_t bytes_max) {
    std::string content;
    TRY(machine(vm)->with_agent(limits::kAgentTimeout, [&](Agent& agent, Deadline deadline) -> Result<void> {
        TRY_ASSIGN(content, agent.read_file(path, bytes_max, deadline));
        return {};
    }));
    return content;
}

// Makes run_root and returns its canonical path: the kernel names working directories by it.
Result<std::string> prepare_run_root(const std::string& wanted) {
    std::error_code error;
    std::filesystem::create_directories(wanted, error);
    std::array<char, PATH_MAX> path;
    if (wanted.empty() || wanted.front() != '/' || ::realpath(wanted.c_str(), path.data()) == nullptr) {
        return fail(ErrorCode::invalid_argument, "The run directory cannot be made; choose a data directory that the server may write", wanted);
    }
    return std::string(path.data());
}

}  // namespace

Result<std::unique_ptr<Hypervisor>> open_qemu(const QemuOptions& options) {
    auto surroundings = std::make_unique<Surroundings>();
    surroundings->options = options;
    TRY_ASSIGN(surroundings->options.run_root, prepare_run_root(options.run_root));
    if (options.guard_binary.empty()) surroundings->options.guard_binary = beside_this_program("ramet-freeze-guard");
    TRY_ASSIGN(surroundings->user, choose_user(options));
    Capabilities& capabilities = surroundings->capabilities;
    TRY_ASSIGN(capabilities.version, version_of(options.qemu_binary));
    capabilities.machine_type = kMachineType;
    capabilities.privileged_network = ::geteuid() == 0 && Fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC)).valid();
    capabilities.qemu_user = surroundings->user ? surroundings->user->name : std::to_string(::geteuid());
    capabilities.uefi_missing = uefi_missing(options.firmware);
    capabilities.tpm_missing = tpm_missing(options.swtpm_binary);
    std::optional<User> with_kvm = surroundings->user;
    if (with_kvm) add_kvm_group(*with_kvm);
    const ProbeResult kvm = options.force_tcg ? ProbeResult{false, "emulation was asked for"} : probe_kvm_once(options.qemu_binary, with_kvm);
    capabilities.accelerator = kvm.works ? "kvm" : "tcg";
    capabilities.accelerator_reason = kvm.works ? "KVM works: " + kvm.reason : "KVM is not used: " + kvm.reason;
    if (kvm.works) surroundings->user = with_kvm;
    const ProbeResult live = probe_live_memory(options.allow_userfaultfd);
    capabilities.live_memory = live.works;
    capabilities.live_memory_reason = live.reason;
    const bool forks = options.fork_processes && capabilities.version.starts_with(kForkedSeries);
    surroundings->processes =
        std::make_unique<ForkServer>(ForkServerOptions{options.qemu_binary, forks ? beside_this_program("ramet-fork-server.so") : "",
                                                       surroundings->options.run_root + "/fork-server.log", surroundings->user, true});
    telemetry::log_info("VMs' processes: {}", forks                    ? "forks of a QEMU that waits"
                                              : options.fork_processes ? "executed; forks were tried with QEMU 7.2 alone"
                                                                       : "executed, as was asked for");
    return std::unique_ptr<Hypervisor>(std::make_unique<QemuHypervisor>(std::move(surroundings)));
}

}  // namespace ramet::hypervisor
