#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply. VM instances and volumes outlive the offering they were made with.
Result<std::string> create_instance_offering(Parts& parts, const identity::Caller& caller, const api::CreateInstanceOffering& request);
Result<std::string> update_instance_offering(Parts& parts, const identity::Caller& caller, const api::UpdateInstanceOffering& request);
Result<std::string> change_instance_offering_state(Parts& parts, const identity::Caller& caller, const api::ChangeInstanceOfferingState& request);
Result<std::string> delete_instance_offering(Parts& parts, const identity::Caller& caller, const api::DeleteInstanceOffering& request);

Result<std::string> create_disk_offering(Parts& parts, const identity::Caller& caller, const api::CreateDiskOffering& request);
Result<std::string> update_disk_offering(Parts& parts, const identity::Caller& caller, const api::UpdateDiskOffering& request);
Result<std::string> change_disk_offering_state(Parts& parts, const identity::Caller& caller, const api::ChangeDiskOfferingState& request);
Result<std::string> delete_disk_offering(Parts& parts, const identity::Caller& caller, const api::DeleteDiskOffering& request);

}  // namespace ramet::resources
