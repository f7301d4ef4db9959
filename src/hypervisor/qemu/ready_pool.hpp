// QEMU processes started in advance for memory that is kept (Hypervisor::keep_ready).
//
//   with taps      the whole machine with the captured state loaded, one instruction before the guest goes on. Its disks stand on the captured layers
//                  and end in a blank one, which is exchanged for the clone's own: until a guest runs QEMU has not taken the disks as its own, and
//                  reads what they are anew when it does (migration capability late-block-activate). Its NICs have taps that are on no bridge yet, and
//                  MACs, which cannot be changed: who is to make a clone asks for them first (promise) and gives its rows the same.
//   without taps   the machine without disks and NICs, waiting for its state: what a NIC of QEMU's user networking is depends on the clone.
//
//   run_root/ready-<uuid>/    its run directory; renamed to the VM's when it is taken
//
// They end with this server. One that died left its own behind, which are ended when the next begins. What a taken process was started with
// stays until it ends: its SMBIOS uuid and VM generation id, the serials of its disks, its name on the command line. VMs with UEFI or a TPM are not served: these need
// files at the start.
// Thread rules: all calls from any thread; the processes are made by a thread of its own, one at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/ready_process.hpp"

namespace ramet::hypervisor {

class ReadyPool {
public:
    explicit ReadyPool(Surroundings& surroundings);
    ~ReadyPool();
    ReadyPool(const ReadyPool&) = delete;
    ReadyPool& operator=(const ReadyPool&) = delete;
    void keep(const KeptMemory& memory, std::size_t count);
    std::vector<ReadyMachine> promise(const MemoryPlace& place, std::size_t count);
    std::optional<ReadyProcess> take(const MemoryPlace& place, const DomainSpec& spec);  // of those that wait now

private:
    struct Kept {
        KeptMemory memory;
        std::size_t count = 0;
        std::vector<ReadyProcess> waiting;  // the promised ones among them
        bool wants_more() const;
    };
    void work(const std::stop_token& stop);
    bool end_unused_promises(std::unique_lock<std::mutex>& lock);  // true: there were some, and the lock was let go of meanwhile
    Surroundings& surroundings_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<std::string, Kept> kept_;                     // by the memory's directory
    std::chrono::steady_clock::time_point quiet_until_{};  // clones that have just begun come first
    std::jthread thread_;                                  // last: it uses what stands above
};

}  // namespace ramet::hypervisor
