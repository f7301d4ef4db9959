// CloneVmInstance: read (api) ─► check ─► plan ─► reserve ─► job: capture ─► N x (materialize ─► boot) ─► report.
// A dry run goes the same way up to the reservation, which is then rolled back.
#pragma once

#include "api/messages_vm.hpp"
#include "clone/plan.hpp"
#include "lifecycle/action.hpp"

namespace ramet::clone {

void register_clone_saga(workflow::Engine& engine, lifecycle::Parts& parts);  // before Engine::recover()

Result<JobId> clone_vm(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message);

// The whole 200 body: {"result": with "plan"}. Nothing is different afterwards. Fails exactly where clone_vm would.
Result<std::string> dry_run(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message);

}  // namespace ramet::clone
