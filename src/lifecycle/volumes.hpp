// Data volumes: create, attach and detach (also while the VM runs), delete, recover, expunge.
//
//   NotInstantiated ─attach─► Ready (has a file)        Ready ─delete─► Deleted ─expunge─► gone     Deleted ─recover─► Ready
#pragma once

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_volume_sagas(workflow::Engine& engine, Parts& parts);

Result<JobId> create_data_volume(Parts& parts, const Request& request, const api::CreateDataVolume& message);
Result<JobId> attach_data_volume(Parts& parts, const Request& request, const api::AttachDataVolumeToVm& message);
Result<JobId> detach_data_volume(Parts& parts, const Request& request, const api::DetachDataVolumeFromVm& message);
Result<std::optional<JobId>> delete_data_volume(Parts& parts, const Request& request, const api::DeleteDataVolume& message);
Result<JobId> expunge_data_volume(Parts& parts, const Request& request, const api::ExpungeDataVolume& message);
// Of the row alone: the new body is the answer.
Result<std::string> recover_data_volume(Parts& parts, const api::RecoverDataVolume& message);
Result<std::string> update_volume(Parts& parts, const api::UpdateVolume& message);
Result<std::string> change_volume_state(Parts& parts, const api::ChangeVolumeState& message);

// "ThickProvisioning" in the tags; invalid_argument naming `field` for an unknown strategy.
Result<bool> wants_thick(const std::vector<std::string>& tags, std::string_view field);

}  // namespace ramet::lifecycle
