#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply.
// Opens the directory (it is made if it is not there) and attaches the storage to all clusters of its zone.
Result<std::string> add_local_primary_storage(Parts& parts, const identity::Caller& caller, const api::AddLocalPrimaryStorage& request);
Result<std::string> update_primary_storage(Parts& parts, const identity::Caller& caller, const api::UpdatePrimaryStorage& request);
Result<std::string> change_primary_storage_state(Parts& parts, const identity::Caller& caller, const api::ChangePrimaryStorageState& request);
// Connected when the directory can be opened; else Disconnected, and the error says why.
Result<std::string> reconnect_primary_storage(Parts& parts, const identity::Caller& caller, const api::ReconnectPrimaryStorage& request);
// Refuses while volumes are on it. Removes the image cache's files; the directory itself stays.
Result<std::string> delete_primary_storage(Parts& parts, const identity::Caller& caller, const api::DeletePrimaryStorage& request);
Result<std::string> attach_primary_storage_to_cluster(Parts& parts, const identity::Caller& caller,
                                                      const api::AttachPrimaryStorageToCluster& request);
Result<std::string> detach_primary_storage_from_cluster(Parts& parts, const identity::Caller& caller,
                                                        const api::DetachPrimaryStorageFromCluster& request);
Result<std::string> get_primary_storage_capacity(Parts& parts, const identity::Caller& caller, const api::GetPrimaryStorageCapacity& request);

PrimaryStorageClusterRef cluster_ref(const PrimaryStorageId& storage, const ClusterId& cluster);

}  // namespace ramet::resources
