// Descriptions of the network rows of resources.hpp.
#include "model/resources.hpp"

namespace ramet {

template <> const TypeInfo& describe<L2Network>() {
    static const TypeInfo info = row<L2Network>(
        {"l2_network", "L2NetworkVO", "org.zstack.header.network.l2.L2NetworkInventory"}, "L2Network", "A network that carries Ethernet frames.",
        field<&L2Network::uuid>("uuid", "The network's uuid.", {.primary = true}), field<&L2Network::name>("name", "The network's name."),
        field<&L2Network::description>("description", "Free text."), field<&L2Network::zone_uuid>("zoneUuid", "The zone the network is in."),
        field<&L2Network::physical_interface>("physicalInterface", "The host's interface the network uses."),
        field<&L2Network::type>("type", "The network's type, such as L2NoVlanNetwork."),
        field<&L2Network::v_switch_type>("vSwitchType", "What connects the NICs, such as LinuxBridge."),
        field<&L2Network::virtual_network_id>("virtualNetworkId", "The VLAN number, or 0."),
        field<&L2Network::attached_cluster_uuids>("attachedClusterUuids", "The clusters that use the network.", {.relation = true}),
        field<&L2Network::create_date>("createDate", "When the network was made."),
        field<&L2Network::last_op_date>("lastOpDate", "When the network was last changed."));
    return info;
}

template <> const TypeInfo& describe<L2NetworkClusterRef>() {
    static const TypeInfo info =
        row<L2NetworkClusterRef>({"l2_network_cluster_ref", "L2NetworkClusterRefVO"}, "L2NetworkClusterRef", "Attaches an L2 network to a cluster.",
                                 field<&L2NetworkClusterRef::uuid>("uuid", "The key: network and cluster.", {.primary = true, .internal = true}),
                                 field<&L2NetworkClusterRef::l2_network_uuid>("l2NetworkUuid", "The L2 network."),
                                 field<&L2NetworkClusterRef::cluster_uuid>("clusterUuid", "The cluster."));
    return info;
}

template <> const TypeInfo& describe<IpRange>() {
    static const TypeInfo info = row<IpRange>(
        {"ip_range", "IpRangeVO", "org.zstack.header.network.l3.IpRangeInventory"}, "IpRange", "A run of addresses that NICs are given from.",
        field<&IpRange::uuid>("uuid", "The range's uuid.", {.primary = true}),
        field<&IpRange::l3_network_uuid>("l3NetworkUuid", "The L3 network the range belongs to."), field<&IpRange::name>("name", "The range's name."),
        field<&IpRange::description>("description", "Free text."), field<&IpRange::start_ip>("startIp", "The first address."),
        field<&IpRange::end_ip>("endIp", "The last address."), field<&IpRange::netmask>("netmask", "The netmask."),
        field<&IpRange::gateway>("gateway", "The gateway's address."), field<&IpRange::network_cidr>("networkCidr", "The network in CIDR form."),
        field<&IpRange::ip_version>("ipVersion", "4 or 6."), field<&IpRange::prefix_len>("prefixLen", "The length of the network prefix in bits."),
        field<&IpRange::ip_range_type>("ipRangeType", "The range's type, Normal."),
        field<&IpRange::create_date>("createDate", "When the range was made."),
        field<&IpRange::last_op_date>("lastOpDate", "When the range was last changed."));
    return info;
}

template <> const TypeInfo& describe<L3Network>() {
    static const TypeInfo info = row<L3Network>(
        {"l3_network", "L3NetworkVO", "org.zstack.header.network.l3.L3NetworkInventory"}, "L3Network", "A network that gives addresses to NICs.",
        field<&L3Network::uuid>("uuid", "The network's uuid.", {.primary = true}), field<&L3Network::name>("name", "The network's name."),
        field<&L3Network::description>("description", "Free text."), field<&L3Network::type>("type", "The network's type, such as L3BasicNetwork."),
        field<&L3Network::zone_uuid>("zoneUuid", "The zone the network is in."),
        field<&L3Network::l2_network_uuid>("l2NetworkUuid", "The L2 network below."), field<&L3Network::state>("state", "Enabled or Disabled."),
        field<&L3Network::dns_domain>("dnsDomain", "The DNS domain guests are told."),
        field<&L3Network::system>("system", "Whether the network is for internal use."),
        field<&L3Network::category>("category", "Private, Public or System."), field<&L3Network::ip_version>("ipVersion", "4 or 6."),
        field<&L3Network::enable_ipam>("enableIPAM", "Whether the server gives out the addresses."),
        field<&L3Network::dns>("dns", "The DNS servers guests are told."),
        field<&L3Network::ip_ranges>("ipRanges", "The ranges that addresses are given from.", {.relation = true}),
        field<&L3Network::create_date>("createDate", "When the network was made."),
        field<&L3Network::last_op_date>("lastOpDate", "When the network was last changed."));
    return info;
}

template <> const TypeInfo& describe<UsedIp>() {
    static const TypeInfo info = row<UsedIp>(
        {"used_ip", "UsedIpVO", "org.zstack.header.network.l3.UsedIpInventory"}, "UsedIp", "An address that is given out.",
        field<&UsedIp::uuid>("uuid", "The address's uuid.", {.primary = true}),
        field<&UsedIp::ip_range_uuid>("ipRangeUuid", "The range the address is from."),
        field<&UsedIp::l3_network_uuid>("l3NetworkUuid", "The L3 network the address is on."), field<&UsedIp::ip_version>("ipVersion", "4 or 6."),
        field<&UsedIp::ip>("ip", "The address; unique on its L3 network."), field<&UsedIp::netmask>("netmask", "The netmask."),
        field<&UsedIp::gateway>("gateway", "The gateway's address."),
        field<&UsedIp::used_for>("usedFor", "What the address is used for, when not by a NIC."),
        field<&UsedIp::ip_in_long>("ipInLong", "The address as a number."), field<&UsedIp::vm_nic_uuid>("vmNicUuid", "The NIC that has the address."),
        field<&UsedIp::create_date>("createDate", "When the address was given out."),
        field<&UsedIp::last_op_date>("lastOpDate", "When the address was last changed."));
    return info;
}

}  // namespace ramet
