// The first schema, migrations 1 to 3. Never edit them once released; see migrations.hpp.
//
// - Text that people write or read (names, kinds, states) ignores case, as ZStack's does; uuids, paths, tags and JSON do not.
// - Foreign keys are checked when a transaction ends, so rows may be written in any order within it.
// - References that outlive what they name have no foreign key: the image, offering or last host of a VM, a job's account.
#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchema1Places = R"sql(
CREATE TABLE account (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL UNIQUE,
    description TEXT COLLATE NOCASE,
    type TEXT COLLATE NOCASE NOT NULL,
    passwordHash TEXT NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    uuidHash TEXT NOT NULL PRIMARY KEY,
    accountUuid TEXT NOT NULL REFERENCES account ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    expiredDate INTEGER NOT NULL,
    createDate INTEGER NOT NULL
) STRICT;
CREATE INDEX session_account ON session (accountUuid);
CREATE INDEX session_expired ON session (expiredDate);

CREATE TABLE account_resource_ref (
    resourceUuid TEXT NOT NULL PRIMARY KEY,
    accountUuid TEXT NOT NULL REFERENCES account DEFERRABLE INITIALLY DEFERRED,
    resourceType TEXT NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX account_resource_ref_account ON account_resource_ref (accountUuid, resourceType);

CREATE TABLE job (
    uuid TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    apiName TEXT COLLATE NOCASE NOT NULL,
    accountUuid TEXT NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    targetUuid TEXT,
    plan TEXT NOT NULL,
    result TEXT,
    error TEXT,
    detail TEXT,
    progress INTEGER NOT NULL,
    webHook TEXT,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL,
    finishDate INTEGER
) STRICT;
CREATE INDEX job_state ON job (state);
CREATE INDEX job_finish_date ON job (finishDate);
CREATE INDEX job_account ON job (accountUuid, createDate);
CREATE INDEX job_target ON job (targetUuid);

CREATE TABLE job_step (
    uuid TEXT NOT NULL PRIMARY KEY,
    jobUuid TEXT NOT NULL REFERENCES job ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    branch TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    output TEXT NOT NULL,
    error TEXT,
    startDate INTEGER NOT NULL,
    finishDate INTEGER
) STRICT;
CREATE INDEX job_step_job ON job_step (jobUuid, startDate);

CREATE TABLE global_config (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    category TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE NOT NULL,
    defaultValue TEXT NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE zone (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    state TEXT COLLATE NOCASE NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    isDefault INTEGER NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX zone_name ON zone (name);

CREATE TABLE cluster (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    state TEXT COLLATE NOCASE NOT NULL,
    hypervisorType TEXT COLLATE NOCASE NOT NULL,
    zoneUuid TEXT NOT NULL REFERENCES zone DEFERRABLE INITIALLY DEFERRED,
    type TEXT COLLATE NOCASE NOT NULL,
    architecture TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX cluster_zone ON cluster (zoneUuid);
CREATE INDEX cluster_name ON cluster (name);

CREATE TABLE host (
    uuid TEXT NOT NULL PRIMARY KEY,
    zoneUuid TEXT NOT NULL REFERENCES zone DEFERRABLE INITIALLY DEFERRED,
    clusterUuid TEXT NOT NULL REFERENCES cluster DEFERRABLE INITIALLY DEFERRED,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    managementIp TEXT COLLATE NOCASE NOT NULL,
    hypervisorType TEXT COLLATE NOCASE NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    totalCpuCapacity INTEGER NOT NULL,
    totalMemoryCapacity INTEGER NOT NULL,
    cpuSockets INTEGER NOT NULL,
    cpuNum INTEGER NOT NULL,
    architecture TEXT COLLATE NOCASE NOT NULL,
    accelerator TEXT COLLATE NOCASE,
    acceleratorReason TEXT COLLATE NOCASE,
    hypervisorVersion TEXT COLLATE NOCASE,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX host_zone ON host (zoneUuid);
CREATE INDEX host_cluster ON host (clusterUuid);
CREATE INDEX host_name ON host (name);

CREATE TABLE system_tag (
    uuid TEXT NOT NULL PRIMARY KEY,
    resourceUuid TEXT NOT NULL,
    resourceType TEXT COLLATE NOCASE NOT NULL,
    tag TEXT NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    inherent INTEGER NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL,
    UNIQUE (resourceUuid, tag)
) STRICT;
CREATE INDEX system_tag_tag ON system_tag (tag);

CREATE TABLE user_tag (
    uuid TEXT NOT NULL PRIMARY KEY,
    resourceUuid TEXT NOT NULL,
    resourceType TEXT COLLATE NOCASE NOT NULL,
    tag TEXT NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX user_tag_resource ON user_tag (resourceUuid, tag);
CREATE INDEX user_tag_tag ON user_tag (tag);
)sql";

const std::string_view kSchema1Pool = R"sql(
CREATE TABLE primary_storage (
    uuid TEXT NOT NULL PRIMARY KEY,
    zoneUuid TEXT NOT NULL REFERENCES zone DEFERRABLE INITIALLY DEFERRED,
    name TEXT COLLATE NOCASE NOT NULL,
    url TEXT NOT NULL,
    description TEXT COLLATE NOCASE,
    type TEXT COLLATE NOCASE NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    mountPath TEXT,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX primary_storage_zone ON primary_storage (zoneUuid);
CREATE INDEX primary_storage_name ON primary_storage (name);

CREATE TABLE primary_storage_cluster_ref (
    uuid TEXT NOT NULL PRIMARY KEY,
    primaryStorageUuid TEXT NOT NULL REFERENCES primary_storage ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    clusterUuid TEXT NOT NULL REFERENCES cluster ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (primaryStorageUuid, clusterUuid)
) STRICT;
CREATE INDEX primary_storage_cluster_ref_cluster ON primary_storage_cluster_ref (clusterUuid);

CREATE TABLE backup_storage (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    url TEXT NOT NULL,
    description TEXT COLLATE NOCASE,
    type TEXT COLLATE NOCASE NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    hostname TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX backup_storage_name ON backup_storage (name);

CREATE TABLE backup_storage_zone_ref (
    uuid TEXT NOT NULL PRIMARY KEY,
    backupStorageUuid TEXT NOT NULL REFERENCES backup_storage ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    zoneUuid TEXT NOT NULL REFERENCES zone ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (backupStorageUuid, zoneUuid)
) STRICT;
CREATE INDEX backup_storage_zone_ref_zone ON backup_storage_zone_ref (zoneUuid);

CREATE TABLE image (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    state TEXT COLLATE NOCASE NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    size INTEGER NOT NULL,
    actualSize INTEGER NOT NULL,
    md5Sum TEXT COLLATE NOCASE,
    checksum TEXT COLLATE NOCASE,
    url TEXT NOT NULL,
    mediaType TEXT COLLATE NOCASE NOT NULL,
    guestOsType TEXT COLLATE NOCASE,
    type TEXT COLLATE NOCASE NOT NULL,
    platform TEXT COLLATE NOCASE NOT NULL,
    architecture TEXT COLLATE NOCASE NOT NULL,
    format TEXT COLLATE NOCASE NOT NULL,
    system INTEGER NOT NULL,
    virtio INTEGER NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX image_name ON image (name, uuid);
CREATE INDEX image_create_date ON image (createDate, uuid);

CREATE TABLE image_backup_storage_ref (
    uuid TEXT NOT NULL PRIMARY KEY,
    imageUuid TEXT NOT NULL REFERENCES image DEFERRABLE INITIALLY DEFERRED,
    backupStorageUuid TEXT NOT NULL REFERENCES backup_storage DEFERRABLE INITIALLY DEFERRED,
    installPath TEXT NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL,
    UNIQUE (imageUuid, backupStorageUuid)
) STRICT;
CREATE INDEX image_backup_storage_ref_storage ON image_backup_storage_ref (backupStorageUuid);

CREATE TABLE instance_offering (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    cpuNum INTEGER NOT NULL,
    cpuSpeed INTEGER NOT NULL,
    memorySize INTEGER NOT NULL,
    reservedMemorySize INTEGER NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    allocatorStrategy TEXT COLLATE NOCASE NOT NULL,
    sortKey INTEGER NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX instance_offering_name ON instance_offering (name);

CREATE TABLE disk_offering (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    diskSize INTEGER NOT NULL,
    sortKey INTEGER NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    allocatorStrategy TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX disk_offering_name ON disk_offering (name);

CREATE TABLE l2_network (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    zoneUuid TEXT NOT NULL REFERENCES zone DEFERRABLE INITIALLY DEFERRED,
    physicalInterface TEXT NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    vSwitchType TEXT COLLATE NOCASE NOT NULL,
    virtualNetworkId INTEGER NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX l2_network_zone ON l2_network (zoneUuid);
CREATE INDEX l2_network_name ON l2_network (name);

CREATE TABLE l2_network_cluster_ref (
    uuid TEXT NOT NULL PRIMARY KEY,
    l2NetworkUuid TEXT NOT NULL REFERENCES l2_network ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    clusterUuid TEXT NOT NULL REFERENCES cluster ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (l2NetworkUuid, clusterUuid)
) STRICT;
CREATE INDEX l2_network_cluster_ref_cluster ON l2_network_cluster_ref (clusterUuid);

CREATE TABLE l3_network (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    type TEXT COLLATE NOCASE NOT NULL,
    zoneUuid TEXT NOT NULL REFERENCES zone DEFERRABLE INITIALLY DEFERRED,
    l2NetworkUuid TEXT NOT NULL REFERENCES l2_network DEFERRABLE INITIALLY DEFERRED,
    state TEXT COLLATE NOCASE NOT NULL,
    dnsDomain TEXT COLLATE NOCASE,
    system INTEGER NOT NULL,
    category TEXT COLLATE NOCASE NOT NULL,
    ipVersion INTEGER NOT NULL,
    enableIPAM INTEGER NOT NULL,
    dns TEXT NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX l3_network_zone ON l3_network (zoneUuid);
CREATE INDEX l3_network_l2_network ON l3_network (l2NetworkUuid);
CREATE INDEX l3_network_name ON l3_network (name);

CREATE TABLE ip_range (
    uuid TEXT NOT NULL PRIMARY KEY,
    l3NetworkUuid TEXT NOT NULL REFERENCES l3_network DEFERRABLE INITIALLY DEFERRED,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    startIp TEXT COLLATE NOCASE NOT NULL,
    endIp TEXT COLLATE NOCASE NOT NULL,
    netmask TEXT COLLATE NOCASE NOT NULL,
    gateway TEXT COLLATE NOCASE NOT NULL,
    networkCidr TEXT COLLATE NOCASE NOT NULL,
    ipVersion INTEGER NOT NULL,
    prefixLen INTEGER NOT NULL,
    ipRangeType TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX ip_range_l3_network ON ip_range (l3NetworkUuid);
)sql";

const std::string_view kSchema1Machines = R"sql(
CREATE TABLE vm_instance (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    zoneUuid TEXT NOT NULL REFERENCES zone DEFERRABLE INITIALLY DEFERRED,
    clusterUuid TEXT REFERENCES cluster DEFERRABLE INITIALLY DEFERRED,
    imageUuid TEXT,
    hostUuid TEXT REFERENCES host DEFERRABLE INITIALLY DEFERRED,
    lastHostUuid TEXT,
    instanceOfferingUuid TEXT,
    rootVolumeUuid TEXT,
    platform TEXT COLLATE NOCASE NOT NULL,
    architecture TEXT COLLATE NOCASE NOT NULL,
    defaultL3NetworkUuid TEXT,
    type TEXT COLLATE NOCASE NOT NULL,
    hypervisorType TEXT COLLATE NOCASE NOT NULL,
    memorySize INTEGER NOT NULL,
    reservedMemorySize INTEGER NOT NULL,
    cpuNum INTEGER NOT NULL,
    cpuSpeed INTEGER NOT NULL,
    allocatorStrategy TEXT COLLATE NOCASE NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    guestOsType TEXT COLLATE NOCASE,
    stateBeforeDestroy TEXT,
    identityState TEXT NOT NULL,
    ownerJobUuid TEXT REFERENCES job DEFERRABLE INITIALLY DEFERRED,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX vm_instance_name ON vm_instance (name, uuid);
CREATE INDEX vm_instance_state ON vm_instance (state);
CREATE INDEX vm_instance_create_date ON vm_instance (createDate, uuid);
CREATE INDEX vm_instance_last_op_date ON vm_instance (lastOpDate, uuid);
CREATE INDEX vm_instance_zone ON vm_instance (zoneUuid);
CREATE INDEX vm_instance_cluster ON vm_instance (clusterUuid);
CREATE INDEX vm_instance_host ON vm_instance (hostUuid);
CREATE INDEX vm_instance_image ON vm_instance (imageUuid);
CREATE INDEX vm_instance_instance_offering ON vm_instance (instanceOfferingUuid);
CREATE INDEX vm_instance_root_volume ON vm_instance (rootVolumeUuid);
CREATE INDEX vm_instance_owner_job ON vm_instance (ownerJobUuid) WHERE ownerJobUuid IS NOT NULL;

CREATE TABLE vm_nic (
    uuid TEXT NOT NULL PRIMARY KEY,
    vmInstanceUuid TEXT NOT NULL REFERENCES vm_instance DEFERRABLE INITIALLY DEFERRED,
    l3NetworkUuid TEXT NOT NULL REFERENCES l3_network DEFERRABLE INITIALLY DEFERRED,
    ip TEXT COLLATE NOCASE,
    mac TEXT COLLATE NOCASE NOT NULL UNIQUE,
    hypervisorType TEXT COLLATE NOCASE NOT NULL,
    netmask TEXT COLLATE NOCASE,
    gateway TEXT COLLATE NOCASE,
    metaData TEXT COLLATE NOCASE,
    ipVersion INTEGER NOT NULL,
    driverType TEXT COLLATE NOCASE NOT NULL,
    internalName TEXT NOT NULL UNIQUE,
    deviceId INTEGER NOT NULL,
    type TEXT COLLATE NOCASE NOT NULL,
    state TEXT COLLATE NOCASE NOT NULL,
    outboundBandwidth INTEGER,
    inboundBandwidth INTEGER,
    multiQueueNum INTEGER,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL
) STRICT;
CREATE INDEX vm_nic_vm_instance ON vm_nic (vmInstanceUuid);
CREATE INDEX vm_nic_l3_network ON vm_nic (l3NetworkUuid);
CREATE INDEX vm_nic_ip ON vm_nic (ip);

CREATE TABLE used_ip (
    uuid TEXT NOT NULL PRIMARY KEY,
    ipRangeUuid TEXT NOT NULL REFERENCES ip_range DEFERRABLE INITIALLY DEFERRED,
    l3NetworkUuid TEXT NOT NULL REFERENCES l3_network DEFERRABLE INITIALLY DEFERRED,
    ipVersion INTEGER NOT NULL,
    ip TEXT COLLATE NOCASE NOT NULL,
    netmask TEXT COLLATE NOCASE NOT NULL,
    gateway TEXT COLLATE NOCASE NOT NULL,
    usedFor TEXT COLLATE NOCASE,
    ipInLong INTEGER NOT NULL,
    vmNicUuid TEXT NOT NULL REFERENCES vm_nic ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL,
    UNIQUE (l3NetworkUuid, ip)
) STRICT;
CREATE INDEX used_ip_range ON used_ip (ipRangeUuid, ipInLong);
CREATE INDEX used_ip_nic ON used_ip (vmNicUuid);

CREATE TABLE vm_cd_rom (
    uuid TEXT NOT NULL PRIMARY KEY,
    vmInstanceUuid TEXT NOT NULL REFERENCES vm_instance ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    deviceId INTEGER NOT NULL,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL,
    UNIQUE (vmInstanceUuid, deviceId)
) STRICT;

CREATE TABLE layer (
    uuid TEXT NOT NULL PRIMARY KEY,
    primaryStorageUuid TEXT NOT NULL REFERENCES primary_storage DEFERRABLE INITIALLY DEFERRED,
    path TEXT NOT NULL,
    format TEXT NOT NULL,
    size INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    parentUuid TEXT REFERENCES layer DEFERRABLE INITIALLY DEFERRED,
    imageUuid TEXT,
    volumeUuid TEXT,
    untouched INTEGER NOT NULL,
    deleting INTEGER NOT NULL,
    createDate INTEGER NOT NULL,
    UNIQUE (primaryStorageUuid, path)
) STRICT;
CREATE INDEX layer_parent ON layer (parentUuid);
CREATE INDEX layer_image ON layer (imageUuid) WHERE imageUuid IS NOT NULL;
CREATE INDEX layer_volume ON layer (volumeUuid);

CREATE TABLE volume (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    description TEXT COLLATE NOCASE,
    primaryStorageUuid TEXT REFERENCES primary_storage DEFERRABLE INITIALLY DEFERRED,
    vmInstanceUuid TEXT REFERENCES vm_instance DEFERRABLE INITIALLY DEFERRED,
    diskOfferingUuid TEXT,
    rootImageUuid TEXT,
    installPath TEXT,
    type TEXT COLLATE NOCASE NOT NULL,
    format TEXT COLLATE NOCASE NOT NULL,
    size INTEGER NOT NULL,
    actualSize INTEGER NOT NULL,
    deviceId INTEGER,
    state TEXT COLLATE NOCASE NOT NULL,
    status TEXT COLLATE NOCASE NOT NULL,
    isShareable INTEGER NOT NULL,
    topLayerUuid TEXT REFERENCES layer DEFERRABLE INITIALLY DEFERRED,
    lastDetachDate INTEGER,
    lastVmInstanceUuid TEXT,
    lastAttachDate INTEGER,
    createDate INTEGER NOT NULL,
    lastOpDate INTEGER NOT NULL,
    UNIQUE (vmInstanceUuid, deviceId)
) STRICT;
CREATE INDEX volume_name ON volume (name, uuid);
CREATE INDEX volume_create_date ON volume (createDate, uuid);
CREATE INDEX volume_primary_storage ON volume (primaryStorageUuid);
CREATE INDEX volume_disk_offering ON volume (diskOfferingUuid);
CREATE INDEX volume_root_image ON volume (rootImageUuid);
CREATE INDEX volume_top_layer ON volume (topLayerUuid);
)sql";

}  // namespace ramet::store::sqlite
