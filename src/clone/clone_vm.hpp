// CloneVmInstance: read (api) ─► check ─► plan ─► reserve ─► job: capture ─► N x (materialize ─► boot) ─► report.
#pragma once

#include "api/messages_vm.hpp"
#include "clone/plan.hpp"
#include "lifecycle/action.hpp"

namespace ramet::clone {

void register_clone_saga(workflow::Engine& engine, lifecycle::Parts& parts);  // before Engine::recover()

Result<JobId> clone_vm(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message);

}  // namespace ramet::clone
