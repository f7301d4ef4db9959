#include "hypervisor/qemu/ready_pool.hpp"

#include <unistd.h>
#include <climits>

#include <algorithm>
#include <array>
#include <cstdio>
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

constexpr std::string_view kPrefix = "ready-";
constexpr auto kRefillPause = 300ms;  // after one was taken
constexpr auto kStartPatience = 30s;
constexpr auto kPromiseLook = 10s;
constexpr auto kDismissPatience = 5s;

void dismiss(ReadyProcess ready) {
    kill_process(ready.process);
    if (!wait_for_end(ready.process, kDismissPatience)) telemetry::log_error("process {}, which was kept ready, does not end", ready.process.pid);
    reap(ready.process, false);
    const Result<void> removed = ready.directory.remove();
    if (!removed.has_value()) telemetry::log_warning("{} ({})", removed.error().message, removed.error().detail);
}

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

bool has_nics_of(const ReadyProcess& ready, const DomainSpec& spec) {
    return spec.nics.size() == ready.nics.size() && std::ranges::all_of(spec.nics, [&](const NicSpec& wanted) {
               return std::ranges::any_of(ready.nics, [&](const NicSpec& nic) {
                   return nic.device_id == wanted.device_id && nic.mac == wanted.mac && nic.tap == wanted.tap;
               });
           });
}

bool stands_on_layers_of(const ReadyProcess& ready, const DomainSpec& spec) {
    return spec.disks.size() == ready.disks.size() && std::ranges::all_of(spec.disks, [&](const DiskSpec& wanted) {
               const auto disk = std::ranges::find(ready.disks, wanted.device_id, &DiskSpec::device_id);
               return disk != ready.disks.end() && !wanted.chain_top_first.empty() &&
                      same_places(std::span(wanted.chain_top_first).subspan(1), disk->chain_top_first);
           });
}

}  // namespace

ReadyPool::ReadyPool(Surroundings& surroundings) : surroundings_(surroundings) {
    end_leftovers();
    thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

ReadyPool::~ReadyPool() {
    thread_.request_stop();
    changed_.notify_all();
    thread_.join();
    for (auto& [directory, kept] : kept_) {
        for (ReadyProcess& ready : kept.waiting) dismiss(std::move(ready));
    }
}

// An earlier server's: nobody took them, and nobody can.
void ReadyPool::end_leftovers() {
    const std::string prefix = surroundings_.options.run_root + "/" + std::string(kPrefix);
    for (const pid_t pid : all_processes()) {
        std::array<char, PATH_MAX> path;
        const ssize_t size = ::readlink(("/proc/" + std::to_string(pid) + "/cwd").c_str(), path.data(), path.size());
        if (!std::string_view(path.data(), size > 0 ? static_cast<std::size_t>(size) : 0).starts_with(prefix)) continue;
        const Result<Process> process = open_process(pid, start_time_of(pid).value_or(0));
        if (!process.has_value()) continue;
        kill_process(*process);
        (void)wait_for_end(*process, kDismissPatience);
    }
    std::error_code error;
    std::vector<std::filesystem::path> left;
    for (const auto& entry : std::filesystem::directory_iterator(surroundings_.options.run_root, error)) {
        if (entry.path().filename().string().starts_with(kPrefix)) left.push_back(entry.path());
    }
    for (const std::filesystem::path& path : left) std::filesystem::remove_all(path, error);
}

void ReadyPool::keep(const KeptMemory& memory, std::size_t count) {
    std::vector<ReadyProcess> surplus;
    {
        const std::lock_guard lock(mutex_);
        Kept& kept = kept_[memory.place.directory];
        kept.memory = memory;
        kept.count = count;
        while (kept.waiting.size() > count) {
            surplus.push_back(std::move(kept.waiting.back()));
            kept.waiting.pop_back();
        }
        if (count == 0) kept_.erase(memory.place.directory);
    }
    changed_.notify_all();
    for (ReadyProcess& ready : surplus) dismiss(std::move(ready));
}

std::vector<ReadyMachine> ReadyPool::promise(const MemoryPlace& place, std::size_t count) {
    const std::lock_guard lock(mutex_);
    std::vector<ReadyMachine> promised;
    const auto kept = kept_.find(place.directory);
    if (kept == kept_.end()) return promised;
    for (ReadyProcess& ready : kept->second.waiting) {
        if (promised.size() == count) break;
        if (!ready.loaded || ready.promised_until || has_ended(ready.process)) continue;
        ready.promised_until = steady_clock::now() + kReadyPromise;
        ReadyMachine& machine = promised.emplace_back();
        for (const NicSpec& nic : ready.nics) machine.nics.push_back({nic.device_id, nic.mac, nic.tap});
    }
    if (!promised.empty()) quiet_until_ = steady_clock::now() + kRefillPause;
    changed_.notify_all();
    return promised;
}

std::optional<ReadyProcess> ReadyPool::take(const MemoryPlace& place, const DomainSpec& spec) {
    const std::lock_guard lock(mutex_);
    const auto kept = kept_.find(place.directory);
    if (kept == kept_.end()) return std::nullopt;
    quiet_until_ = steady_clock::now() + kRefillPause;
    changed_.notify_all();
    std::vector<ReadyProcess>& waiting = kept->second.waiting;
    for (auto found = waiting.begin(); found != waiting.end();) {
        if (found->loaded && !has_nics_of(*found, spec)) {
            ++found;
            continue;
        }
        ReadyProcess ready = std::move(*found);
        found = waiting.erase(found);
        if (!has_ended(ready.process) && (!ready.loaded || stands_on_layers_of(ready, spec))) return ready;
        dismiss(std::move(ready));  // and lets go of the VM's taps
    }
    return std::nullopt;
}

bool ReadyPool::Kept::wants_more() const {
    const auto free = std::ranges::count_if(waiting, [](const ReadyProcess& ready) { return !ready.promised_until; });
    return static_cast<std::size_t>(free) < count && waiting.size() < 2 * count;  // calls that fail after a promise make no more
}

bool ReadyPool::end_unused_promises(std::unique_lock<std::mutex>& lock) {
    std::vector<ReadyProcess> unused;
    for (auto& [directory, kept] : kept_) {
        for (auto found = kept.waiting.begin(); found != kept.waiting.end();) {
            const bool over = found->promised_until && *found->promised_until < steady_clock::now();
            if (over) unused.push_back(std::move(*found));
            found = over ? kept.waiting.erase(found) : found + 1;
        }
    }
    if (unused.empty()) return false;
    lock.unlock();  // their end may take a while, and clones ask meanwhile
    for (ReadyProcess& ready : unused) dismiss(std::move(ready));
    lock.lock();
    return true;
}

void ReadyPool::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (end_unused_promises(lock)) continue;
        const auto wanting = std::ranges::find_if(kept_, [](const auto& one) { return one.second.wants_more(); });
        if (wanting == kept_.end()) {
            changed_.wait_for(lock, stop, kPromiseLook,
                              [this] { return std::ranges::any_of(kept_, [](const auto& one) { return one.second.wants_more(); }); });
            continue;
        }
        if (steady_clock::now() < quiet_until_) {
            changed_.wait_until(lock, stop, quiet_until_, [] { return false; });
            continue;
        }
        const KeptMemory memory = wanting->second.memory;
        lock.unlock();
        Result<ReadyProcess> made = make(memory);
        lock.lock();
        const auto kept = kept_.find(memory.place.directory);
        if (made.has_value() && kept != kept_.end() && kept->second.wants_more()) {
            kept->second.waiting.push_back(std::move(*made));
        } else if (made.has_value()) {
            lock.unlock();
            dismiss(std::move(*made));
            lock.lock();
        } else {
            telemetry::log_warning("no process is kept ready for {}: {} ({})", memory.place.directory, made.error().message, made.error().detail);
            if (kept != kept_.end()) kept_.erase(kept);  // what fails once would fail for ever
        }
    }
}

