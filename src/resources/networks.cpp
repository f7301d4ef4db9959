#include "resources/networks.hpp"

#include <set>

#include "network/ipv4.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

constexpr std::size_t kDnsServersMax = 8;

Result<void> check_interface_name(std::string_view name) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    });
    if (plain && !name.empty() && name != "." && name != "..") return {};
    return fail(ErrorCode::invalid_argument,
                "physicalInterface: '" + std::string(name.substr(0, 64)) + "' is not an interface name; use letters, digits, '-', '_' and '.'");
}

Result<void> check_domain(const std::optional<std::string>& domain) {
    if (!domain || domain->empty()) return {};
    // A domain has the form of a host name.
    if (const Result<void> form = check_system_tag("VmInstanceVO", "hostname::" + *domain, "dnsDomain", false); form.has_value()) return {};
    return fail(ErrorCode::invalid_argument, "dnsDomain: '" + domain->substr(0, 64) + "' is not a domain name");
}

Result<std::string> checked_dns(const std::string& text) {
    const std::optional<network::Ipv4> address = network::parse_ipv4(text);
    if (!address) return fail(ErrorCode::invalid_argument, "dns: '" + text.substr(0, 64) + "' is not an IPv4 address");
    return network::format(*address);
}

}  // namespace

L2NetworkClusterRef cluster_ref(const L2NetworkId& network, const ClusterId& cluster) {
    return {network.text() + "-" + cluster.text(), network, cluster};
}

Result<std::string> create_l2_no_vlan_network(Parts& parts, const identity::Caller& caller, const api::CreateL2NoVlanNetwork& request) {
    TRY(check_interface_name(request.physical_interface));
    if (request.type && *request.type != "L2NoVlanNetwork")
        return fail(ErrorCode::invalid_argument, "type: '" + *request.type + "' is not supported; use L2NoVlanNetwork");
    if (request.v_switch_type && *request.v_switch_type != "LinuxBridge") {
        return fail(ErrorCode::invalid_argument, "vSwitchType: '" + *request.v_switch_type + "' is not supported; use LinuxBridge");
    }
    L2Network network;
    TRY_ASSIGN(network.uuid, id_or_new(request.resource_uuid));
    network.name = request.name;
    network.description = request.description;
    network.zone_uuid = request.zone_uuid;
    network.physical_interface = request.physical_interface;
    return create(parts, caller, network, request, [&](store::Transaction& transaction) -> Result<void> {
        TRY(store::get<Zone>(transaction, request.zone_uuid.text()));
        return {};
    });
}

Result<std::string> update_l2_network(Parts& parts, const identity::Caller&, const api::UpdateL2Network& request) {
    return rename<L2Network>(parts, request);
}

Result<std::string> delete_l2_network(Parts& parts, const identity::Caller&, const api::DeleteL2Network& request) {
    return remove<L2Network>(parts, request.uuid, [](const L2Network& network, store::Transaction& transaction) -> Result<void> {
        Dependants dependants(transaction);
        TRY(dependants.count<L3Network>("L3 network", "L3 networks", {{"l2NetworkUuid", network.uuid.text()}}));
        TRY(dependants.none("L2 network", network.name));
        TRY(store::erase<L2NetworkClusterRef>(transaction, {{"l2NetworkUuid", network.uuid.text()}}));
        return {};
    });
}

Result<std::string> attach_l2_network_to_cluster(Parts& parts, const identity::Caller&, const api::AttachL2NetworkToCluster& request) {
    return alter<L2Network>(parts, request.l2_network_uuid.text(), [&](L2Network& network, store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const Cluster cluster, store::get<Cluster>(transaction, request.cluster_uuid.text()));
        if (cluster.zone_uuid != network.zone_uuid) {
            return fail(ErrorCode::operation_failed,
                        "cluster '" + cluster.name + "' and L2 network '" + network.name + "' are in different zones; choose from one zone");
        }
        const L2NetworkClusterRef ref = cluster_ref(network.uuid, cluster.uuid);
        TRY_ASSIGN(const std::int64_t present, store::count<L2NetworkClusterRef>(transaction, {{"uuid", ref.uuid}}));
        if (present > 0)
            return fail(ErrorCode::operation_failed, "L2 network '" + network.name + "' is attached to cluster '" + cluster.name + "' already");
        return store::insert(transaction, ref);
    });
}

