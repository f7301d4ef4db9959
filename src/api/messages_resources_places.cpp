// Zones, clusters, hosts (contract 5.2).
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

namespace {
constexpr std::array<std::string_view, 1> kHypervisorTypes{"KVM"};
}  // namespace

template <> const TypeInfo& describe<api::CreateZone>() {
    using api::CreateZone;
    static const TypeInfo info = object<CreateZone>(
        "CreateZone", "Makes a zone.", name_field<&CreateZone::name>(zone()), description_field<&CreateZone::description>(),
        field<&CreateZone::is_default>("isDefault", "Whether it is taken when none is named; the former default zone is then no longer it.",
                                       {.fallback = "false", .example = "false"}),
        resource_uuid_field<&CreateZone::resource_uuid>(), system_tags_field<&CreateZone::system_tags>(), user_tags_field<&CreateZone::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateZone>() {
    static const TypeInfo info = update_type<Zone>(zone());
    return info;
}
template <> const TypeInfo& describe<api::ChangeZoneState>() {
    static const TypeInfo info = state_type<Zone>(zone());
    return info;
}
template <> const TypeInfo& describe<api::DeleteZone>() {
    static const TypeInfo info = delete_type<Zone>(zone());
    return info;
}

template <> const TypeInfo& describe<api::CreateCluster>() {
    using api::CreateCluster;
    static const TypeInfo info = object<CreateCluster>(
        "CreateCluster", "Makes a cluster.", uuid_field<&CreateCluster::zone_uuid>("zoneUuid", zone(), "The zone the cluster is in."),
        name_field<&CreateCluster::name>(cluster()), description_field<&CreateCluster::description>(),
        field<&CreateCluster::hypervisor_type>("hypervisorType", "The hypervisor of its hosts.",
                                               {.required = true, .one_of = kHypervisorTypes, .example = "KVM"}),
        type_field<&CreateCluster::type>("type", "The cluster's type.", "zstack"),
        type_field<&CreateCluster::architecture>("architecture", "The processor architecture of its hosts.", "x86_64"),
        resource_uuid_field<&CreateCluster::resource_uuid>(), system_tags_field<&CreateCluster::system_tags>(),
        user_tags_field<&CreateCluster::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateCluster>() {
    static const TypeInfo info = update_type<Cluster>(cluster());
    return info;
}
template <> const TypeInfo& describe<api::ChangeClusterState>() {
    static const TypeInfo info = state_type<Cluster>(cluster());
    return info;
}
template <> const TypeInfo& describe<api::DeleteCluster>() {
    static const TypeInfo info = delete_type<Cluster>(cluster());
    return info;
}

template <> const TypeInfo& describe<api::UpdateHost>() {
    using api::UpdateHost;
    static const TypeInfo info =
        object<UpdateHost>("UpdateHost", "Changes the record of a host.", path_uuid_field<&UpdateHost::uuid>(host()),
                           new_name_field<&UpdateHost::name>(), description_field<&UpdateHost::description>(),
                           field<&UpdateHost::management_ip>("managementIp", "The IPv4 address the host is managed at.",
                                                             {.characters_max = limits::kNameCharactersMax, .example = "192.168.0.10"}));
    return info;
}
template <> const TypeInfo& describe<api::ChangeHostState>() {
    static const TypeInfo info = state_type<Host>(host(), kHostStateEvents);
    return info;
}
template <> const TypeInfo& describe<api::ReconnectHost>() {
    static const TypeInfo info = reconnect_type<Host>(host());
    return info;
}

template <> const TypeInfo& describe<api::GetCpuMemoryCapacity>() {
    using api::GetCpuMemoryCapacity;
    static const TypeInfo info = object<GetCpuMemoryCapacity>(
        "GetCpuMemoryCapacity", "Which hosts to add up.",
        field<&GetCpuMemoryCapacity::zone_uuids>("zoneUuids", "Only hosts of these zones.", {.example = "[]"}),
        field<&GetCpuMemoryCapacity::cluster_uuids>("clusterUuids", "Only hosts of these clusters.", {.example = "[]"}),
        field<&GetCpuMemoryCapacity::host_uuids>("hostUuids", "Only these hosts.", {.example = "[]"}),
        field<&GetCpuMemoryCapacity::all>("all", "All hosts, whatever else is named; also what happens when nothing is named.",
                                          {.fallback = "false", .example = "true"}));
    return info;
}
template <> const TypeInfo& describe<api::GetCpuMemoryCapacityReply>() {
    using Reply = api::GetCpuMemoryCapacityReply;
    static const TypeInfo info = object<Reply>("GetCpuMemoryCapacityReply", "What the hosts have together.",
                                               field<&Reply::total_cpu>("totalCpu", "vCPUs that may be given away in all."),
                                               field<&Reply::available_cpu>("availableCpu", "vCPUs still to give away."),
                                               field<&Reply::total_memory>("totalMemory", "Bytes of memory in all."),
                                               field<&Reply::available_memory>("availableMemory", "Bytes of memory still to give away."),
                                               field<&Reply::managed_cpu_num>("managedCpuNum", "Processor threads of the hosts."),
                                               field<&Reply::resource_type>("resourceType", "What was added up: HostVO."));
    return info;
}

namespace api {

template <> const MessageInfo& message<CreateZone>() {
    static const MessageInfo info = resource_call<CreateZone>(
        zone(),
        {.name = "CreateZone", .doc = "Makes a zone.", .path = "/zones", .request_example = R"({"name":"zone1","description":"the first room"})"});
    return info;
}
template <> const MessageInfo& message<UpdateZone>() {
    static const MessageInfo info = update_message<UpdateZone>(zone());
    return info;
}
template <> const MessageInfo& message<ChangeZoneState>() {
    static const MessageInfo info = state_message<ChangeZoneState>(zone());
    return info;
}
template <> const MessageInfo& message<DeleteZone>() {
    static const MessageInfo info =
        delete_message<DeleteZone>(zone(), "Deletes an empty zone; refuses while clusters, storages, networks or VM instances are in it.");
    return info;
}

template <> const MessageInfo& message<CreateCluster>() {
    static const MessageInfo info = resource_call<CreateCluster>(
        cluster(), {.name = "CreateCluster",
                    .doc = "Makes a cluster in a zone.",
                    .path = "/clusters",
                    .request_example = R"({"zoneUuid":"d886a09330e13282b7a320a98d0a53ec","name":"cluster1","hypervisorType":"KVM"})"});
    return info;
}
template <> const MessageInfo& message<UpdateCluster>() {
    static const MessageInfo info = update_message<UpdateCluster>(cluster());
    return info;
}
template <> const MessageInfo& message<ChangeClusterState>() {
    static const MessageInfo info = state_message<ChangeClusterState>(cluster());
    return info;
}
template <> const MessageInfo& message<DeleteCluster>() {
    static const MessageInfo info =
        delete_message<DeleteCluster>(cluster(), "Deletes an empty cluster; refuses while hosts or VM instances are in it.");
    return info;
}

template <> const MessageInfo& message<UpdateHost>() {
    static const MessageInfo info = update_message<UpdateHost>(host(), R"({"name":"host1","description":"rack 3"})");
    return info;
}
template <> const MessageInfo& message<ChangeHostState>() {
    static const MessageInfo info = state_message<ChangeHostState>(host());
    return info;
}
template <> const MessageInfo& message<ReconnectHost>() {
    static const MessageInfo info = reconnect_message<ReconnectHost>(host());
    return info;
}
template <> const MessageInfo& message<GetCpuMemoryCapacity>() {
    static const MessageInfo info = read_call<GetCpuMemoryCapacity>(
        {.name = "GetCpuMemoryCapacity",
         .category = host().category,
         .doc = "Adds up the CPUs and the memory of hosts.",
         .path = "/hosts/capacities/cpu-memory",
         .response_example = R"({"totalCpu":20,"availableCpu":18,"totalMemory":8589934592,"availableMemory":8321499136,"managedCpuNum":2,)"
                             R"("resourceType":"HostVO","success":true})"},
        &describe<GetCpuMemoryCapacityReply>);
    return info;
}

std::vector<const MessageInfo*> kinds::place_messages() {
    static const MessageInfo query_zone = query_message(zone()), query_cluster = query_message(cluster()), query_host = query_message(host());
    return {&message<CreateZone>(),
            &query_zone,
            &message<UpdateZone>(),
            &message<ChangeZoneState>(),
            &message<DeleteZone>(),
            &message<CreateCluster>(),
            &query_cluster,
            &message<UpdateCluster>(),
            &message<ChangeClusterState>(),
            &message<DeleteCluster>(),
            &query_host,
            &message<UpdateHost>(),
            &message<ChangeHostState>(),
            &message<ReconnectHost>(),
            &message<GetCpuMemoryCapacity>()};
}

}  // namespace api
}  // namespace ramet
