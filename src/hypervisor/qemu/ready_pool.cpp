#include "hypervisor/qemu/ready_pool.hpp"

#include <algorithm>

#include "hypervisor/qemu/machine.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto kRefillPause = 300ms;  // after one was taken
constexpr auto kPromiseLook = 10s;

bool has_nics_of(const ReadyProcess& ready, const DomainSpec& spec) {
    return spec.nics.size() == ready.nics.size() && std::ranges::all_of(spec.nics, [&](const NicSpec& wanted) {
               return std::ranges::any_of(ready.nics, [&](const NicSpec& nic) {
                   return nic.device_id == wanted.device_id && nic.mac == wanted.mac && nic.tap == wanted.tap;
               });
           });
}

}  // namespace

ReadyPool::ReadyPool(Surroundings& surroundings) : surroundings_(surroundings) {
    end_leftover_processes(surroundings_.options.run_root);
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
        Result<ReadyProcess> made = make_ready(surroundings_, memory, ReadyUse::one_vm);
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

}  // namespace ramet::hypervisor
