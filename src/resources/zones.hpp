#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply.
Result<std::string> create_zone(Parts& parts, const identity::Caller& caller, const api::CreateZone& request);
Result<std::string> update_zone(Parts& parts, const identity::Caller& caller, const api::UpdateZone& request);
Result<std::string> change_zone_state(Parts& parts, const identity::Caller& caller, const api::ChangeZoneState& request);
Result<std::string> delete_zone(Parts& parts, const identity::Caller& caller, const api::DeleteZone& request);

}  // namespace ramet::resources
