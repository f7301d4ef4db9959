#include "hypervisor/qemu/ready_pool.hpp"

#include <unistd.h>
#include <climits>

#include <algorithm>
#include <array>
#include <filesystem>

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
constexpr auto kDismissPatience = 5s;

void dismiss(ReadyProcess ready) {
    kill_process(ready.process);
    if (!wait_for_end(ready.process, kDismissPatience)) telemetry::log_error("process {}, which was kept ready, does not end", ready.process.pid);
    reap(ready.process, false);
    const Result<void> removed = ready.directory.remove();
    if (!removed.has_value()) telemetry::log_warning("{} ({})", removed.error().message, removed.error().detail);
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

void ReadyPool::keep(const MemoryPlace& place, const std::string& layout, std::size_t count) {
    std::vector<ReadyProcess> surplus;
    {
        const std::lock_guard lock(mutex_);
        Kept& kept = kept_[place.directory];
        kept.layout = layout;
        kept.count = count;
        while (kept.waiting.size() > count) {
            surplus.push_back(std::move(kept.waiting.back()));
            kept.waiting.pop_back();
        }
        if (count == 0) kept_.erase(place.directory);
    }
    changed_.notify_all();
    for (ReadyProcess& ready : surplus) dismiss(std::move(ready));
}

std::optional<ReadyProcess> ReadyPool::take(const MemoryPlace& place) {
    const std::lock_guard lock(mutex_);
    const auto kept = kept_.find(place.directory);
    if (kept == kept_.end()) return std::nullopt;
    quiet_until_ = steady_clock::now() + kRefillPause;
    changed_.notify_all();
    while (!kept->second.waiting.empty()) {
        ReadyProcess ready = std::move(kept->second.waiting.back());
        kept->second.waiting.pop_back();
        if (!has_ended(ready.process)) return ready;
        dismiss(std::move(ready));
    }
    return std::nullopt;
}

void ReadyPool::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        const auto wanting = std::ranges::find_if(kept_, [](const auto& one) { return one.second.waiting.size() < one.second.count; });
        if (wanting == kept_.end()) {
            changed_.wait(lock, stop, [this] {
                return std::ranges::any_of(kept_, [](const auto& one) { return one.second.waiting.size() < one.second.count; });
            });
            continue;
        }
        if (steady_clock::now() < quiet_until_) {
            changed_.wait_until(lock, stop, quiet_until_, [] { return false; });
            continue;
        }
        const MemoryPlace place{wanting->first};
        const std::string layout = wanting->second.layout;
        lock.unlock();
        Result<ReadyProcess> made = make(place, layout);
        lock.lock();
        const auto kept = kept_.find(place.directory);
        if (made.has_value() && kept != kept_.end() && kept->second.waiting.size() < kept->second.count) {
            kept->second.waiting.push_back(std::move(*made));
        } else if (made.has_value()) {
            lock.unlock();  // its end may take a while, and clones ask meanwhile
            dismiss(std::move(*made));
            lock.lock();
        } else {
            telemetry::log_warning("no process is kept ready for {}: {} ({})", place.directory, made.error().message, made.error().detail);
            if (kept != kept_.end()) kept_.erase(kept);  // what fails once would fail for ever
        }
    }
}

Result<ReadyProcess> ReadyPool::make(const MemoryPlace& place, const std::string& layout) {
    TRY(check_layout(layout, surroundings_.capabilities));
    TRY_ASSIGN(DomainSpec spec, captured_spec(layout));
    if (!spec.uefi_vars.empty() || !spec.tpm_state.empty()) return fail(ErrorCode::unsupported, "a VM with UEFI or a TPM starts by itself");
    spec.vm = VmId::random();
    spec.machine_serial.clear();
    spec.disks.clear();
    spec.nics.clear();
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
    order.user = surroundings_.user;
    TRY_ASSIGN(Process process, launch(order));
    ReadyProcess ready{std::move(directory), std::move(process), nullptr};
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
