#include "hypervisor/qemu/ready_process.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>

#include "hypervisor/qemu/command_line.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "hypervisor/qemu/memory_files.hpp"
#include "hypervisor/qemu/memory_layout.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto kReadyStartPatience = 30s;

// A MAC and a tap that nothing has yet. Whoever makes a clone looks whether the rows know the MAC.
NicSpec fresh_nic(NicSpec nic) {
    const std::string digits = VmId::random().text();
    char device[4];
    std::snprintf(device, sizeof device, "%02x", static_cast<unsigned>(nic.device_id & 0xff));
    nic.mac = "fa:" + digits.substr(0, 2) + ":" + digits.substr(2, 2) + ":" + digits.substr(4, 2) + ":" + digits.substr(6, 2) + ":" + device;
    nic.tap = "rt" + digits.substr(20, 12);
    return nic;
}

bool same_places(std::span<const storage::Place> a, std::span<const storage::Place> b) {
    return std::ranges::equal(a, b, [](const storage::Place& one, const storage::Place& other) {
        return one.root == other.root && one.path == other.path && one.format == other.format;
    });
}

Result<void> make_order_sockets(Fd& ours, Fd& theirs) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return fail(ErrorCode::internal, "Too many open files", std::strerror(errno));
    ours = Fd(ends[0]);
    theirs = Fd(ends[1]);
    return {};
}

// What is known of forks is known of these.
Result<void> check_forks(const Surroundings& surroundings, const DomainSpec& captured, bool with_taps) {
    if (surroundings.capabilities.accelerator == "kvm") return fail(ErrorCode::unsupported, "forks were not tried with KVM");
    if (!surroundings.processes->forks()) return fail(ErrorCode::unsupported, "QEMU is executed for every VM");
    if (!with_taps) return fail(ErrorCode::unsupported, "QEMU's user networking depends on the clone");
    const bool all_virtio = std::ranges::all_of(captured.nics, [](const NicSpec& nic) { return nic.driver.empty() || nic.driver == "virtio"; });
    if (!all_virtio) return fail(ErrorCode::unsupported, "a NIC that is not virtio keeps its MAC");
    return {};
}

Result<ReadyProcess> launch_machine(Surroundings& surroundings, const MemoryPlace& place, const DomainSpec& spec, ReadyUse use) {
    const std::string name = (use == ReadyUse::forks ? kTemplatePrefix : kReadyPrefix) + spec.vm.text();
    TRY_ASSIGN(RunDirectory directory, RunDirectory::make(surroundings.options.run_root, name, surroundings.user));
    TRY_ASSIGN(const Fd lock, directory.lock());
    TRY_ASSIGN(const Fd listener, directory.listen("qmp.sock", surroundings.user));
    TRY_ASSIGN(const Fd log, directory.open_log());
    TRY_ASSIGN(const MemoryOpening opening, MemoryOpening::begin(place));
    CommandLineInput input;
    input.spec = spec;
    input.ready = true;
    input.forks = use == ReadyUse::forks;
    input.kvm = surroundings.capabilities.accelerator == "kvm";
    input.tcg_tb_megabytes = surroundings.options.tcg_tb_megabytes;
    input.monitor_fd = kFirstInheritedFd + 1;
    input.memory_file = "/proc/self/fd/" + std::to_string(kFirstInheritedFd + 2);
    Launch order;
    order.program = surroundings.options.qemu_binary;
    order.arguments = command_line(input);
    order.directory = directory.fd();
    order.log = log.get();
    order.inherited = {lock.get(), listener.get(), opening.memory.get()};
    order.huge_pages = false;  // this and the next as for every process that maps a captured memory
    order.laid_out_once = !input.kvm;
    order.user = surroundings.user;
    Fd ours, theirs;
    if (use == ReadyUse::forks) {
        TRY(make_order_sockets(ours, theirs));
        order.inherited.push_back(theirs.get());
        order.template_orders = kFirstInheritedFd + static_cast<int>(order.inherited.size()) - 1;
    }
    Result<Process> process = surroundings.processes->launch(order);
    if (!process.has_value()) {
        (void)directory.remove();  // else it lies there until the next server comes
        return std::unexpected<Error>(std::move(process.error()));
    }
    theirs.reset();  // a process that is no template lets go of its own: orders then fail at once
    ReadyProcess ready{
        .machine = spec.vm, .directory = std::move(directory), .process = std::move(*process), .qmp = nullptr, .orders = std::move(ours)};
    const Deadline deadline = steady_clock::now() + kReadyStartPatience;
    Result<Fd> socket = connect_unix(ready.directory.fd(), "qmp.sock", deadline);
    Result<std::unique_ptr<Qmp>> qmp = socket.has_value() ? Qmp::open(std::move(*socket), deadline) : std::unexpected<Error>(socket.error());
    if (!qmp.has_value()) {
        const std::string tail = ready.directory.log_tail();
        dismiss(std::move(ready));
        return fail(ErrorCode::start_failed, "QEMU gave up while it was started", qmp.error().message + "; QEMU: " + tail);
    }
    ready.qmp = std::move(*qmp);
    return ready;
}

