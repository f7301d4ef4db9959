// Destroy, recover, expunge of VM instances.
//
//   any ─destroy─► Destroying ─► Destroyed ─expunge─► gone          Destroyed ─recover─► Stopped
//   A destroy that fails puts the state back to what the hypervisor says.
//   A VM in Created, and any VM under the deletion policy Direct, is expunged at once.
#pragma once

#include <chrono>
#include <optional>

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_destroy_sagas(workflow::Engine& engine, Parts& parts);

// A well-formed uuid that names no VM: nothing, as the contract has it.
Result<std::optional<JobId>> destroy_vm(Parts& parts, const Request& request, const api::DestroyVmInstance& message);
Result<JobId> recover_vm(Parts& parts, const Request& request, const api::RecoverVmInstance& message);
Result<JobId> expunge_vm(Parts& parts, const Request& request, const api::ExpungeVmInstance& message);

// Begins to expunge the VM instances that were destroyed longer ago than vm.expungePeriod, unless vm.deletionPolicy is Never, and the data
// volumes that were deleted longer ago than volume.expungePeriod.
Result<void> expunge_expired(Parts& parts);

// When to call it: at start, and every vm.expungeInterval. One thread.
class ExpungePace {
public:
    explicit ExpungePace(Parts& parts) : parts_(parts) {}
    // Whether it is time, which then counts as done. The setting is read anew each time: a shorter interval holds at once.
    Result<bool> is_due(std::chrono::steady_clock::time_point now);

private:
    Parts& parts_;
    std::optional<std::chrono::steady_clock::time_point> last_;
};

}  // namespace ramet::lifecycle
