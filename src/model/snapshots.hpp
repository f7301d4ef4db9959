// The rows of volume snapshots, their trees and groups (contract 5.1), and of checkpoints: kept captures of whole VM instances.
// A snapshot or a checkpoint's volume is a row that names a sealed layer and so keeps it; it has no file of its own. Sizes are bytes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "model/vm.hpp"

namespace ramet {

using SnapshotId = Id<struct SnapshotKind>;
using SnapshotTreeId = Id<struct SnapshotTreeKind>;
using SnapshotGroupId = Id<struct SnapshotGroupKind>;
using CheckpointId = Id<struct CheckpointKind>;
using MemoryImageId = Id<struct MemoryImageKind>;

enum class SnapshotStatus : std::uint8_t { creating, ready, deleting, deleted };
inline constexpr std::array<std::string_view, 4> kSnapshotStatusNames{"Creating", "Ready", "Deleting", "Deleted"};
template <> inline constexpr std::span<const std::string_view> enum_names<SnapshotStatus>{kSnapshotStatusNames};

// A copy of a snapshot on a backup storage. Part of ZStack's inventory; snapshots here stay on their primary storage.
struct VolumeSnapshotBackupStorageRef {
    SnapshotId volume_snapshot_uuid;
    BackupStorageId backup_storage_uuid;
    std::string install_path;
};
template <> const TypeInfo& describe<VolumeSnapshotBackupStorageRef>();

struct VolumeSnapshot {
    SnapshotId uuid;
    std::string name;
    std::optional<std::string> description;
    std::string type = "Hypervisor";
    VolumeId volume_uuid;
    SnapshotTreeId tree_uuid;
    std::optional<SnapshotId> parent_uuid;  // the snapshot of its tree that it was taken after; absent: the tree's root
    PrimaryStorageId primary_storage_uuid;
    std::string primary_storage_install_path;
    VolumeType volume_type = VolumeType::root;
    std::string format = "qcow2";
    bool latest = false;        // the volume goes on from this one: the next snapshot becomes its child
    std::int64_t size = 0;      // allocated by the layer when the snapshot was taken
    std::int64_t distance = 1;  // from the tree's root, which has 1
    Enablement state = Enablement::enabled;
    SnapshotStatus status = SnapshotStatus::ready;
    std::vector<VolumeSnapshotBackupStorageRef> backup_storage_refs;
    std::optional<SnapshotGroupId> group_uuid;
    LayerId layer_uuid;  // internal: what it keeps
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VolumeSnapshot>();

// A snapshot with those taken after it.
struct SnapshotLeaf {
    VolumeSnapshot inventory;
    std::optional<SnapshotId> parent_uuid;
    std::vector<SnapshotLeaf> children;
};
template <> const TypeInfo& describe<SnapshotLeaf>();

struct VolumeSnapshotTree {
    SnapshotTreeId uuid;
    VolumeId volume_uuid;
    bool current = false;  // the volume goes on from a snapshot of this tree
    std::string status = "Completed";
    std::optional<SnapshotLeaf> tree;  // worked out when it is shown
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VolumeSnapshotTree>();

struct VolumeSnapshotGroupRef {
    SnapshotId volume_snapshot_uuid;
    SnapshotGroupId volume_snapshot_group_uuid;
    std::int64_t device_id = 0;
    bool snapshot_deleted = false;
    VolumeId volume_uuid;
    std::string volume_name;
    VolumeType volume_type = VolumeType::root;
    std::string volume_snapshot_install_path;
    std::string volume_snapshot_name;
    std::optional<Timestamp> volume_last_attach_date;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VolumeSnapshotGroupRef>();

struct VolumeSnapshotGroup {
    SnapshotGroupId uuid;
    std::int64_t snapshot_count = 0;
    std::string name;
    std::optional<std::string> description;
    VmId vm_instance_uuid;
    // The memory of the same instant; absent: the group holds disks only.
    std::optional<MemoryImageId> memory_image_uuid;
    std::optional<std::string> machine;  // internal: with memory, KeptMachine as JSON: what the VM was to which the memory belongs
    std::vector<VolumeSnapshotGroupRef> volume_snapshot_refs;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<VolumeSnapshotGroup>();

// One volume as it was at the checkpoint's instant.
struct CheckpointVolume {
    std::string uuid;  // derived from the checkpoint's and the volume's
    CheckpointId checkpoint_uuid;
    VolumeId volume_uuid;  // may be gone
    std::string name;
    VolumeType type = VolumeType::root;
    std::int64_t device_id = 0;
    std::int64_t size = 0;
    PrimaryStorageId primary_storage_uuid;
    std::optional<DiskOfferingId> disk_offering_uuid;
    std::optional<ImageId> root_image_uuid;
    std::vector<std::string> system_tags;
    LayerId layer_uuid;  // internal: what it keeps
};
template <> const TypeInfo& describe<CheckpointVolume>();

// A kept capture of a VM instance: everything that making its like takes, so that the VM itself may go.
struct Checkpoint {
    CheckpointId uuid;
    std::string name;
    std::optional<std::string> description;
    VmId vm_instance_uuid;  // may be gone
    std::string vm_instance_name;
    std::string vm_instance_state;  // at the instant
    ZoneId zone_uuid;
    std::int64_t cpu_num = 1;
    std::int64_t memory_size = 0;
    std::string platform;
    // The place of a memory image that belongs to the same instant; absent: the checkpoint holds disks only.
    std::optional<MemoryImageId> memory_image_uuid;
    std::string machine;  // internal: KeptMachine as JSON
    std::vector<CheckpointVolume> volumes;
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<Checkpoint>();

// What a checkpoint, or a group with memory, keeps beside volumes.
struct KeptMachine {
    VmInstance vm;
    std::vector<VmNic> nics;
    std::vector<std::string> system_tags;
};
template <> const TypeInfo& describe<KeptMachine>();

}  // namespace ramet