Result<void> load(Surroundings& surroundings, ReadyProcess& ready, const KeptMemory& memory, const DomainSpec& captured) {
    ready.with_seed = !captured.seed_image.empty();
    ready.disks = memory.disks;
    for (DiskSpec& disk : ready.disks) {  // the guest knows the serials of its source's disks
        const auto known = std::ranges::find(captured.disks, disk.device_id, &DiskSpec::device_id);
        if (known != captured.disks.end()) disk.volume = known->volume;
    }
    for (NicSpec nic : captured.nics) ready.nics.push_back(fresh_nic(std::move(nic)));
    return Machine(surroundings, VmId::random()).load_ready(ready, memory.place);
}

}  // namespace

void dismiss(ReadyProcess ready) {
    kill_process(ready.process);
    if (!wait_for_end(ready.process, kDismissPatience)) telemetry::log_error("process {}, which was kept ready, does not end", ready.process.pid);
    reap(ready.process, false);
    const Result<void> removed = ready.directory.remove();
    if (!removed.has_value()) telemetry::log_warning("{} ({})", removed.error().message, removed.error().detail);
}

// Nobody took them, and nobody can.
void end_leftover_processes(const std::string& run_root) {
    const auto is_left = [](const std::string& name) { return name.starts_with(kReadyPrefix) || name.starts_with(kTemplatePrefix); };
    for (const pid_t pid : all_processes()) {
        std::error_code gone;
        const std::filesystem::path directory = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/cwd", gone);
        if (gone || directory.parent_path() != run_root || !is_left(directory.filename())) continue;
        const Result<Process> process = open_process(pid, start_time_of(pid).value_or(0));
        if (!process.has_value()) continue;
        kill_process(*process);
        (void)wait_for_end(*process, kDismissPatience);
    }
    std::error_code error;
    std::vector<std::filesystem::path> left;
    for (const auto& entry : std::filesystem::directory_iterator(run_root, error)) {
        if (is_left(entry.path().filename())) left.push_back(entry.path());
    }
    for (const std::filesystem::path& path : left) std::filesystem::remove_all(path, error);
}

bool stands_on_layers_of(const ReadyProcess& ready, const DomainSpec& spec) {
    return spec.disks.size() == ready.disks.size() && std::ranges::all_of(spec.disks, [&](const DiskSpec& wanted) {
               const auto disk = std::ranges::find(ready.disks, wanted.device_id, &DiskSpec::device_id);
               return disk != ready.disks.end() && !wanted.chain_top_first.empty() &&
                      same_places(std::span(wanted.chain_top_first).subspan(1), disk->chain_top_first);
           });
}

Result<ReadyProcess> make_ready(Surroundings& surroundings, const KeptMemory& memory, ReadyUse use) {
    TRY(check_layout(memory.layout, surroundings.capabilities));
    TRY_ASSIGN(const DomainSpec captured, captured_spec(memory.layout));
    if (!captured.uefi_vars.empty() || !captured.tpm_state.empty()) return fail(ErrorCode::unsupported, "a VM with UEFI or a TPM starts by itself");
    DomainSpec spec = captured;
    spec.vm = VmId::random();
    spec.machine_serial = use == ReadyUse::forks ? spec.vm.text() : "";
    spec.generation.clear();
    spec.disks.clear();
    spec.nics.clear();
    const bool with_taps = std::ranges::none_of(captured.nics, [](const NicSpec& nic) { return nic.tap.empty(); });
    if (use == ReadyUse::forks) TRY(check_forks(surroundings, captured, with_taps));
    TRY_ASSIGN(ReadyProcess ready, launch_machine(surroundings, memory.place, spec, use));
    Result<void> whole = with_taps ? load(surroundings, ready, memory, captured) : Result<void>();
    if (whole.has_value()) whole = ready.directory.write_pid(ready.process);  // for people and tests: it waits from now on
    if (whole.has_value()) return ready;
    dismiss(std::move(ready));
    return std::unexpected(std::move(whole.error()));
}

}  // namespace ramet::hypervisor
