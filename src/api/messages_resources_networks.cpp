// L2 and L3 networks, IP ranges, addresses (contract 5.2).
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

namespace {

constexpr std::array<std::string_view, 3> kCategories{"Public", "Private", "System"};

template <auto Member>
FieldInfo l3_path_field() {
    return path_uuid_field<Member>(l3_network(), "l3NetworkUuid");
}
template <auto Member>
FieldInfo address_field(std::string_view name, std::string_view doc, std::string_view example, bool required = true) {
    return field<Member>(name, doc, {.required = required, .characters_max = 64, .example = example});
}

}  // namespace

template <> const TypeInfo& describe<api::CreateL2NoVlanNetwork>() {
    using Request = api::CreateL2NoVlanNetwork;
    static const TypeInfo info = object<Request>(
        "CreateL2NoVlanNetwork", "Makes an L2 network without VLAN.", name_field<&Request::name>(l2_network()),
        description_field<&Request::description>(), uuid_field<&Request::zone_uuid>("zoneUuid", zone(), "The zone the network is in."),
        field<&Request::physical_interface>("physicalInterface",
                                            "An existing bridge of the host to use as it is; any other name gets a bridge of our own.",
                                            {.required = true, .characters_max = 128, .example = "ramet0"}),
        type_field<&Request::type>("type", "The network's type.", "L2NoVlanNetwork"),
        type_field<&Request::v_switch_type>("vSwitchType", "The switch.", "LinuxBridge"), resource_uuid_field<&Request::resource_uuid>(),
        system_tags_field<&Request::system_tags>(), user_tags_field<&Request::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateL2Network>() {
    static const TypeInfo info = update_type<L2Network>(l2_network());
    return info;
}
template <> const TypeInfo& describe<api::DeleteL2Network>() {
    static const TypeInfo info = delete_type<L2Network>(l2_network());
    return info;
}
template <> const TypeInfo& describe<api::AttachL2NetworkToCluster>() {
    using Request = api::AttachL2NetworkToCluster;
    static const TypeInfo info = object<Request>("AttachL2NetworkToCluster", "Lets a cluster use an L2 network.",
                                                 path_uuid_field<&Request::l2_network_uuid>(l2_network(), "l2NetworkUuid"),
                                                 path_uuid_field<&Request::cluster_uuid>(cluster(), "clusterUuid"));
    return info;
}
template <> const TypeInfo& describe<api::DetachL2NetworkFromCluster>() {
    using Request = api::DetachL2NetworkFromCluster;
    static const TypeInfo info = object<Request>("DetachL2NetworkFromCluster", "Takes an L2 network away from a cluster.",
                                                 path_uuid_field<&Request::l2_network_uuid>(l2_network(), "l2NetworkUuid"),
                                                 path_uuid_field<&Request::cluster_uuid>(cluster(), "clusterUuid"));
    return info;
}

template <> const TypeInfo& describe<api::CreateL3Network>() {
    using Request = api::CreateL3Network;
    static const TypeInfo info = object<Request>(
        "CreateL3Network", "Makes an L3 network.", name_field<&Request::name>(l3_network()), description_field<&Request::description>(),
        type_field<&Request::type>("type", "The network's type.", "L3BasicNetwork"),
        uuid_field<&Request::l2_network_uuid>("l2NetworkUuid", l2_network(), "The L2 network below."),
        field<&Request::category>("category", "Who the network is for.", {.one_of = kCategories, .fallback = "Private", .example = "Private"}),
        field<&Request::ip_version>("ipVersion", "4; IPv6 is not supported yet.", {.at_least = 4, .at_most = 6, .fallback = "4", .example = "4"}),
        field<&Request::system>("system", "Whether the network is for internal use.", {.fallback = "false", .example = "false"}),
        field<&Request::dns_domain>("dnsDomain", "The DNS domain guests are told.",
                                    {.characters_max = limits::kNameCharactersMax, .example = "lab.internal"}),
        field<&Request::enable_ipam>("enableIPAM", "Whether the server gives out the addresses.", {.fallback = "true", .example = "true"}),
        resource_uuid_field<&Request::resource_uuid>(), system_tags_field<&Request::system_tags>(), user_tags_field<&Request::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateL3Network>() {
    using Request = api::UpdateL3Network;
    static const TypeInfo info =
        object<Request>("UpdateL3Network", "Changes the record of an L3 network.", path_uuid_field<&Request::uuid>(l3_network()),
                        new_name_field<&Request::name>(), description_field<&Request::description>(),
                        field<&Request::system>("system", "Whether the network is for internal use.", {.example = "false"}),
                        field<&Request::dns_domain>("dnsDomain", "The DNS domain guests are told.",
                                                    {.characters_max = limits::kNameCharactersMax, .example = "lab.internal"}),
                        field<&Request::category>("category", "Who the network is for.", {.one_of = kCategories, .example = "Private"}));
    return info;
}
template <> const TypeInfo& describe<api::ChangeL3NetworkState>() {
    static const TypeInfo info = state_type<L3Network>(l3_network());
    return info;
}
template <> const TypeInfo& describe<api::DeleteL3Network>() {
    static const TypeInfo info = delete_type<L3Network>(l3_network());
    return info;
}

template <> const TypeInfo& describe<api::AddIpRange>() {
    using Request = api::AddIpRange;
    static const TypeInfo info = object<Request>(
        "AddIpRange", "Adds a run of addresses to an L3 network.", l3_path_field<&Request::l3_network_uuid>(), name_field<&Request::name>(ip_range()),
        description_field<&Request::description>(), address_field<&Request::start_ip>("startIp", "The first address to give out.", "192.168.100.10"),
        address_field<&Request::end_ip>("endIp", "The last address to give out.", "192.168.100.250"),
        address_field<&Request::netmask>("netmask", "The netmask.", "255.255.255.0"),
        address_field<&Request::gateway>("gateway", "The gateway's address. Left out: the first address of the network.", "192.168.100.1", false),
        resource_uuid_field<&Request::resource_uuid>());
    return info;
}
template <> const TypeInfo& describe<api::AddIpRangeByNetworkCidr>() {
    using Request = api::AddIpRangeByNetworkCidr;
    static const TypeInfo info = object<Request>(
        "AddIpRangeByNetworkCidr", "Adds a whole network of addresses to an L3 network.", l3_path_field<&Request::l3_network_uuid>(),
        name_field<&Request::name>(ip_range()), description_field<&Request::description>(),
        address_field<&Request::network_cidr>("networkCidr", "The network.", "192.168.100.0/24"),
        address_field<&Request::gateway>("gateway", "The gateway's address. Left out: the first address of the network.", "192.168.100.1", false),
        resource_uuid_field<&Request::resource_uuid>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateIpRange>() {
    static const TypeInfo info = update_type<IpRange>(ip_range());
    return info;
}
template <> const TypeInfo& describe<api::DeleteIpRange>() {
    static const TypeInfo info = delete_type<IpRange>(ip_range());
    return info;
}
template <> const TypeInfo& describe<api::AddDnsToL3Network>() {
    using Request = api::AddDnsToL3Network;
    static const TypeInfo info = object<Request>("AddDnsToL3Network", "Tells guests of a DNS server.", l3_path_field<&Request::l3_network_uuid>(),
                                                 address_field<&Request::dns>("dns", "The DNS server's IPv4 address.", "9.9.9.9"));
    return info;
}
template <> const TypeInfo& describe<api::RemoveDnsFromL3Network>() {
    using Request = api::RemoveDnsFromL3Network;
    static const TypeInfo info =
        object<Request>("RemoveDnsFromL3Network", "No longer tells guests of a DNS server.", l3_path_field<&Request::l3_network_uuid>(),
                        field<&Request::dns>("dns", "The DNS server's IPv4 address.",
                                             {.required = true, .in_path = true, .characters_max = 64, .example = "9.9.9.9"}));
    return info;
}
template <> const TypeInfo& describe<api::GetFreeIp>() {
    using Request = api::GetFreeIp;
    static const TypeInfo info =
        object<Request>("GetFreeIp", "Lists addresses that nobody has.", l3_path_field<&Request::l3_network_uuid>(),
                        field<&Request::limit>("limit", "At most this many.", {.at_least = 1, .at_most = 1000, .fallback = "100", .example = "100"}),
                        address_field<&Request::start>("start", "Only addresses from this one on.", "10.77.0.10", false));
    return info;
}
template <> const TypeInfo& describe<api::FreeIp>() {
    using api::FreeIp;
    static const TypeInfo info =
        object<FreeIp>("FreeIp", "An address that nobody has.", field<&FreeIp::ip_range_uuid>("ipRangeUuid", "The range it is from."),
                       field<&FreeIp::ip>("ip", "The address."), field<&FreeIp::netmask>("netmask", "The netmask."),
                       field<&FreeIp::gateway>("gateway", "The gateway's address."));
    return info;
}
template <> const TypeInfo& describe<api::CheckIpAvailability>() {
    using Request = api::CheckIpAvailability;
    static const TypeInfo info = object<Request>(
        "CheckIpAvailability", "Tells whether an address can be given out.", l3_path_field<&Request::l3_network_uuid>(),
        field<&Request::ip>("ip", "The IPv4 address.", {.required = true, .in_path = true, .characters_max = 64, .example = "10.77.0.20"}));
    return info;
}
template <> const TypeInfo& describe<api::CheckIpAvailabilityReply>() {
    using Reply = api::CheckIpAvailabilityReply;
    static const TypeInfo info =
        object<Reply>("CheckIpAvailabilityReply", "Whether the address can be given out.", field<&Reply::available>("available", "Whether it can."),
                      field<&Reply::reason>("reason", "Why it cannot."));
    return info;
}

namespace api {

template <> const MessageInfo& message<CreateL2NoVlanNetwork>() {
    static const MessageInfo info = resource_call<CreateL2NoVlanNetwork>(
        l2_network(), {.name = "CreateL2NoVlanNetwork",
                       .doc = "Makes an L2 network without VLAN; attach it to a cluster to use it.",
                       .path = "/l2-networks/no-vlan",
                       .request_example = R"({"name":"lab","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","physicalInterface":"ramet1"})"});
    return info;
}
template <> const MessageInfo& message<UpdateL2Network>() {
    static const MessageInfo info = update_message<UpdateL2Network>(l2_network());
    return info;
}
template <> const MessageInfo& message<DeleteL2Network>() {
    static const MessageInfo info = delete_message<DeleteL2Network>(l2_network(), "Deletes an L2 network; refuses while L3 networks are on it.");
    return info;
}
template <> const MessageInfo& message<AttachL2NetworkToCluster>() {
    static const MessageInfo info =
        resource_call<AttachL2NetworkToCluster>(l2_network(), {.name = "AttachL2NetworkToCluster",
                                                               .doc = "Lets a cluster use an L2 network.",
                                                               .path = "/l2-networks/{l2NetworkUuid}/clusters/{clusterUuid}",
                                                               .body_key = "null"});
    return info;
}
template <> const MessageInfo& message<DetachL2NetworkFromCluster>() {
    static const MessageInfo info = resource_call<DetachL2NetworkFromCluster>(
        l2_network(), {.name = "DetachL2NetworkFromCluster",
                       .doc = "Takes an L2 network away from a cluster; refuses while VM instances of the cluster use it.",
                       .method = Method::del,
                       .path = "/l2-networks/{l2NetworkUuid}/clusters/{clusterUuid}",
                       .body_key = ""});
    return info;
}

template <> const MessageInfo& message<CreateL3Network>() {
    static const MessageInfo info = resource_call<CreateL3Network>(
        l3_network(),
        {.name = "CreateL3Network",
         .doc = "Makes an L3 network on an L2 network; add an IP range to use it.",
         .path = "/l3-networks",
         .request_example = R"({"name":"lab","l2NetworkUuid":"4b3e5d7a9c1f4e2b8a6d0c9f7e5b3a12","category":"Private","dnsDomain":"lab.internal"})"});
    return info;
}
template <> const MessageInfo& message<UpdateL3Network>() {
    static const MessageInfo info = update_message<UpdateL3Network>(l3_network(), R"({"name":"lab","dnsDomain":"lab.internal"})");
    return info;
}
template <> const MessageInfo& message<ChangeL3NetworkState>() {
    static const MessageInfo info = state_message<ChangeL3NetworkState>(l3_network());
    return info;
}
template <> const MessageInfo& message<DeleteL3Network>() {
    static const MessageInfo info =
        delete_message<DeleteL3Network>(l3_network(), "Deletes an L3 network and its ranges; refuses while NICs are on it.");
    return info;
}
template <> const MessageInfo& message<AddIpRange>() {
    static const MessageInfo info = resource_call<AddIpRange>(
        ip_range(),
        {.name = "AddIpRange",
         .doc = "Adds a run of addresses to an L3 network.",
         .path = "/l3-networks/{l3NetworkUuid}/ip-ranges",
         .request_example =
             R"({"name":"lab","startIp":"192.168.100.10","endIp":"192.168.100.250","netmask":"255.255.255.0","gateway":"192.168.100.1"})"});
    return info;
}
template <> const MessageInfo& message<AddIpRangeByNetworkCidr>() {
    static const MessageInfo info =
        resource_call<AddIpRangeByNetworkCidr>(ip_range(), {.name = "AddIpRangeByNetworkCidr",
                                                            .doc = "Adds a whole network of addresses to an L3 network.",
                                                            .path = "/l3-networks/{l3NetworkUuid}/ip-ranges/by-cidr",
                                                            .request_example = R"({"name":"lab","networkCidr":"192.168.100.0/24"})"});
    return info;
}
template <> const MessageInfo& message<UpdateIpRange>() {
    static const MessageInfo info = update_message<UpdateIpRange>(ip_range());
    return info;
}
template <> const MessageInfo& message<DeleteIpRange>() {
    static const MessageInfo info = delete_message<DeleteIpRange>(ip_range(), "Deletes an IP range; refuses while addresses of it are used.");
    return info;
}
template <> const MessageInfo& message<AddDnsToL3Network>() {
    static const MessageInfo info = resource_call<AddDnsToL3Network>(l3_network(), {.name = "AddDnsToL3Network",
                                                                                    .doc = "Tells guests of an L3 network of a DNS server.",
                                                                                    .path = "/l3-networks/{l3NetworkUuid}/dns",
                                                                                    .request_example = R"({"dns":"9.9.9.9"})"});
    return info;
}
template <> const MessageInfo& message<RemoveDnsFromL3Network>() {
    static const MessageInfo info =
        resource_call<RemoveDnsFromL3Network>(l3_network(), {.name = "RemoveDnsFromL3Network",
                                                             .doc = "No longer tells guests of an L3 network of a DNS server.",
                                                             .method = Method::del,
                                                             .path = "/l3-networks/{l3NetworkUuid}/dns/{dns}",
                                                             .body_key = ""});
    return info;
}
template <> const MessageInfo& message<GetFreeIp>() {
    static const MessageInfo info = read_call<GetFreeIp>(
        {.name = "GetFreeIp",
         .category = l3_network().category,
         .doc = "Lists addresses of an L3 network that nobody has.",
         .path = "/l3-networks/{l3NetworkUuid}/ip/free",
         .reply_key = "inventories",
         .response_example =
             R"({"inventories":[{"ipRangeUuid":"5f1e0a9b3c2d4e6f8a7b9c0d1e2f3a45","ip":"10.77.0.10","netmask":"255.255.240.0","gateway":"10.77.0.1"}]})"},
        &describe<FreeIp>);
    return info;
}
template <> const MessageInfo& message<CheckIpAvailability>() {
    static const MessageInfo info = read_call<CheckIpAvailability>({.name = "CheckIpAvailability",
                                                                    .category = l3_network().category,
                                                                    .doc = "Tells whether an address of an L3 network can be given out.",
                                                                    .path = "/l3-networks/{l3NetworkUuid}/ip/{ip}/availability",
                                                                    .response_example = R"({"available":true,"success":true})"},
                                                                   &describe<CheckIpAvailabilityReply>);
    return info;
}

std::vector<const MessageInfo*> kinds::network_messages() {
    static const MessageInfo query_l2 = query_message(l2_network()), query_l3 = query_message(l3_network());
    static const MessageInfo query_range = query_message(ip_range()), query_address = query_message(used_ip());
    return {&message<CreateL2NoVlanNetwork>(),
            &query_l2,
            &message<UpdateL2Network>(),
            &message<DeleteL2Network>(),
            &message<AttachL2NetworkToCluster>(),
            &message<DetachL2NetworkFromCluster>(),
            &message<CreateL3Network>(),
            &query_l3,
            &message<UpdateL3Network>(),
            &message<ChangeL3NetworkState>(),
            &message<DeleteL3Network>(),
            &message<AddIpRange>(),
            &message<AddIpRangeByNetworkCidr>(),
            &query_range,
            &message<UpdateIpRange>(),
            &message<DeleteIpRange>(),
            &query_address,
            &message<AddDnsToL3Network>(),
            &message<RemoveDnsFromL3Network>(),
            &message<GetFreeIp>(),
            &message<CheckIpAvailability>()};
}

}  // namespace api
}  // namespace ramet
