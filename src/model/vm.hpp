// The rows of a VM instance: the VM, its NICs, its volumes, and the layers under the volumes. Sizes are bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "model/resources.hpp"
#include "model/states.hpp"

namespace ramet {

struct VmNic {
    NicId uuid;
    VmId vm_instance_uuid;
    L3NetworkId l3_network_uuid;
    std::optional<std::string> ip;
    std::string mac;  // lower case
    std::string hypervisor_type = "KVM";
    std::optional<std::string> netmask, gateway;
    std::optional<std::string> meta_data;
    std::int64_t ip_version = 4;
    std::string driver_type = "virtio";
    std::string internal_name;  // the tap device, unique on the host, 15 characters at most
    std::int64_t device_id = 0;
    std::string type = "VNIC";
    NicState state = NicState::enable;
    std::optional<std::int64_t> outbound_bandwidth, inbound_bandwidth;  // bit/s
    std::optional<std::int64_t> multi_queue_num;
    std::vector<UsedIp> used_ips;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VmNic>();

struct VmCdRom {
    std::string uuid;
    VmId vm_instance_uuid;
    std::int64_t device_id = 0;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VmCdRom>();

struct Volume {
    VolumeId uuid;
    std::string name;
    std::optional<std::string> description;
    std::optional<PrimaryStorageId> primary_storage_uuid;
    std::optional<VmId> vm_instance_uuid;
    std::optional<DiskOfferingId> disk_offering_uuid;
    std::optional<ImageId> root_image_uuid;
    std::optional<std::string> install_path;  // absolute path of the top layer
    VolumeType type = VolumeType::root;
    std::string format = "qcow2";
    std::int64_t size = 0;
    std::int64_t actual_size = 0;  // allocated bytes of the volume's own layers; refreshed at read time for Ready volumes
    std::optional<std::int64_t> device_id;
    Enablement state = Enablement::enabled;
    VolumeStatus status = VolumeStatus::creating;
    bool is_shareable = false;
    std::optional<LayerId> top_layer_uuid;  // internal
    std::optional<JobId> attach_job_uuid;   // internal: the call that attached it; absent when it came with its VM
    std::optional<Timestamp> last_attach_date, last_detach_date;
    std::optional<VmId> last_vm_instance_uuid;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<Volume>();

// One link of a volume's chain. The top layer is writable and belongs to one volume; every other layer is sealed: never
// written again, shared by reference count (the volumes and layers that name it).
struct Layer {
    LayerId uuid;
    PrimaryStorageId primary_storage_uuid;
    std::string path;  // relative to the storage's directory, made from uuids only
    DiskFormat format = DiskFormat::qcow2;
    std::int64_t size = 0;  // virtual bytes
    bool sealed = false;
    std::optional<LayerId> parent_uuid;
    std::optional<ImageId> image_uuid;    // an image-cache layer
    std::optional<VolumeId> volume_uuid;  // the volume whose top it is or was
    bool untouched = false;               // empty when its process started or it was made: while nobody writes, its parent has the same content
    bool deleting = false;                // its file is being removed: nothing may refer to it any more
    Timestamp create_date;
};
template <> const TypeInfo& describe<Layer>();

struct VmInstance {
    VmId uuid;
    std::string name;
    std::optional<std::string> description;
    ZoneId zone_uuid;
    std::optional<ClusterId> cluster_uuid;
    std::optional<ImageId> image_uuid;
    std::optional<HostId> host_uuid;  // where it runs; absent when it does not
    std::optional<HostId> last_host_uuid;
    std::optional<InstanceOfferingId> instance_offering_uuid;
    std::optional<VolumeId> root_volume_uuid;
    std::string platform = "Linux";
    std::string architecture = "x86_64";
    std::optional<L3NetworkId> default_l3_network_uuid;
    std::string type = "UserVm";
    std::string hypervisor_type = "KVM";
    std::int64_t memory_size = 0;
    std::int64_t reserved_memory_size = 0;
    std::int64_t cpu_num = 1;
    std::int64_t cpu_speed = 0;
    std::string allocator_strategy = "LastHostPreferredAllocatorStrategy";
    VmState state = VmState::created;
    std::optional<std::string> guest_os_type;
    std::optional<VmState> state_before_destroy;        // internal
    IdentityState identity_state = IdentityState::own;  // internal
    std::optional<JobId> owner_job_uuid;                // internal: the job that is making this VM; absent once made
    std::optional<JobId> revert_job_uuid;               // internal: the job that last took it back to snapshots
    std::optional<Timestamp> lease_end_date;            // then it is destroyed and expunged
    std::vector<VmNic> vm_nics;
    std::vector<Volume> all_volumes;
    std::vector<VmCdRom> vm_cd_roms;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VmInstance>();

}  // namespace ramet