Result<std::string> detach_l2_network_from_cluster(Parts& parts, const identity::Caller&, const api::DetachL2NetworkFromCluster& request) {
    return alter<L2Network>(parts, request.l2_network_uuid.text(), [&](L2Network& network, store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const Cluster cluster, store::get<Cluster>(transaction, request.cluster_uuid.text()));
        TRY_ASSIGN(const std::vector<L3Network> l3_networks, store::list<L3Network>(transaction, {{"l2NetworkUuid", network.uuid.text()}}));
        std::set<std::string> users;
        for (const L3Network& l3 : l3_networks) {
            TRY_ASSIGN(const std::vector<VmNic> nics, store::list<VmNic>(transaction, {{"l3NetworkUuid", l3.uuid.text()}}));
            for (const VmNic& nic : nics) {
                TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", nic.vm_instance_uuid.text()}}));
                if (vm && vm->cluster_uuid == cluster.uuid) users.insert(vm->name);
            }
        }
        Dependants dependants(transaction);
        dependants.add("VM instance", "VM instances", {users.begin(), users.end()});
        TRY(dependants.none("L2 network", network.name));
        TRY(store::erase<L2NetworkClusterRef>(transaction, {{"uuid", cluster_ref(network.uuid, cluster.uuid).uuid}}));
        return {};
    });
}

Result<std::string> create_l3_network(Parts& parts, const identity::Caller& caller, const api::CreateL3Network& request) {
    if (request.ip_version && *request.ip_version != 4) return fail(ErrorCode::unsupported, "ipVersion: only 4 is supported");
    if (request.type && *request.type != "L3BasicNetwork")
        return fail(ErrorCode::invalid_argument, "type: '" + *request.type + "' is not supported; use L3BasicNetwork");
    TRY(check_domain(request.dns_domain));
    L3Network network;
    TRY_ASSIGN(network.uuid, id_or_new(request.resource_uuid));
    network.name = request.name;
    network.description = request.description;
    network.l2_network_uuid = request.l2_network_uuid;
    network.category = request.category;
    network.system = request.system;
    network.dns_domain = request.dns_domain;
    network.enable_ipam = request.enable_ipam;
    return create(parts, caller, network, request, [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const L2Network below, store::get<L2Network>(transaction, request.l2_network_uuid.text()));
        network.zone_uuid = below.zone_uuid;
        return {};
    });
}

Result<std::string> update_l3_network(Parts& parts, const identity::Caller&, const api::UpdateL3Network& request) {
    TRY(check_domain(request.dns_domain));
    return alter<L3Network>(parts, request.uuid.text(), [&](L3Network& network, store::Transaction&) -> Result<void> {
        TRY(take_name_and_description(network, request));
        if (request.dns_domain) network.dns_domain = *request.dns_domain;
        if (request.category) network.category = *request.category;
        if (request.system) network.system = *request.system;
        return {};
    });
}

Result<std::string> change_l3_network_state(Parts& parts, const identity::Caller&, const api::ChangeL3NetworkState& request) {
    return change_state<L3Network>(parts, request);
}

Result<std::string> delete_l3_network(Parts& parts, const identity::Caller&, const api::DeleteL3Network& request) {
    TRY_ASSIGN(std::string body,
               remove<L3Network>(parts, request.uuid, [](const L3Network& network, store::Transaction& transaction) -> Result<void> {
                   const store::Matches here{{"l3NetworkUuid", network.uuid.text()}};
                   TRY_ASSIGN(const std::vector<VmNic> nics, store::list<VmNic>(transaction, here));
                   std::vector<std::string> names;
                   names.reserve(nics.size());
                   for (const VmNic& nic : nics) names.push_back(nic.ip.value_or(nic.mac));
                   Dependants dependants(transaction);
                   dependants.add("NIC", "NICs", names);
                   TRY(dependants.none("L3 network", network.name));
                   TRY(store::erase<UsedIp>(transaction, here));
                   TRY(store::erase<IpRange>(transaction, here));
                   return {};
               }));
    // Also for a network that is not there (any more): a delete that was cut off here is repeated by its caller.
    TRY(parts.plumbing.remove_network(request.uuid));
    return body;
}

Result<std::string> add_dns_to_l3_network(Parts& parts, const identity::Caller&, const api::AddDnsToL3Network& request) {
    TRY_ASSIGN(const std::string dns, checked_dns(request.dns));
    return alter<L3Network>(parts, request.l3_network_uuid.text(), [&](L3Network& network, store::Transaction&) -> Result<void> {
        if (std::find(network.dns.begin(), network.dns.end(), dns) != network.dns.end()) {
            return fail(ErrorCode::operation_failed, "L3 network '" + network.name + "' has the DNS server " + dns + " already");
        }
        if (network.dns.size() >= kDnsServersMax) {
            return fail(ErrorCode::operation_failed,
                        "L3 network '" + network.name + "' has " + std::to_string(kDnsServersMax) + " DNS servers; remove one first");
        }
        network.dns.push_back(dns);
        return {};
    });
}

Result<std::string> remove_dns_from_l3_network(Parts& parts, const identity::Caller&, const api::RemoveDnsFromL3Network& request) {
    TRY_ASSIGN(const std::string dns, checked_dns(request.dns));
    return alter<L3Network>(parts, request.l3_network_uuid.text(), [&](L3Network& network, store::Transaction&) -> Result<void> {
        network.dns.erase(std::remove(network.dns.begin(), network.dns.end(), dns), network.dns.end());
        return {};
    });
}

}  // namespace ramet::resources
