// Migration 7: volume snapshots with their trees and groups, and checkpoints. The foreign keys to layers are the last fence against
// removing a layer that one of them keeps.
#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaSnapshots = R"sql(
CREATE TABLE volume_snapshot_tree (
    uuid TEXT NOT NULL PRIMARY KEY,
    volumeUuid TEXT NOT NULL REFERENCES volume DEFERRABLE INITIALLY DEFERRED,
    current INTEGER NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX volume_snapshot_tree_volume ON volume_snapshot_tree (volumeUuid);
CREATE UNIQUE INDEX volume_snapshot_tree_current ON volume_snapshot_tree (volumeUuid) WHERE current = 1;

CREATE TABLE volume_snapshot_group (
    uuid TEXT NOT NULL PRIMARY KEY,
    snapshotCount INTEGER NOT NULL,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    vmInstanceUuid TEXT NOT NULL REFERENCES vm_instance DEFERRABLE INITIALLY DEFERRED,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX volume_snapshot_group_vm_instance ON volume_snapshot_group (vmInstanceUuid);
CREATE INDEX volume_snapshot_group_name ON volume_snapshot_group (name, uuid);

CREATE TABLE volume_snapshot (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    type TEXT COLLATE NOCASE NOT NULL,
    volumeUuid TEXT NOT NULL REFERENCES volume DEFERRABLE INITIALLY DEFERRED,
    treeUuid TEXT NOT NULL REFERENCES volume_snapshot_tree DEFERRABLE INITIALLY DEFERRED,
    parentUuid TEXT REFERENCES volume_snapshot DEFERRABLE INITIALLY DEFERRED,
    primaryStorageUuid TEXT NOT NULL REFERENCES primary_storage DEFERRABLE INITIALLY DEFERRED,
    primaryStorageInstallPath TEXT NOT NULL,
    volumeType TEXT COLLATE NOCASE NOT NULL,
    format TEXT COLLATE NOCASE NOT NULL,
    latest INTEGER NOT NULL,
    size INTEGER NOT NULL,
    distance INTEGER NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    groupUuid TEXT REFERENCES volume_snapshot_group DEFERRABLE INITIALLY DEFERRED,
    layerUuid TEXT NOT NULL REFERENCES layer DEFERRABLE INITIALLY DEFERRED,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX volume_snapshot_name ON volume_snapshot (name, uuid);
CREATE INDEX volume_snapshot_volume ON volume_snapshot (volumeUuid);
CREATE INDEX volume_snapshot_primary_storage ON volume_snapshot (primaryStorageUuid);
CREATE INDEX volume_snapshot_tree_of ON volume_snapshot (treeUuid);
CREATE INDEX volume_snapshot_parent ON volume_snapshot (parentUuid);
CREATE INDEX volume_snapshot_group_of ON volume_snapshot (groupUuid) WHERE groupUuid IS NOT NULL;
CREATE INDEX volume_snapshot_layer ON volume_snapshot (layerUuid);
CREATE UNIQUE INDEX volume_snapshot_latest ON volume_snapshot (volumeUuid) WHERE latest = 1;

CREATE TABLE volume_snapshot_group_ref (
    volumeSnapshotUuid TEXT NOT NULL PRIMARY KEY,
    volumeSnapshotGroupUuid TEXT NOT NULL REFERENCES volume_snapshot_group ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    deviceId INTEGER NOT NULL,
    snapshotDeleted INTEGER NOT NULL,
    volumeUuid TEXT NOT NULL,
    volumeName TEXT COLLATE NOCASE NOT NULL,
    volumeType TEXT COLLATE NOCASE NOT NULL,
    volumeSnapshotInstallPath TEXT NOT NULL,
    volumeSnapshotName TEXT COLLATE NOCASE NOT NULL,
    volumeLastAttachDate INTEGER,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX volume_snapshot_group_ref_group ON volume_snapshot_group_ref (volumeSnapshotGroupUuid);

CREATE TABLE checkpoint (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    vmInstanceUuid TEXT NOT NULL,
    vmInstanceName TEXT COLLATE NOCASE NOT NULL,
    vmInstanceState TEXT COLLATE NOCASE NOT NULL,
    zoneUuid TEXT NOT NULL,
    cpuNum INTEGER NOT NULL,
    memorySize INTEGER NOT NULL,
    platform TEXT COLLATE NOCASE NOT NULL,
    memoryImageUuid TEXT,
    machine TEXT NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX checkpoint_name ON checkpoint (name, uuid);
CREATE INDEX checkpoint_vm_instance ON checkpoint (vmInstanceUuid);

CREATE TABLE checkpoint_volume (
    uuid TEXT NOT NULL PRIMARY KEY,
    checkpointUuid TEXT NOT NULL REFERENCES checkpoint DEFERRABLE INITIALLY DEFERRED,
    volumeUuid TEXT NOT NULL,
    name TEXT COLLATE NOCASE NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    deviceId INTEGER NOT NULL,
    size INTEGER NOT NULL,
    primaryStorageUuid TEXT NOT NULL REFERENCES primary_storage DEFERRABLE INITIALLY DEFERRED,
    diskOfferingUuid TEXT,
    rootImageUuid TEXT,
    systemTags TEXT NOT NULL,
    layerUuid TEXT NOT NULL REFERENCES layer DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX checkpoint_volume_checkpoint ON checkpoint_volume (checkpointUuid);
CREATE INDEX checkpoint_volume_primary_storage ON checkpoint_volume (primaryStorageUuid);
CREATE INDEX checkpoint_volume_layer ON checkpoint_volume (layerUuid);
)sql";

}  // namespace ramet::store::sqlite
