#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply.
Result<std::string> create_cluster(Parts& parts, const identity::Caller& caller, const api::CreateCluster& request);
Result<std::string> update_cluster(Parts& parts, const identity::Caller& caller, const api::UpdateCluster& request);
Result<std::string> change_cluster_state(Parts& parts, const identity::Caller& caller, const api::ChangeClusterState& request);
Result<std::string> delete_cluster(Parts& parts, const identity::Caller& caller, const api::DeleteCluster& request);

}  // namespace ramet::resources
