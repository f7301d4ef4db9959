#include "http/routes.hpp"

namespace ramet::http {

Routes make_routes(lifecycle::Parts& parts, identity::Accounts& accounts, const JobAccess& jobs) {
    Routes routes;
    bind_identity_routes(routes, accounts);
    bind_resource_routes(routes, parts.shared);
    bind_vm_routes(routes, parts);
    bind_snapshot_routes(routes, parts);
    bind_job_routes(routes, jobs);
    bind_lineage_routes(routes, parts);
    // Queries have no handler of their own: the edge answers them from the inventory.
    for (const api::MessageInfo* message : api::all_messages()) {
        if (message->query_row != nullptr) routes.add(*message, nullptr);
    }
    return routes;
}

}  // namespace ramet::http
