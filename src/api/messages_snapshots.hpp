// Messages about volume snapshots, their groups (contract 4.6) and checkpoints. Field meaning and rules: messages_snapshots.cpp,
// messages_snapshot_groups.cpp, messages_checkpoints.cpp, messages_from_snapshots.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "api/messages_vm.hpp"
#include "model/snapshots.hpp"

namespace ramet::api {

struct CreateVolumeSnapshot {
    VolumeId volume_uuid;
    std::string name;
    std::optional<std::string> description;
    std::optional<SnapshotId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
struct UpdateVolumeSnapshot {
    SnapshotId uuid;
    std::optional<std::string> name, description;
};
struct DeleteVolumeSnapshot {
    SnapshotId uuid;
    std::string delete_mode = "Permissive";
};
struct BatchDeleteVolumeSnapshot {
    std::vector<SnapshotId> uuids;
};
struct RevertVolumeFromSnapshot {
    SnapshotId uuid;
};

// CreateVmInstance from a snapshot, or from a group: the fields of a VM without those of an image.
const MessageInfo& create_vm_from_snapshot_message();
const MessageInfo& create_vm_from_snapshot_group_message();

struct CreateDataVolumeFromVolumeSnapshot {
    SnapshotId volume_snapshot_uuid;
    std::string name;
    std::optional<std::string> description;
    std::optional<PrimaryStorageId> primary_storage_uuid;
    std::optional<VolumeId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};

struct CreateVolumeSnapshotGroup {
    VolumeId root_volume_uuid;
    std::string name;
    std::optional<std::string> description;
    bool with_memory = false;
    std::optional<SnapshotGroupId> resource_uuid;
    std::vector<std::string> system_tags, user_tags;
};
struct UpdateVolumeSnapshotGroup {
    SnapshotGroupId uuid;
    std::optional<std::string> name, description;
};
struct DeleteVolumeSnapshotGroup {
    SnapshotGroupId uuid;
    std::string delete_mode = "Permissive";
};
struct RevertVmFromSnapshotGroup {
    SnapshotGroupId uuid;
};
struct UngroupVolumeSnapshotGroup {
    SnapshotGroupId uuid;
    std::string delete_mode = "Permissive";
};
struct CheckVolumeSnapshotGroupAvailability {
    std::vector<SnapshotGroupId> uuids;
};
struct VolumeSnapshotGroupAvailability {
    SnapshotGroupId uuid;
    bool available = true;
    std::optional<std::string> reason;
};

// What became of one snapshot of a group or a batch.
struct SnapshotResult {
    SnapshotId snapshot_uuid;
    VolumeId volume_uuid;
    bool success = true;
    std::optional<ErrorInventory> error;
};
struct SnapshotResults {
    std::vector<SnapshotResult> results;
};

struct CreateCheckpoint {
    VmId vm_instance_uuid;
    std::string name;
    std::optional<std::string> description;
    std::optional<CheckpointId> resource_uuid;
    bool memory = false;
    std::vector<std::string> system_tags, user_tags;
};
struct UpdateCheckpoint {
    CheckpointId uuid;
    std::optional<std::string> name, description;
};
struct DeleteCheckpoint {
    CheckpointId uuid;
    std::string delete_mode = "Permissive";
};
// CloneVmInstance on a checkpoint's own path: the same request, whose source may be gone. It has no struct of its own.
const MessageInfo& clone_checkpoint_message();

}  // namespace ramet::api

namespace ramet {

RAMET_DECLARE_MESSAGE(CreateVolumeSnapshot)
RAMET_DECLARE_MESSAGE(UpdateVolumeSnapshot)
RAMET_DECLARE_MESSAGE(DeleteVolumeSnapshot)
RAMET_DECLARE_MESSAGE(BatchDeleteVolumeSnapshot)
RAMET_DECLARE_MESSAGE(RevertVolumeFromSnapshot)
RAMET_DECLARE_MESSAGE(CreateVolumeSnapshotGroup)
RAMET_DECLARE_MESSAGE(UpdateVolumeSnapshotGroup)
RAMET_DECLARE_MESSAGE(DeleteVolumeSnapshotGroup)
RAMET_DECLARE_MESSAGE(RevertVmFromSnapshotGroup)
RAMET_DECLARE_MESSAGE(UngroupVolumeSnapshotGroup)
RAMET_DECLARE_MESSAGE(CheckVolumeSnapshotGroupAvailability)
RAMET_DECLARE_MESSAGE(CreateCheckpoint)
RAMET_DECLARE_MESSAGE(UpdateCheckpoint)
RAMET_DECLARE_MESSAGE(DeleteCheckpoint)
template <> const TypeInfo& describe<api::VolumeSnapshotGroupAvailability>();
template <> const TypeInfo& describe<api::SnapshotResult>();
template <> const TypeInfo& describe<api::SnapshotResults>();

}  // namespace ramet
