// The server's side of a freeze: starts a guard (freeze_guard.hpp) and talks to it alone.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/freeze_guard.hpp"
#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

// How the guard is started.
struct GuardLaunch {
    std::string program;       // absolute path
    std::optional<User> user;  // who it becomes; empty: we are not root
    int directory = -1;        // the VM's run directory
};

// A freeze that was asked for. The guard thaws when thaw() says so, when this object goes, and when this process does.
class Freeze {
public:
    // Starts the guard on the agent's socket, which is in step, and waits until the guest is frozen or the deadline. Fails only when there is no
    // guard, and then nothing was sent; an agent that does not freeze is seen by frozen().
    static Result<Freeze> begin(const GuardLaunch& launch, Fd agent, Deadline deadline);
    Freeze(Freeze&&) = default;
    ~Freeze();
    bool frozen() const { return frozen_; }
    bool timed_out() const { return timed_out_; }
    // Orders the thaw and waits for it, kThawPatience and a little. `filesystem` when the freeze held until the order and the agent confirms it.
    FreezeFacts thaw();
    const FreezeFacts& facts() const { return facts_; }
    const Process& guard() const { return guard_; }
    bool thaw_confirmed() const { return thaw_confirmed_; }
    bool guard_lost() const { return guard_lost_; }  // it ended or hung without having confirmed a thaw: the caller owes one

private:
    Freeze(Process guard, Fd socket);
    void await_answer(Deadline deadline);
    Result<boost::json::object> hear(Deadline deadline);  // an error of it is the loss of the guard
    Process guard_;
    Fd socket_;  // open until the thaw was ordered
    std::unique_ptr<LineReader> reader_;
    std::chrono::steady_clock::time_point begun_;
    bool frozen_ = false, timed_out_ = false, thaw_confirmed_ = false, guard_lost_ = false;
    FreezeFacts facts_;
};

}  // namespace ramet::hypervisor
