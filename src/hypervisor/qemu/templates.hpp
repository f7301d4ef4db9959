// Machines with captured state that never run: the processes of VMs that go on from the same memory together are forks of one.
//
//   rametd ── order: identity, files ──► template ── fork ──► (between) ── fork ──► the VM's process, one instruction before its guest goes on
//      ▲                                                       ends at once              │
//      └──────────────── report: pid, or what failed ────────────────────────────────────┘
//
// Making the machine and loading its state is most of what a clone's process does before its guest runs; a fork has both behind it. The template is a
// waiting process (ready_process.hpp) whose disks end in blank images; a fork gets its own layers as such a process does. What a fork must not
// share with the template and its other forks is in fork_server/template_machine.cpp. docs/decisions/0021 says when this is right and what it costs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/ready_process.hpp"

namespace ramet::hypervisor {

struct Forked {
    Process process;  // a child of this one
    std::unique_ptr<Qmp> qmp;
};

// Thread rules: all calls from any thread. Templates end ten seconds after their last fork, with this object, and, as they hear nothing more, with the server.
class Templates {
public:
    explicit Templates(Surroundings& surroundings);
    ~Templates();
    Templates(const Templates&) = delete;
    Templates& operator=(const Templates&) = delete;

    // A process for `spec`, whose run directory and record are there. Makes the memory's template first where there is none yet. not_found: this VM
    // has to start by itself, and the log knows why. Any other error: the process may be on its way, and is found in the run directory.
    Result<Forked> fork(const KeptMemory& memory, const DomainSpec& spec, const RunDirectory& directory);
    void forget(const MemoryPlace& place);  // ends the memory's template; returns when it has ended

private:
    struct Slot {
        std::timed_mutex mutex;
        std::optional<ReadyProcess> machine;
        bool refused = false;  // none can be made, or it does not fork
        std::chrono::steady_clock::time_point used{};
    };
    void end_idle(const std::stop_token& stop);
    static void end(Slot& slot);
    Result<pid_t> await_fork(Slot& slot, int report, const VmId& vm);
    std::shared_ptr<Slot> slot_of(const MemoryPlace& place);
    Result<void> make(Slot& slot, const KeptMemory& memory);  // with the slot's mutex held
    Surroundings& surroundings_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<std::string, std::shared_ptr<Slot>> slots_;  // by the memory's directory
    std::jthread thread_;                                 // last: it uses what stands above
};

}  // namespace ramet::hypervisor
