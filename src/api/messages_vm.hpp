// Messages about VM instances, their NICs and volumes (contract 3, 4). Field meaning and rules: messages_vm_*.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "model/snapshots.hpp"
#include "model/vm.hpp"

namespace ramet::api {

struct VmNicParam {
    L3NetworkId l3_network_uuid;
    std::optional<std::string> mac, ip, netmask, gateway;
    std::optional<std::string> ip6, prefix6, gateway6;
    std::optional<std::string> meta_data, driver_type, vm_nic_type, state;
    std::optional<std::int64_t> outbound_bandwidth, inbound_bandwidth, multi_queue_num;
    std::optional<bool> is_default_nic;
    std::vector<std::string> sg_uuids;
};

struct CloneVmInstance {
    VmId vm_instance_uuid;
    std::string strategy = "InstantStart";
    std::vector<std::string> names;
    bool full = false;
    std::optional<PrimaryStorageId> primary_storage_uuid_for_root_volume;
    std::optional<PrimaryStorageId> primary_storage_uuid_for_data_volume;
    std::vector<std::string> root_volume_system_tags;
    std::vector<std::string> data_volume_system_tags;
    std::optional<ClusterId> cluster_uuid;
    std::optional<HostId> host_uuid;
    std::vector<VmNicParam> vm_nic_params;
    std::vector<std::string> system_tags;
    std::vector<std::string> user_tags;
    // Ours, all optional, so that every ZStack client stays valid.
    std::optional<CheckpointId> checkpoint_uuid;                // clone this kept capture; the source is not touched
    std::optional<SnapshotGroupId> volume_snapshot_group_uuid;  // the same of a group of snapshots
    bool memory = false;
    std::string copy = "auto";
    std::string quiesce = "auto";
    std::string identity = "reset";
    bool atomic = false;
    bool dry_run = false;
    std::string wait_for = "running";
    std::int64_t wait_seconds = 300;
    std::optional<std::int64_t> expires_in;  // seconds
    std::optional<std::int64_t> bandwidth;   // bytes per second, of all copies of the job together
};

struct ErrorInventory {
    std::string code, description;
    std::optional<std::string> details;
};
// One entry per name, in order: an inventory or an error.
struct CloneVmInstanceInventory {
    std::optional<VmInstance> inventory;
    std::optional<ErrorInventory> error;
};
// What a dry run tells (ours). Sizes in bytes.
struct PlannedNicInventory {
    L3NetworkId l3_network_uuid;
    std::string mac;
    std::optional<std::string> ip;
};
struct PlannedCloneInventory {
    std::string name;
    std::optional<HostId> host_uuid;
    std::vector<PlannedNicInventory> nics;
    std::optional<ErrorInventory> error;
};
struct PlannedVolumeInventory {
    VolumeId source_volume_uuid;
    VolumeType type = VolumeType::root;
    std::string strategy;  // as in `copy`
    std::string reason;
    std::string provisioning;
    PrimaryStorageId primary_storage_uuid;
    std::int64_t bytes_to_write = 0;  // per clone
};
struct PlannedMemoryInventory {
    std::string capture;  // live, saved, kept
    std::string reason;
    std::string place;  // disk, tmpfs
    std::optional<std::int64_t> available_bytes;
    std::int64_t bytes_to_write = 0;
    std::string bytes_basis;
    std::int64_t estimated_milliseconds = 0;
    std::optional<VmState> source_state;
};
struct CloneVmInstancePlan {
    std::vector<PlannedVolumeInventory> volumes;
    std::optional<PlannedMemoryInventory> memory;
    std::vector<PlannedCloneInventory> clones;
    std::string capture;
    std::int64_t capture_bytes_to_write = 0, merge_bytes_to_write = 0;
    std::int64_t start_bytes_to_write = 0, firmware_bytes_to_write = 0;  // per clone
    std::int64_t bytes_to_write = 0;                                     // in all
    std::int64_t estimated_milliseconds = 0;
    std::string estimate_basis;
};
// How the instant was captured that all clones of a call are made from (ours).
struct CloneCaptureInventory {
    std::string source_state;
    std::string consistency;  // of hypervisor::Consistency
    std::optional<std::string> consistency_reason;
    std::int64_t frozen_file_systems = 0;
    std::int64_t frozen_microseconds = 0, paused_microseconds = 0;
    bool layers_reused = false;
};
struct CloneVmInstanceResults {
    std::int64_t number_of_cloned_vm = 0;
    std::vector<CloneVmInstanceInventory> inventories;
    std::optional<CloneCaptureInventory> capture;
    std::optional<CloneVmInstancePlan> plan;  // of a dry run
};

struct CreateVmInstance {
    std::string name;
    std::optional<std::string> description;
    std::optional<InstanceOfferingId> instance_offering_uuid;
    std::optional<std::int64_t> cpu_num, memory_size, reserved_memory_size;
    std::optional<ImageId> image_uuid;
    std::vector<L3NetworkId> l3_network_uuids;
    std::vector<VmNicParam> vm_nic_params;
    std::optional<std::string> type;
    std::optional<DiskOfferingId> root_disk_offering_uuid;
    std::optional<std::int64_t> root_disk_size;
    std::vector<std::int64_t> data_disk_sizes;
    std::vector<DiskOfferingId> data_disk_offering_uuids;
    std::optional<ZoneId> zone_uuid;
    std::optional<ClusterId> cluster_uuid;
    std::optional<HostId> host_uuid;
    std::optional<PrimaryStorageId> primary_storage_uuid_for_root_volume;
    std::optional<L3NetworkId> default_l3_network_uuid;
    std::string strategy = "InstantStart";
    std::vector<std::string> root_volume_system_tags;
    std::vector<std::string> data_volume_system_tags;
    std::optional<std::string> platform, guest_os_type, architecture;
    std::optional<VmId> resource_uuid;
    std::vector<std::string> system_tags;
    std::vector<std::string> user_tags;
    // Of the messages that make a VM from something kept instead of an image (messages_from_snapshots.cpp): one of the first two is set.
    std::optional<SnapshotId> volume_snapshot_uuid;
    std::optional<SnapshotGroupId> volume_snapshot_group_uuid;
    std::optional<PrimaryStorageId> primary_storage_uuid;  // of all its volumes that nothing else is said of
};

struct StartVmInstance {
    VmId uuid;
    std::optional<ClusterId> cluster_uuid;
    std::optional<HostId> host_uuid;
};
struct StopVmInstance {
    VmId uuid;
    std::string type = "grace";
};
struct RebootVmInstance {
    VmId uuid;
};
struct PauseVmInstance {
    VmId uuid;
};
struct ResumeVmInstance {
    VmId uuid;
};
struct DestroyVmInstance {
    VmId uuid;
    std::string delete_mode = "Permissive";
};
struct RecoverVmInstance {
    VmId uuid;
};
struct ExpungeVmInstance {
    VmId uuid;
};
struct UpdateVmInstance {
    VmId uuid;
    std::optional<std::string> name, description, platform, guest_os_type;
    std::optional<L3NetworkId> default_l3_network_uuid;
    std::optional<std::int64_t> cpu_num, memory_size;
    std::optional<std::string> state;
};
struct ChangeVmNicState {
    NicId vm_nic_uuid;
    std::string state;
};
struct SetVmHostname {
    VmId uuid;
    std::string hostname;
};
struct GetVmHostname {
    VmId uuid;
};
struct GetVmHostnameReply {
    std::optional<std::string> hostname;
};
struct DeleteVmHostname {
    VmId uuid;
};
struct GetVmConsoleAddress {
    VmId uuid;
};
struct GetVmConsoleAddressReply {
    std::string host_ip;
    std::int64_t port = 0;
    std::string protocol;
    std::string path;
};

// Holds what is on disk, in QEMU and in the network against the rows.
struct CheckInvariants {};
struct InvariantFinding {
    std::string kind, what;
};
struct InvariantState {
    std::string number, claim, state;
    std::optional<std::string> reason;
    std::vector<std::string> findings;
};
struct CheckInvariantsReply {
    std::vector<InvariantFinding> findings;
    std::vector<InvariantState> invariants;
};

// Removes what nobody owns and was seen twice, without the grace period.
struct CleanGarbage {};
struct CleanGarbageReply {
    std::int64_t removed = 0, waiting = 0, wait_seconds = 0;
};

// Reads what was captured of VMs' memory and holds it against its checksums.
struct VerifyMemoryImages {};
struct VerifyMemoryImagesReply {
    std::int64_t verified = 0;
    std::vector<std::string> damaged;
};

struct CreateDataVolume {
    std::string name;
    std::optional<std::string> description;
    std::optional<DiskOfferingId> disk_offering_uuid;
    std::optional<std::int64_t> disk_size;
    std::optional<PrimaryStorageId> primary_storage_uuid;
    std::optional<VolumeId> resource_uuid;
    std::vector<std::string> system_tags;
    std::vector<std::string> user_tags;
};
struct AttachDataVolumeToVm {
    VolumeId volume_uuid;
    VmId vm_instance_uuid;
};
struct DetachDataVolumeFromVm {
    VolumeId uuid;
    std::optional<VmId> vm_uuid;
};
struct DeleteDataVolume {
    VolumeId uuid;
    std::string delete_mode = "Permissive";
};
struct RecoverDataVolume {
    VolumeId uuid;
};
struct ExpungeDataVolume {
    VolumeId uuid;
};
struct UpdateVolume {
    VolumeId uuid;
    std::optional<std::string> name, description;
};
struct ChangeVolumeState {
    VolumeId uuid;
    std::string state_event;
};

std::vector<const MessageInfo*> vm_messages();

}  // namespace ramet::api