Result<ReadyProcess> ReadyPool::make(const KeptMemory& memory) {
    TRY(check_layout(memory.layout, surroundings_.capabilities));
    TRY_ASSIGN(const DomainSpec captured, captured_spec(memory.layout));
    if (!captured.uefi_vars.empty() || !captured.tpm_state.empty()) return fail(ErrorCode::unsupported, "a VM with UEFI or a TPM starts by itself");
    DomainSpec spec = captured;
    spec.vm = VmId::random();
    spec.machine_serial.clear();
    spec.disks.clear();
    spec.nics.clear();
    TRY_ASSIGN(ReadyProcess ready, launch_machine(memory.place, spec));
    const bool with_taps = std::ranges::none_of(captured.nics, [](const NicSpec& nic) { return nic.tap.empty(); });
    Result<void> whole = with_taps ? load(ready, memory, captured) : Result<void>();
    if (whole.has_value()) whole = ready.directory.write_pid(ready.process);  // for people and tests: it waits from now on
    if (whole.has_value()) return ready;
    dismiss(std::move(ready));
    return std::unexpected(std::move(whole.error()));
}

Result<void> ReadyPool::load(ReadyProcess& ready, const KeptMemory& memory, const DomainSpec& captured) {
    ready.with_seed = !captured.seed_image.empty();
    ready.disks = memory.disks;
    for (DiskSpec& disk : ready.disks) {  // the guest knows the serials of its source's disks
        const auto known = std::ranges::find(captured.disks, disk.device_id, &DiskSpec::device_id);
        if (known != captured.disks.end()) disk.volume = known->volume;
    }
    for (NicSpec nic : captured.nics) ready.nics.push_back(fresh_nic(std::move(nic)));
    return Machine(surroundings_, VmId::random()).load_ready(ready, memory.place);
}

Result<ReadyProcess> ReadyPool::launch_machine(const MemoryPlace& place, const DomainSpec& spec) {
    TRY_ASSIGN(RunDirectory directory, RunDirectory::make(surroundings_.options.run_root, std::string(kPrefix) + spec.vm.text(), surroundings_.user));
    TRY_ASSIGN(const Fd lock, directory.lock());
    TRY_ASSIGN(const Fd listener, directory.listen("qmp.sock", surroundings_.user));
    TRY_ASSIGN(const Fd log, directory.open_log());
    TRY_ASSIGN(const MemoryOpening opening, MemoryOpening::begin(place));
    CommandLineInput input;
    input.spec = spec;
    input.ready = true;
    input.kvm = surroundings_.capabilities.accelerator == "kvm";
    input.tcg_tb_megabytes = surroundings_.options.tcg_tb_megabytes;
    input.monitor_fd = kFirstInheritedFd + 1;
    input.memory_file = "/proc/self/fd/" + std::to_string(kFirstInheritedFd + 2);
    Launch order;
    order.program = surroundings_.options.qemu_binary;
    order.arguments = command_line(input);
    order.directory = directory.fd();
    order.log = log.get();
    order.inherited = {lock.get(), listener.get(), opening.memory.get()};
    order.huge_pages = false;  // this and the next as for every process that maps a captured memory
    order.laid_out_once = !input.kvm;
    order.user = surroundings_.user;
    TRY_ASSIGN(Process process, surroundings_.processes->launch(order));
    ReadyProcess ready{.directory = std::move(directory), .process = std::move(process), .qmp = nullptr};
    const Deadline deadline = steady_clock::now() + kStartPatience;
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

}  // namespace ramet::hypervisor
