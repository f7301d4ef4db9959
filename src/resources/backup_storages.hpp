#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply.
// A directory of this machine, made if it is not there; attached to all zones.
Result<std::string> add_image_store_backup_storage(Parts& parts, const identity::Caller& caller, const api::AddImageStoreBackupStorage& request);
Result<std::string> update_backup_storage(Parts& parts, const identity::Caller& caller, const api::UpdateBackupStorage& request);
Result<std::string> change_backup_storage_state(Parts& parts, const identity::Caller& caller, const api::ChangeBackupStorageState& request);
Result<std::string> reconnect_backup_storage(Parts& parts, const identity::Caller& caller, const api::ReconnectBackupStorage& request);
Result<std::string> delete_backup_storage(Parts& parts, const identity::Caller& caller, const api::DeleteBackupStorage& request);
Result<std::string> attach_backup_storage_to_zone(Parts& parts, const identity::Caller& caller, const api::AttachBackupStorageToZone& request);
Result<std::string> detach_backup_storage_from_zone(Parts& parts, const identity::Caller& caller, const api::DetachBackupStorageFromZone& request);

BackupStorageZoneRef zone_ref(const BackupStorageId& storage, const ZoneId& zone);

}  // namespace ramet::resources
