// Messages about the resource pool: zones, clusters, hosts, storages, images, offerings, networks, tags, settings (contract 5.2).
// Field meaning and rules: messages_resources_*.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "model/resources.hpp"

namespace ramet::api {

// --- what most resources have in common
template <class Row>
struct Delete {
    decltype(Row::uuid) uuid;
    std::string delete_mode = "Permissive";
};
template <class Row>
struct ChangeState {
    decltype(Row::uuid) uuid;
    std::string state_event;
};
template <class Row>
struct Update {
    decltype(Row::uuid) uuid;
    std::optional<std::string> name, description;
};
template <class Row>
struct Reconnect {
    decltype(Row::uuid) uuid;
};

// --- places
struct CreateZone {
    std::string name;
    std::optional<std::string> description;
    bool is_default = false;
    std::optional<ZoneId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdateZone = Update<Zone>;
using ChangeZoneState = ChangeState<Zone>;
using DeleteZone = Delete<Zone>;

struct CreateCluster {
    ZoneId zone_uuid;
    std::string name;
    std::optional<std::string> description;
    std::string hypervisor_type;
    std::optional<std::string> type, architecture;
    std::optional<ClusterId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdateCluster = Update<Cluster>;
using ChangeClusterState = ChangeState<Cluster>;
using DeleteCluster = Delete<Cluster>;

struct UpdateHost {
    HostId uuid;
    std::optional<std::string> name, description, management_ip;
};
using ChangeHostState = ChangeState<Host>;
using ReconnectHost = Reconnect<Host>;
struct GetCpuMemoryCapacity {
    std::vector<ZoneId> zone_uuids;
    std::vector<ClusterId> cluster_uuids;
    std::vector<HostId> host_uuids;
    bool all = false;
};
struct GetCpuMemoryCapacityReply {
    std::int64_t total_cpu = 0, available_cpu = 0, total_memory = 0, available_memory = 0, managed_cpu_num = 0;
    std::string resource_type = "HostVO";
};

// --- storages
struct AddLocalPrimaryStorage {
    std::string name;
    std::string url;
    std::optional<std::string> description, type;
    ZoneId zone_uuid;
    bool create_directory = true;  // ours
    std::optional<PrimaryStorageId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdatePrimaryStorage = Update<PrimaryStorage>;
using ChangePrimaryStorageState = ChangeState<PrimaryStorage>;
using ReconnectPrimaryStorage = Reconnect<PrimaryStorage>;
using DeletePrimaryStorage = Delete<PrimaryStorage>;
struct AttachPrimaryStorageToCluster {
    ClusterId cluster_uuid;
    PrimaryStorageId primary_storage_uuid;
};
struct DetachPrimaryStorageFromCluster {
    ClusterId cluster_uuid;
    PrimaryStorageId primary_storage_uuid;
};
struct GetPrimaryStorageCapacity {
    std::vector<ZoneId> zone_uuids;
    std::vector<ClusterId> cluster_uuids;
    std::vector<PrimaryStorageId> primary_storage_uuids;
    bool all = false;
};
struct GetPrimaryStorageCapacityReply {
    std::int64_t total_capacity = 0, available_capacity = 0, total_physical_capacity = 0, available_physical_capacity = 0;
};
struct AddImageStoreBackupStorage {
    std::string name;
    std::string url;
    std::optional<std::string> description, type, hostname, username, password;
    std::optional<std::int64_t> ssh_port;
    std::optional<BackupStorageId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdateBackupStorage = Update<BackupStorage>;
using ChangeBackupStorageState = ChangeState<BackupStorage>;
using ReconnectBackupStorage = Reconnect<BackupStorage>;
using DeleteBackupStorage = Delete<BackupStorage>;
struct AttachBackupStorageToZone {
    ZoneId zone_uuid;
    BackupStorageId backup_storage_uuid;
};
struct DetachBackupStorageFromZone {
    ZoneId zone_uuid;
    BackupStorageId backup_storage_uuid;
};

// --- images and offerings
struct AddImage {
    std::string name;
    std::optional<std::string> description;
    std::string url;
    std::vector<BackupStorageId> backup_storage_uuids;
    std::string media_type = "RootVolumeTemplate";
    std::optional<std::string> guest_os_type, architecture, format, platform, type;
    bool system = false;
    bool virtio = true;
    std::optional<std::string> checksum;  // ours: "sha256:<hex>"
    std::optional<ImageId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
struct UpdateImage {
    ImageId uuid;
    std::optional<std::string> name, description, guest_os_type, platform, architecture;
    std::optional<bool> system, virtio;
};
using ChangeImageState = ChangeState<Image>;
struct DeleteImage {
    ImageId uuid;
    std::vector<BackupStorageId> backup_storage_uuids;
    std::string delete_mode = "Permissive";
};
struct RecoverImage {
    ImageId image_uuid;
    std::vector<BackupStorageId> backup_storage_uuids;
};
struct ExpungeImage {
    ImageId image_uuid;
    std::vector<BackupStorageId> backup_storage_uuids;
};

struct CreateInstanceOffering {
    std::string name;
    std::optional<std::string> description;
    std::int64_t cpu_num = 0, memory_size = 0;
    std::optional<std::int64_t> cpu_speed, reserved_memory_size, sort_key;
    std::optional<std::string> type, allocator_strategy;
    std::optional<InstanceOfferingId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdateInstanceOffering = Update<InstanceOffering>;
using ChangeInstanceOfferingState = ChangeState<InstanceOffering>;
using DeleteInstanceOffering = Delete<InstanceOffering>;

struct CreateDiskOffering {
    std::string name;
    std::optional<std::string> description;
    std::int64_t disk_size = 0;
    std::optional<std::int64_t> sort_key;
    std::optional<std::string> type, allocation_strategy;
    std::optional<DiskOfferingId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdateDiskOffering = Update<DiskOffering>;
using ChangeDiskOfferingState = ChangeState<DiskOffering>;
using DeleteDiskOffering = Delete<DiskOffering>;

// --- networks
struct CreateL2NoVlanNetwork {
    std::string name;
    std::optional<std::string> description;
    ZoneId zone_uuid;
    std::string physical_interface;
    std::optional<std::string> type, v_switch_type;
    std::optional<L2NetworkId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
using UpdateL2Network = Update<L2Network>;
using DeleteL2Network = Delete<L2Network>;
struct AttachL2NetworkToCluster {
    L2NetworkId l2_network_uuid;
    ClusterId cluster_uuid;
};
struct DetachL2NetworkFromCluster {
    L2NetworkId l2_network_uuid;
    ClusterId cluster_uuid;
};

struct CreateL3Network {
    std::string name;
    std::optional<std::string> description;
    std::optional<std::string> type;
    L2NetworkId l2_network_uuid;
    std::string category = "Private";
    std::optional<std::int64_t> ip_version;
    bool system = false;
    std::optional<std::string> dns_domain;
    bool enable_ipam = true;
    std::optional<L3NetworkId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
struct UpdateL3Network {
    L3NetworkId uuid;
    std::optional<std::string> name, description, dns_domain, category;
    std::optional<bool> system;
};
using ChangeL3NetworkState = ChangeState<L3Network>;
using DeleteL3Network = Delete<L3Network>;

struct AddIpRange {
    L3NetworkId l3_network_uuid;
    std::string name;
    std::optional<std::string> description;
    std::string start_ip, end_ip, netmask;
    std::optional<std::string> gateway;
    std::optional<IpRangeId> resource_uuid;
};
struct AddIpRangeByNetworkCidr {
    L3NetworkId l3_network_uuid;
    std::string name;
    std::optional<std::string> description;
    std::string network_cidr;
    std::optional<std::string> gateway;
    std::optional<IpRangeId> resource_uuid;
};
using UpdateIpRange = Update<IpRange>;
using DeleteIpRange = Delete<IpRange>;
struct AddDnsToL3Network {
    L3NetworkId l3_network_uuid;
    std::string dns;
};
struct RemoveDnsFromL3Network {
    L3NetworkId l3_network_uuid;
    std::string dns;
};
struct GetFreeIp {
    L3NetworkId l3_network_uuid;
    std::int64_t limit = 100;
    std::optional<std::string> start;
};
struct FreeIp {
    IpRangeId ip_range_uuid;
    std::string ip, netmask, gateway;
};
struct CheckIpAvailability {
    L3NetworkId l3_network_uuid;
    std::string ip;
};
struct CheckIpAvailabilityReply {
    bool available = false;
    std::optional<std::string> reason;
};

// --- tags
struct CreateSystemTag {
    std::string resource_type, resource_uuid, tag;
};
struct CreateSystemTags {
    std::string resource_uuid;
    std::vector<std::string> tags;
};
struct UpdateSystemTag {
    TagId uuid;
    std::string tag;
};
struct CreateUserTag {
    std::string resource_type, resource_uuid, tag;
};
struct DeleteTag {
    TagId uuid;
    std::string delete_mode = "Permissive";
};

// --- settings and the server itself
struct UpdateGlobalConfig {
    std::string category, name;
    std::optional<std::string> value;
};
struct GetVersion {};
struct GetVersionReply {
    std::string version;
};
struct GetCurrentTime {};
struct CurrentTime {
    std::int64_t million_seconds = 0, seconds = 0;
};
struct GetCurrentTimeReply {
    CurrentTime current_time;
};
struct GetManagementNodeArch {};
struct GetManagementNodeArchReply {
    std::string architecture;
};
struct GetSupportAPIs {};
struct GetSupportAPIsReply {
    std::vector<std::string> support_apis;
};
struct ManagementNode {
    std::string uuid, host_name;
    Timestamp join_date, heart_beat;
};
struct IsManagementNodeReady {};
struct IsManagementNodeReadyReply {
    std::string management_node_id;
};
struct GetPlatformTimeZone {};
struct GetPlatformTimeZoneReply {
    std::string timezone, offset;
};

std::vector<const MessageInfo*> resource_messages();

}  // namespace ramet::api

namespace ramet {

RAMET_DECLARE_MESSAGE(CreateZone)
RAMET_DECLARE_MESSAGE(UpdateZone)
RAMET_DECLARE_MESSAGE(ChangeZoneState)
RAMET_DECLARE_MESSAGE(DeleteZone)
RAMET_DECLARE_MESSAGE(CreateCluster)
RAMET_DECLARE_MESSAGE(UpdateCluster)
RAMET_DECLARE_MESSAGE(ChangeClusterState)
RAMET_DECLARE_MESSAGE(DeleteCluster)
RAMET_DECLARE_MESSAGE(UpdateHost)
RAMET_DECLARE_MESSAGE(ChangeHostState)
RAMET_DECLARE_MESSAGE(ReconnectHost)
RAMET_DECLARE_MESSAGE(GetCpuMemoryCapacity)
RAMET_DECLARE_MESSAGE(AddLocalPrimaryStorage)
RAMET_DECLARE_MESSAGE(UpdatePrimaryStorage)
RAMET_DECLARE_MESSAGE(ChangePrimaryStorageState)
RAMET_DECLARE_MESSAGE(ReconnectPrimaryStorage)
RAMET_DECLARE_MESSAGE(DeletePrimaryStorage)
RAMET_DECLARE_MESSAGE(AttachPrimaryStorageToCluster)
RAMET_DECLARE_MESSAGE(DetachPrimaryStorageFromCluster)
RAMET_DECLARE_MESSAGE(GetPrimaryStorageCapacity)
RAMET_DECLARE_MESSAGE(AddImageStoreBackupStorage)
RAMET_DECLARE_MESSAGE(UpdateBackupStorage)
RAMET_DECLARE_MESSAGE(ChangeBackupStorageState)
RAMET_DECLARE_MESSAGE(ReconnectBackupStorage)
RAMET_DECLARE_MESSAGE(DeleteBackupStorage)
RAMET_DECLARE_MESSAGE(AttachBackupStorageToZone)
RAMET_DECLARE_MESSAGE(DetachBackupStorageFromZone)
RAMET_DECLARE_MESSAGE(AddImage)
RAMET_DECLARE_MESSAGE(UpdateImage)
RAMET_DECLARE_MESSAGE(ChangeImageState)
RAMET_DECLARE_MESSAGE(DeleteImage)
RAMET_DECLARE_MESSAGE(RecoverImage)
RAMET_DECLARE_MESSAGE(ExpungeImage)
RAMET_DECLARE_MESSAGE(CreateInstanceOffering)
RAMET_DECLARE_MESSAGE(UpdateInstanceOffering)
RAMET_DECLARE_MESSAGE(ChangeInstanceOfferingState)
RAMET_DECLARE_MESSAGE(DeleteInstanceOffering)
RAMET_DECLARE_MESSAGE(CreateDiskOffering)
RAMET_DECLARE_MESSAGE(UpdateDiskOffering)
RAMET_DECLARE_MESSAGE(ChangeDiskOfferingState)
RAMET_DECLARE_MESSAGE(DeleteDiskOffering)
RAMET_DECLARE_MESSAGE(CreateL2NoVlanNetwork)
RAMET_DECLARE_MESSAGE(UpdateL2Network)
RAMET_DECLARE_MESSAGE(DeleteL2Network)
RAMET_DECLARE_MESSAGE(AttachL2NetworkToCluster)
RAMET_DECLARE_MESSAGE(DetachL2NetworkFromCluster)
RAMET_DECLARE_MESSAGE(CreateL3Network)
RAMET_DECLARE_MESSAGE(UpdateL3Network)
RAMET_DECLARE_MESSAGE(ChangeL3NetworkState)
RAMET_DECLARE_MESSAGE(DeleteL3Network)
RAMET_DECLARE_MESSAGE(AddIpRange)
RAMET_DECLARE_MESSAGE(AddIpRangeByNetworkCidr)
RAMET_DECLARE_MESSAGE(UpdateIpRange)
RAMET_DECLARE_MESSAGE(DeleteIpRange)
RAMET_DECLARE_MESSAGE(AddDnsToL3Network)
RAMET_DECLARE_MESSAGE(RemoveDnsFromL3Network)
RAMET_DECLARE_MESSAGE(GetFreeIp)
RAMET_DECLARE_MESSAGE(CheckIpAvailability)
RAMET_DECLARE_MESSAGE(CreateSystemTag)
RAMET_DECLARE_MESSAGE(CreateSystemTags)
RAMET_DECLARE_MESSAGE(UpdateSystemTag)
RAMET_DECLARE_MESSAGE(CreateUserTag)
RAMET_DECLARE_MESSAGE(DeleteTag)
RAMET_DECLARE_MESSAGE(UpdateGlobalConfig)
RAMET_DECLARE_MESSAGE(GetVersion)
RAMET_DECLARE_MESSAGE(GetCurrentTime)
RAMET_DECLARE_MESSAGE(GetManagementNodeArch)
RAMET_DECLARE_MESSAGE(GetSupportAPIs)
RAMET_DECLARE_MESSAGE(IsManagementNodeReady)
RAMET_DECLARE_MESSAGE(GetPlatformTimeZone)
template <> const TypeInfo& describe<api::GetCpuMemoryCapacityReply>();
template <> const TypeInfo& describe<api::GetPrimaryStorageCapacityReply>();
template <> const TypeInfo& describe<api::FreeIp>();
template <> const TypeInfo& describe<api::CheckIpAvailabilityReply>();
template <> const TypeInfo& describe<api::GetVersionReply>();
template <> const TypeInfo& describe<api::CurrentTime>();
template <> const TypeInfo& describe<api::GetCurrentTimeReply>();
template <> const TypeInfo& describe<api::GetManagementNodeArchReply>();
template <> const TypeInfo& describe<api::GetSupportAPIsReply>();
template <> const TypeInfo& describe<api::ManagementNode>();
template <> const TypeInfo& describe<api::IsManagementNodeReadyReply>();
template <> const TypeInfo& describe<api::GetPlatformTimeZoneReply>();

}  // namespace ramet
