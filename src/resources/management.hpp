// What the server says about itself. Each answers with the JSON body of the reply.
#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

Result<std::string> get_version(Parts& parts, const identity::Caller& caller, const api::GetVersion& request);
Result<std::string> get_current_time(Parts& parts, const identity::Caller& caller, const api::GetCurrentTime& request);
Result<std::string> get_management_node_arch(Parts& parts, const identity::Caller& caller, const api::GetManagementNodeArch& request);
Result<std::string> get_support_apis(Parts& parts, const identity::Caller& caller, const api::GetSupportAPIs& request);
Result<std::string> is_management_node_ready(Parts& parts, const identity::Caller& caller, const api::IsManagementNodeReady& request);
Result<std::string> get_platform_time_zone(Parts& parts, const identity::Caller& caller, const api::GetPlatformTimeZone& request);

// The uuid of this server; stable for a data directory.
std::string management_node_uuid(const std::string& data_dir);

// Lets the server processes, which are in no table, be searched like everything else. `parts` outlives its inventory's queries.
void offer_management_nodes(Parts& parts);

}  // namespace ramet::resources
