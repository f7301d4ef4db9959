#include "model/snapshots.hpp"

namespace ramet {

template <> const TypeInfo& describe<VolumeSnapshotBackupStorageRef>() {
    using Ref = VolumeSnapshotBackupStorageRef;
    static const TypeInfo info =
        row<Ref>({"", "", "org.zstack.header.storage.snapshot.VolumeSnapshotBackupStorageRefInventory"}, "VolumeSnapshotBackupStorageRef",
                 "A copy of a snapshot on a backup storage.", field<&Ref::volume_snapshot_uuid>("volumeSnapshotUuid", "The snapshot."),
                 field<&Ref::backup_storage_uuid>("backupStorageUuid", "The backup storage."),
                 field<&Ref::install_path>("installPath", "Where the copy lies."));
    return info;
}

template <> const TypeInfo& describe<VolumeSnapshot>() {
    static const TypeInfo info = row<VolumeSnapshot>(
        {"volume_snapshot", "VolumeSnapshotVO", "org.zstack.header.storage.snapshot.VolumeSnapshotInventory"}, "VolumeSnapshot",
        "A volume as it was at one instant.", field<&VolumeSnapshot::uuid>("uuid", "The snapshot's uuid.", {.primary = true}),
        field<&VolumeSnapshot::name>("name", "The snapshot's name."), field<&VolumeSnapshot::description>("description", "Free text."),
        field<&VolumeSnapshot::type>("type", "How it is kept: Hypervisor, as a layer that the volume's later layers stand on."),
        field<&VolumeSnapshot::volume_uuid>("volumeUuid", "The volume it is of."),
        field<&VolumeSnapshot::tree_uuid>("treeUuid", "The tree it is in."),
        field<&VolumeSnapshot::parent_uuid>("parentUuid", "The snapshot it was taken after; absent for the root of a tree."),
        field<&VolumeSnapshot::primary_storage_uuid>("primaryStorageUuid", "The primary storage that holds it."),
        field<&VolumeSnapshot::primary_storage_install_path>("primaryStorageInstallPath", "Where its layer lies on the storage."),
        field<&VolumeSnapshot::volume_type>("volumeType", "Root or Data."), field<&VolumeSnapshot::format>("format", "The disk format."),
        field<&VolumeSnapshot::latest>("latest", "Whether the volume goes on from this one."),
        field<&VolumeSnapshot::size>("size", "The bytes its layer takes on the storage."),
        field<&VolumeSnapshot::distance>("distance", "Its distance from the tree's root, which has 1."),
        field<&VolumeSnapshot::state>("state", "Enabled or Disabled."), field<&VolumeSnapshot::status>("status", "How far the snapshot is."),
        field<&VolumeSnapshot::backup_storage_refs>("backupStorageRefs", "Its copies on backup storages; none.", {.transient = true}),
        field<&VolumeSnapshot::group_uuid>("groupUuid", "The group it was taken with."),
        field<&VolumeSnapshot::layer_uuid>("layerUuid", "The layer it keeps.", {.internal = true}),
        field<&VolumeSnapshot::create_date>("createDate", "When it was taken."),
        field<&VolumeSnapshot::last_op_date>("lastOpDate", "When it was last changed."));
    return info;
}

template <> const TypeInfo& describe<SnapshotLeaf>() {
    static const TypeInfo info =
        row<SnapshotLeaf>({"", "", "org.zstack.header.storage.snapshot.SnapshotLeafInventory"}, "SnapshotLeaf",
                          "A snapshot with those taken after it.", field<&SnapshotLeaf::inventory>("inventory", "The snapshot."),
                          field<&SnapshotLeaf::parent_uuid>("parentUuid", "The snapshot it was taken after; absent for the root."),
                          field<&SnapshotLeaf::children>("children", "The snapshots taken after it."));
    return info;
}

template <> const TypeInfo& describe<VolumeSnapshotTree>() {
    static const TypeInfo info =
        row<VolumeSnapshotTree>({"volume_snapshot_tree", "VolumeSnapshotTreeVO", "org.zstack.header.storage.snapshot.VolumeSnapshotTreeInventory"},
                                "VolumeSnapshotTree", "The snapshots of a volume that come one after another, with their branches.",
                                field<&VolumeSnapshotTree::uuid>("uuid", "The tree's uuid.", {.primary = true}),
                                field<&VolumeSnapshotTree::volume_uuid>("volumeUuid", "The volume."),
                                field<&VolumeSnapshotTree::current>("current", "Whether the volume goes on from a snapshot of this tree."),
                                field<&VolumeSnapshotTree::status>("status", "Completed."),
                                field<&VolumeSnapshotTree::tree>("tree", "The root with all that came after.", {.transient = true}),
                                field<&VolumeSnapshotTree::create_date>("createDate", "When its first snapshot was taken."),
                                field<&VolumeSnapshotTree::last_op_date>("lastOpDate", "When it was last changed."));
    return info;
}

template <> const TypeInfo& describe<VolumeSnapshotGroupRef>() {
    using Ref = VolumeSnapshotGroupRef;
    static const TypeInfo info = row<Ref>(
        {"volume_snapshot_group_ref", "VolumeSnapshotGroupRefVO", "org.zstack.header.storage.snapshot.group.VolumeSnapshotGroupRefInventory"},
        "VolumeSnapshotGroupRef", "One volume's part of a group.",
        field<&Ref::volume_snapshot_uuid>("volumeSnapshotUuid", "The snapshot.", {.primary = true}),
        field<&Ref::volume_snapshot_group_uuid>("volumeSnapshotGroupUuid", "The group."),
        field<&Ref::device_id>("deviceId", "The volume's place in the VM at the instant."),
        field<&Ref::snapshot_deleted>("snapshotDeleted", "Whether the snapshot is gone."), field<&Ref::volume_uuid>("volumeUuid", "The volume."),
        field<&Ref::volume_name>("volumeName", "The volume's name at the instant."), field<&Ref::volume_type>("volumeType", "Root or Data."),
        field<&Ref::volume_snapshot_install_path>("volumeSnapshotInstallPath", "Where the snapshot's layer lies."),
        field<&Ref::volume_snapshot_name>("volumeSnapshotName", "The snapshot's name."),
        field<&Ref::volume_last_attach_date>("volumeLastAttachDate", "When the volume had been attached."),
        field<&Ref::create_date>("createDate", "When it was taken."), field<&Ref::last_op_date>("lastOpDate", "When it was last changed."));
    return info;
}

template <> const TypeInfo& describe<VolumeSnapshotGroup>() {
    using Group = VolumeSnapshotGroup;
    static const TypeInfo info = row<Group>(
        {"volume_snapshot_group", "VolumeSnapshotGroupVO", "org.zstack.header.storage.snapshot.group.VolumeSnapshotGroupInventory"},
        "VolumeSnapshotGroup", "Snapshots of all volumes of a VM instance at one instant.",
        field<&Group::uuid>("uuid", "The group's uuid.", {.primary = true}),
        field<&Group::snapshot_count>("snapshotCount", "How many snapshots were taken."), field<&Group::name>("name", "The group's name."),
        field<&Group::description>("description", "Free text."), field<&Group::vm_instance_uuid>("vmInstanceUuid", "The VM instance."),
        field<&Group::memory_image_uuid>("memoryImageUuid", "The memory kept with the disks; absent: none."),
        field<&Group::machine>("machine", "With memory: the VM instance, its NICs and tags.", {.internal = true}),
        field<&Group::volume_snapshot_refs>("volumeSnapshotRefs", "One entry per volume.", {.relation = true}),
        field<&Group::create_date>("createDate", "When it was taken."), field<&Group::last_op_date>("lastOpDate", "When it was last changed."));
    return info;
}

template <> const TypeInfo& describe<CheckpointVolume>() {
    using Kept = CheckpointVolume;
    static const TypeInfo info = row<Kept>(
        {"checkpoint_volume", "CheckpointVolumeVO"}, "CheckpointVolume", "One volume as it was at the checkpoint's instant.",
        field<&Kept::uuid>("uuid", "The entry's uuid.", {.primary = true}), field<&Kept::checkpoint_uuid>("checkpointUuid", "The checkpoint."),
        field<&Kept::volume_uuid>("volumeUuid", "The volume; it may be gone."), field<&Kept::name>("name", "The volume's name at the instant."),
        field<&Kept::type>("type", "Root or Data."), field<&Kept::device_id>("deviceId", "The volume's place in the VM, from 0."),
        field<&Kept::size>("size", "The size the guest sees, in bytes."),
        field<&Kept::primary_storage_uuid>("primaryStorageUuid", "The primary storage that holds it."),
        field<&Kept::disk_offering_uuid>("diskOfferingUuid", "The disk offering the volume was made with."),
        field<&Kept::root_image_uuid>("rootImageUuid", "The image the volume was made from."),
        field<&Kept::system_tags>("systemTags", "The volume's system tags at the instant."),
        field<&Kept::layer_uuid>("layerUuid", "The layer it keeps.", {.internal = true}));
    return info;
}

template <> const TypeInfo& describe<Checkpoint>() {
    static const TypeInfo info = row<Checkpoint>(
        {"checkpoint", "CheckpointVO"}, "Checkpoint",
        "A kept capture of a VM instance: all its volumes at one instant, and what making its like takes. It outlives the VM instance.",
        field<&Checkpoint::uuid>("uuid", "The checkpoint's uuid.", {.primary = true}), field<&Checkpoint::name>("name", "The checkpoint's name."),
        field<&Checkpoint::description>("description", "Free text."),
        field<&Checkpoint::vm_instance_uuid>("vmInstanceUuid", "The VM instance it is of; it may be gone."),
        field<&Checkpoint::vm_instance_name>("vmInstanceName", "That VM instance's name at the instant."),
        field<&Checkpoint::vm_instance_state>("vmInstanceState", "That VM instance's state at the instant."),
        field<&Checkpoint::zone_uuid>("zoneUuid", "The zone it is in."),
        field<&Checkpoint::cpu_num>("cpuNum", "The number of virtual CPUs of a clone."),
        field<&Checkpoint::memory_size>("memorySize", "The memory of a clone in bytes."),
        field<&Checkpoint::platform>("platform", "The guest's platform, such as Linux."),
        field<&Checkpoint::memory_image_uuid>("memoryImageUuid", "The memory kept with the disks; absent: none."),
        field<&Checkpoint::machine>("machine", "The VM instance, its NICs and tags.", {.internal = true}),
        field<&Checkpoint::volumes>("volumes", "Its volumes.", {.relation = true}),
        field<&Checkpoint::create_date>("createDate", "When it was taken."),
        field<&Checkpoint::last_op_date>("lastOpDate", "When it was last changed."));
    return info;
}

template <> const TypeInfo& describe<KeptMachine>() {
    static const TypeInfo info =
        object<KeptMachine>("KeptMachine", "What a checkpoint keeps beside volumes.", field<&KeptMachine::vm>("vm", "The VM instance."),
                            field<&KeptMachine::nics>("nics", "Its NICs."), field<&KeptMachine::system_tags>("systemTags", "Its system tags."));
    return info;
}

}  // namespace ramet
