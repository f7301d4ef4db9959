// Destroy, recover, expunge of VM instances.
//
//   any ─destroy─► Destroying ─► Destroyed ─expunge─► gone          Destroyed ─recover─► Stopped
//   A destroy that fails puts the state back to what the hypervisor says.
//   A VM in Created, and any VM under the deletion policy Direct, is expunged at once.
#pragma once

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_destroy_sagas(workflow::Engine& engine, Parts& parts);

// A well-formed uuid that names no VM: nothing, as the contract has it.
Result<std::optional<JobId>> destroy_vm(Parts& parts, const Request& request, const api::DestroyVmInstance& message);
Result<JobId> recover_vm(Parts& parts, const Request& request, const api::RecoverVmInstance& message);
Result<JobId> expunge_vm(Parts& parts, const Request& request, const api::ExpungeVmInstance& message);

// Removes what was destroyed or deleted longer ago than the configured period. Called periodically.
Result<void> expunge_expired(Parts& parts);

}  // namespace ramet::lifecycle
