#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply. Only rows change here: bridges and DHCP are made when a VM instance first needs them.
Result<std::string> create_l2_no_vlan_network(Parts& parts, const identity::Caller& caller, const api::CreateL2NoVlanNetwork& request);
Result<std::string> update_l2_network(Parts& parts, const identity::Caller& caller, const api::UpdateL2Network& request);
Result<std::string> delete_l2_network(Parts& parts, const identity::Caller& caller, const api::DeleteL2Network& request);
Result<std::string> attach_l2_network_to_cluster(Parts& parts, const identity::Caller& caller, const api::AttachL2NetworkToCluster& request);
Result<std::string> detach_l2_network_from_cluster(Parts& parts, const identity::Caller& caller, const api::DetachL2NetworkFromCluster& request);

Result<std::string> create_l3_network(Parts& parts, const identity::Caller& caller, const api::CreateL3Network& request);
Result<std::string> update_l3_network(Parts& parts, const identity::Caller& caller, const api::UpdateL3Network& request);
Result<std::string> change_l3_network_state(Parts& parts, const identity::Caller& caller, const api::ChangeL3NetworkState& request);
// Refuses while NICs are on it; takes its bridge and DHCP down.
Result<std::string> delete_l3_network(Parts& parts, const identity::Caller& caller, const api::DeleteL3Network& request);
Result<std::string> add_dns_to_l3_network(Parts& parts, const identity::Caller& caller, const api::AddDnsToL3Network& request);
Result<std::string> remove_dns_from_l3_network(Parts& parts, const identity::Caller& caller, const api::RemoveDnsFromL3Network& request);

L2NetworkClusterRef cluster_ref(const L2NetworkId& network, const ClusterId& cluster);

}  // namespace ramet::resources
