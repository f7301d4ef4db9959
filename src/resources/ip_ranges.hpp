#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply.
Result<std::string> add_ip_range(Parts& parts, const identity::Caller& caller, const api::AddIpRange& request);
Result<std::string> add_ip_range_by_network_cidr(Parts& parts, const identity::Caller& caller, const api::AddIpRangeByNetworkCidr& request);
Result<std::string> update_ip_range(Parts& parts, const identity::Caller& caller, const api::UpdateIpRange& request);
Result<std::string> delete_ip_range(Parts& parts, const identity::Caller& caller, const api::DeleteIpRange& request);
Result<std::string> get_free_ip(Parts& parts, const identity::Caller& caller, const api::GetFreeIp& request);
Result<std::string> check_ip_availability(Parts& parts, const identity::Caller& caller, const api::CheckIpAvailability& request);

}  // namespace ramet::resources
