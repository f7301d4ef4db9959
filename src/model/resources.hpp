// The rows of the resource pool: places, storages, images, offerings, networks. Plain values; field meaning as on the wire
// (contract 5.1). Sizes are bytes. Descriptions (names, docs, columns) are in resources.cpp and networks.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "model/states.hpp"

namespace ramet {

struct Zone {
    ZoneId uuid;
    std::string name;
    std::optional<std::string> description;
    Enablement state = Enablement::enabled;
    std::string type = "zstack";
    bool is_default = false;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<Zone>();

struct Cluster {
    ClusterId uuid;
    std::string name;
    std::optional<std::string> description;
    Enablement state = Enablement::enabled;
    std::string hypervisor_type = "KVM";
    ZoneId zone_uuid;
    std::string type = "zstack";
    std::string architecture = "x86_64";
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<Cluster>();

struct Host {
    HostId uuid;
    ZoneId zone_uuid;
    ClusterId cluster_uuid;
    std::string name;
    std::optional<std::string> description;
    std::string management_ip = "127.0.0.1";
    std::string hypervisor_type = "KVM";
    Enablement state = Enablement::enabled;
    Connection status = Connection::connecting;
    std::int64_t total_cpu_capacity = 0;         // vCPUs that may be given away: cpuNum x over-provisioning
    std::int64_t available_cpu_capacity = 0;     // computed at read time
    std::int64_t total_memory_capacity = 0;      // bytes
    std::int64_t available_memory_capacity = 0;  // computed at read time
    std::int64_t cpu_sockets = 1;
    std::int64_t cpu_num = 0;
    std::string architecture = "x86_64";
    std::optional<std::string> accelerator;  // "kvm" or "tcg", as proven by booting a guest
    std::optional<std::string> accelerator_reason;
    std::optional<std::string> hypervisor_version;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<Host>();

struct PrimaryStorage {
    PrimaryStorageId uuid;
    ZoneId zone_uuid;
    std::string name;
    std::string url;  // an absolute directory
    std::optional<std::string> description;
    std::string type = "LocalStorage";
    Enablement state = Enablement::enabled;
    Connection status = Connection::connecting;
    std::optional<std::string> mount_path;
    std::int64_t total_capacity = 0, available_capacity = 0;                    // computed at read time
    std::int64_t total_physical_capacity = 0, available_physical_capacity = 0;  // computed at read time
    std::vector<ClusterId> attached_cluster_uuids;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<PrimaryStorage>();

struct PrimaryStorageClusterRef {
    std::string uuid;  // "<storage>-<cluster>"
    PrimaryStorageId primary_storage_uuid;
    ClusterId cluster_uuid;
};
template <> const TypeInfo& describe<PrimaryStorageClusterRef>();

struct BackupStorage {
    BackupStorageId uuid;
    std::string name;
    std::string url;
    std::optional<std::string> description;
    std::string type = "ImageStoreBackupStorage";
    Enablement state = Enablement::enabled;
    Connection status = Connection::connected;
    std::string hostname = "127.0.0.1";
    std::int64_t total_capacity = 0, available_capacity = 0;  // computed at read time
    std::vector<ZoneId> attached_zone_uuids;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<BackupStorage>();

struct BackupStorageZoneRef {
    std::string uuid;  // "<storage>-<zone>"
    BackupStorageId backup_storage_uuid;
    ZoneId zone_uuid;
};
template <> const TypeInfo& describe<BackupStorageZoneRef>();

struct ImageBackupStorageRef {
    std::string uuid;  // "<image>-<storage>"
    ImageId image_uuid;
    BackupStorageId backup_storage_uuid;
    std::string install_path;
    ImageStatus status = ImageStatus::creating;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<ImageBackupStorageRef>();

struct Image {
    ImageId uuid;
    std::string name;
    std::optional<std::string> description;
    Enablement state = Enablement::enabled;
    ImageStatus status = ImageStatus::creating;
    std::int64_t size = 0;                // virtual bytes
    std::int64_t actual_size = 0;         // bytes of the file
    std::optional<std::string> md5_sum;   // ZStack's field; holds the hex MD5 of the stored file
    std::optional<std::string> checksum;  // "sha256:<hex>" of the file as fetched
    std::string url;
    std::string media_type = "RootVolumeTemplate";
    std::optional<std::string> guest_os_type;
    std::string type = "zstack";
    std::string platform = "Linux";
    std::string architecture = "x86_64";
    std::string format = "qcow2";
    bool system = false;
    bool virtio = true;
    std::vector<ImageBackupStorageRef> backup_storage_refs;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<Image>();

struct InstanceOffering {
    InstanceOfferingId uuid;
    std::string name;
    std::optional<std::string> description;
    std::int64_t cpu_num = 1;
    std::int64_t cpu_speed = 0;
    std::int64_t memory_size = 0;
    std::int64_t reserved_memory_size = 0;
    std::string type = "UserVm";
    std::string allocator_strategy = "LeastVmPreferredHostAllocatorStrategy";
    std::int64_t sort_key = 0;
    Enablement state = Enablement::enabled;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<InstanceOffering>();

struct DiskOffering {
    DiskOfferingId uuid;
    std::string name;
    std::optional<std::string> description;
    std::int64_t disk_size = 0;
    std::int64_t sort_key = 0;
    Enablement state = Enablement::enabled;
    std::string type = "zstack";
    std::string allocator_strategy = "DefaultPrimaryStorageAllocationStrategy";
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<DiskOffering>();

struct L2Network {
    L2NetworkId uuid;
    std::string name;
    std::optional<std::string> description;
    ZoneId zone_uuid;
    std::string physical_interface;
    std::string type = "L2NoVlanNetwork";
    std::string v_switch_type = "LinuxBridge";
    std::int64_t virtual_network_id = 0;
    std::vector<ClusterId> attached_cluster_uuids;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<L2Network>();

struct L2NetworkClusterRef {
    std::string uuid;  // "<network>-<cluster>"
    L2NetworkId l2_network_uuid;
    ClusterId cluster_uuid;
};
template <> const TypeInfo& describe<L2NetworkClusterRef>();

struct IpRange {
    IpRangeId uuid;
    L3NetworkId l3_network_uuid;
    std::string name;
    std::optional<std::string> description;
    std::string start_ip, end_ip, netmask, gateway;
    std::string network_cidr;
    std::int64_t ip_version = 4;
    std::int64_t prefix_len = 24;
    std::string ip_range_type = "Normal";
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<IpRange>();

struct L3Network {
    L3NetworkId uuid;
    std::string name;
    std::optional<std::string> description;
    std::string type = "L3BasicNetwork";
    ZoneId zone_uuid;
    L2NetworkId l2_network_uuid;
    Enablement state = Enablement::enabled;
    std::optional<std::string> dns_domain;
    bool system = false;
    std::string category = "Private";
    std::int64_t ip_version = 4;
    bool enable_ipam = true;
    std::vector<std::string> dns;
    std::vector<IpRange> ip_ranges;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<L3Network>();

struct UsedIp {
    UsedIpId uuid;
    IpRangeId ip_range_uuid;
    L3NetworkId l3_network_uuid;
    std::int64_t ip_version = 4;
    std::string ip, netmask, gateway;
    std::optional<std::string> used_for;
    std::int64_t ip_in_long = 0;
    NicId vm_nic_uuid;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<UsedIp>();

struct SystemTag {
    TagId uuid;
    std::string resource_uuid;
    std::string resource_type;
    std::string tag;
    std::string type = "System";
    bool inherent = false;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<SystemTag>();

struct UserTag {
    TagId uuid;
    std::string resource_uuid;
    std::string resource_type;
    std::string tag;
    std::string type = "User";
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<UserTag>();

struct GlobalConfig {
    std::string uuid;  // "<category>.<name>"
    std::string category, name, description, default_value, value;
};
template <> const TypeInfo& describe<GlobalConfig>();

}  // namespace ramet
