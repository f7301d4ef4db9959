// QEMU processes started in advance for memory that is kept (Hypervisor::keep_ready): the machine with its memory mapped, without disks and NICs,
// waiting for its device state. A clone that takes one saves the start of a program and the making of a machine.
//
//   run_root/ready-<uuid>/    its run directory; renamed to the VM's when it is taken
//
// They end with this server. One that died left its own behind, which are ended when the next begins. What a taken process was started with
// stays until it ends: its SMBIOS uuid, its name on the command line. VMs with UEFI or a TPM are not served: these need files at the start.
// Thread rules: all calls from any thread; the processes are made by a thread of its own, one at a time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "hypervisor/qemu/run_directory.hpp"

namespace ramet::hypervisor {

struct Surroundings;

struct ReadyProcess {
    RunDirectory directory;
    Process process;
    std::unique_ptr<Qmp> qmp;
};

class ReadyPool {
public:
    explicit ReadyPool(Surroundings& surroundings);
    ~ReadyPool();
    ReadyPool(const ReadyPool&) = delete;
    ReadyPool& operator=(const ReadyPool&) = delete;
    void keep(const MemoryPlace& place, const std::string& layout, std::size_t count);
    std::optional<ReadyProcess> take(const MemoryPlace& place);  // of those that wait now

private:
    struct Kept {
        std::string layout;
        std::size_t count = 0;
        std::vector<ReadyProcess> waiting;
    };
    void work(const std::stop_token& stop);
    Result<ReadyProcess> make(const MemoryPlace& place, const std::string& layout);
    void end_leftovers();
    Surroundings& surroundings_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<std::string, Kept> kept_;                     // by the memory's directory
    std::chrono::steady_clock::time_point quiet_until_{};  // clones that have just begun come first
    std::jthread thread_;                                  // last: it uses what stands above
};

}  // namespace ramet::hypervisor
