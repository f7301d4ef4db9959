// Leases: a VM with a lease end is warned of before it and destroyed and expunged at it.
//
//   CloneVmInstance expiresIn ─► leaseEndDate ─► event "lease-warning" ─► job "expire-vm" (destroy, expunge) ─► event "lease-ended"
//                  extend, set or remove at any time before ▲
//
// The stored wall-clock time is the truth, also over a restart. A wall clock that is set while the server runs moves the stored ends with it,
// so that what is left of each lease stays the same; how long to wait is measured with the time since boot.
#pragma once

#include <stop_token>
#include <string>
#include <thread>

#include "api/messages_leases.hpp"
#include "base/clock.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_lease_sagas(workflow::Engine& engine, Parts& parts);

// The reply's JSON: the VM's inventory.
Result<std::string> extend_lease(Parts& parts, const api::ExtendVmInstanceLease& message);
Result<std::string> set_lease(Parts& parts, const api::SetVmInstanceLease& message);

// Looks every limits::kLeaseLook for leases to warn of and to end. `clock` is the one behind parts.now().
class LeaseKeeper {
public:
    LeaseKeeper(Parts& parts, StepProofClock& clock) : parts_(parts), clock_(clock) {}
    ~LeaseKeeper() { stop(); }
    LeaseKeeper(const LeaseKeeper&) = delete;
    LeaseKeeper& operator=(const LeaseKeeper&) = delete;
    void start();  // after Engine::recover()
    void stop();
    // One look; what start() repeats. For tests too.
    Result<void> look();

private:
    Result<void> follow_clock();
    Result<void> warn();
    Result<void> end_leases();
    Parts& parts_;
    StepProofClock& clock_;
    std::jthread thread_;
};

}  // namespace ramet::lifecycle
