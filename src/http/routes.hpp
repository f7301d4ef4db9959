// Every call bound to its use case: one line each, so that a missing one is visible. tests hold this list against api::all_messages().
#pragma once

#include "http/handler.hpp"
#include "http/job_access.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/parts.hpp"

namespace ramet::http {

Routes make_routes(lifecycle::Parts& parts, identity::Accounts& accounts, const JobAccess& jobs);

void bind_vm_routes(Routes& routes, lifecycle::Parts& parts);
void bind_snapshot_routes(Routes& routes, lifecycle::Parts& parts);
void bind_lineage_routes(Routes& routes, lifecycle::Parts& parts);
void bind_resource_routes(Routes& routes, resources::Parts& parts);
void bind_job_routes(Routes& routes, const JobAccess& jobs);
void bind_identity_routes(Routes& routes, identity::Accounts& accounts);

}  // namespace ramet::http