namespace ramet {

RAMET_DECLARE_MESSAGE(CloneVmInstance)
RAMET_DECLARE_MESSAGE(CreateVmInstance)
RAMET_DECLARE_MESSAGE(StartVmInstance)
RAMET_DECLARE_MESSAGE(StopVmInstance)
RAMET_DECLARE_MESSAGE(RebootVmInstance)
RAMET_DECLARE_MESSAGE(PauseVmInstance)
RAMET_DECLARE_MESSAGE(ResumeVmInstance)
RAMET_DECLARE_MESSAGE(DestroyVmInstance)
RAMET_DECLARE_MESSAGE(RecoverVmInstance)
RAMET_DECLARE_MESSAGE(ExpungeVmInstance)
RAMET_DECLARE_MESSAGE(UpdateVmInstance)
RAMET_DECLARE_MESSAGE(ChangeVmNicState)
RAMET_DECLARE_MESSAGE(SetVmHostname)
RAMET_DECLARE_MESSAGE(GetVmHostname)
RAMET_DECLARE_MESSAGE(DeleteVmHostname)
RAMET_DECLARE_MESSAGE(GetVmConsoleAddress)
RAMET_DECLARE_MESSAGE(CheckInvariants)
RAMET_DECLARE_MESSAGE(CleanGarbage)
RAMET_DECLARE_MESSAGE(VerifyMemoryImages)
RAMET_DECLARE_MESSAGE(CreateDataVolume)
RAMET_DECLARE_MESSAGE(AttachDataVolumeToVm)
RAMET_DECLARE_MESSAGE(DetachDataVolumeFromVm)
RAMET_DECLARE_MESSAGE(DeleteDataVolume)
RAMET_DECLARE_MESSAGE(RecoverDataVolume)
RAMET_DECLARE_MESSAGE(ExpungeDataVolume)
RAMET_DECLARE_MESSAGE(UpdateVolume)
RAMET_DECLARE_MESSAGE(ChangeVolumeState)
template <> const TypeInfo& describe<api::VmNicParam>();
template <> const TypeInfo& describe<api::ErrorInventory>();
template <> const TypeInfo& describe<api::CloneVmInstanceInventory>();
template <> const TypeInfo& describe<api::CloneCaptureInventory>();
template <> const TypeInfo& describe<api::CloneVmInstanceResults>();
template <> const TypeInfo& describe<api::GetVmHostnameReply>();
template <> const TypeInfo& describe<api::GetVmConsoleAddressReply>();
template <> const TypeInfo& describe<api::InvariantFinding>();
template <> const TypeInfo& describe<api::InvariantState>();
template <> const TypeInfo& describe<api::CleanGarbageReply>();
template <> const TypeInfo& describe<api::VerifyMemoryImagesReply>();
template <> const TypeInfo& describe<api::CheckInvariantsReply>();

}  // namespace ramet
