#include "model/resources.hpp"

namespace ramet {

template <> const TypeInfo& describe<Zone>() {
    static const TypeInfo info =
        row<Zone>({"zone", "ZoneVO", "org.zstack.header.zone.ZoneInventory"}, "Zone", "A data centre.",
                  field<&Zone::uuid>("uuid", "The zone's uuid.", {.primary = true}), field<&Zone::name>("name", "The zone's name."),
                  field<&Zone::description>("description", "Free text."), field<&Zone::state>("state", "Enabled or Disabled."),
                  field<&Zone::type>("type", "The zone's type, zstack."),
                  field<&Zone::is_default>("isDefault", "Whether the zone is taken when none is named."),
                  field<&Zone::create_date>("createDate", "When the zone was made."),
                  field<&Zone::last_op_date>("lastOpDate", "When the zone was last changed."));
    return info;
}

template <> const TypeInfo& describe<Cluster>() {
    static const TypeInfo info = row<Cluster>(
        {"cluster", "ClusterVO", "org.zstack.header.cluster.ClusterInventory"}, "Cluster", "A group of alike hosts.",
        field<&Cluster::uuid>("uuid", "The cluster's uuid.", {.primary = true}), field<&Cluster::name>("name", "The cluster's name."),
        field<&Cluster::description>("description", "Free text."), field<&Cluster::state>("state", "Enabled or Disabled."),
        field<&Cluster::hypervisor_type>("hypervisorType", "The hypervisor of its hosts."),
        field<&Cluster::zone_uuid>("zoneUuid", "The zone the cluster is in."), field<&Cluster::type>("type", "The cluster's type, zstack."),
        field<&Cluster::architecture>("architecture", "The processor architecture of its hosts."),
        field<&Cluster::create_date>("createDate", "When the cluster was made."),
        field<&Cluster::last_op_date>("lastOpDate", "When the cluster was last changed."));
    return info;
}

template <> const TypeInfo& describe<Host>() {
    static const TypeInfo info = row<Host>(
        {"host", "HostVO", "org.zstack.kvm.KVMHostInventory"}, "Host", "A machine that runs VM instances.",
        field<&Host::zone_uuid>("zoneUuid", "The zone the host is in."), field<&Host::name>("name", "The host's name."),
        field<&Host::uuid>("uuid", "The host's uuid.", {.primary = true}), field<&Host::cluster_uuid>("clusterUuid", "The cluster the host is in."),
        field<&Host::description>("description", "Free text."), field<&Host::management_ip>("managementIp", "The address the host is managed at."),
        field<&Host::hypervisor_type>("hypervisorType", "The host's hypervisor."),
        field<&Host::state>("state", "Whether new VM instances may be placed on the host."),
        field<&Host::status>("status", "Whether the host can be reached."),
        field<&Host::total_cpu_capacity>("totalCpuCapacity", "The virtual CPUs that may be given away in all."),
        field<&Host::available_cpu_capacity>("availableCpuCapacity", "The virtual CPUs still to give away.", {.transient = true}),
        field<&Host::total_memory_capacity>("totalMemoryCapacity", "The memory in bytes that may be given away in all."),
        field<&Host::available_memory_capacity>("availableMemoryCapacity", "The memory in bytes still to give away.", {.transient = true}),
        field<&Host::cpu_sockets>("cpuSockets", "The number of processor sockets."),
        field<&Host::cpu_num>("cpuNum", "The number of processor threads."),
        field<&Host::architecture>("architecture", "The processor architecture."),
        field<&Host::accelerator>("accelerator", "How guests run: kvm or tcg."),
        field<&Host::accelerator_reason>("acceleratorReason", "Why this accelerator is used."),
        field<&Host::hypervisor_version>("hypervisorVersion", "The hypervisor's version."),
        field<&Host::create_date>("createDate", "When the host was added."),
        field<&Host::last_op_date>("lastOpDate", "When the host was last changed."));
    return info;
}

template <> const TypeInfo& describe<PrimaryStorage>() {
    static const TypeInfo info = row<PrimaryStorage>(
        {"primary_storage", "PrimaryStorageVO", "org.zstack.header.storage.primary.PrimaryStorageInventory"}, "PrimaryStorage",
        "A storage that holds volumes.", field<&PrimaryStorage::uuid>("uuid", "The storage's uuid.", {.primary = true}),
        field<&PrimaryStorage::zone_uuid>("zoneUuid", "The zone the storage is in."), field<&PrimaryStorage::name>("name", "The storage's name."),
        field<&PrimaryStorage::url>("url", "The storage's directory."), field<&PrimaryStorage::description>("description", "Free text."),
        field<&PrimaryStorage::total_capacity>("totalCapacity", "The bytes that may be given away in all.", {.transient = true}),
        field<&PrimaryStorage::available_capacity>("availableCapacity", "The bytes still to give away.", {.transient = true}),
        field<&PrimaryStorage::total_physical_capacity>("totalPhysicalCapacity", "The file system's size in bytes.", {.transient = true}),
        field<&PrimaryStorage::available_physical_capacity>("availablePhysicalCapacity", "The file system's free bytes.", {.transient = true}),
        field<&PrimaryStorage::type>("type", "The storage's type, such as LocalStorage."),
        field<&PrimaryStorage::state>("state", "Whether new volumes may be placed on the storage."),
        field<&PrimaryStorage::status>("status", "Whether the storage can be reached."),
        field<&PrimaryStorage::mount_path>("mountPath", "Where the storage is mounted."),
        field<&PrimaryStorage::attached_cluster_uuids>("attachedClusterUuids", "The clusters that use the storage.", {.relation = true}),
        field<&PrimaryStorage::create_date>("createDate", "When the storage was added."),
        field<&PrimaryStorage::last_op_date>("lastOpDate", "When the storage was last changed."));
    return info;
}

template <> const TypeInfo& describe<PrimaryStorageClusterRef>() {
    static const TypeInfo info = row<PrimaryStorageClusterRef>(
        {"primary_storage_cluster_ref", "PrimaryStorageClusterRefVO"}, "PrimaryStorageClusterRef", "Attaches a primary storage to a cluster.",
        field<&PrimaryStorageClusterRef::uuid>("uuid", "The key: storage and cluster.", {.primary = true, .internal = true}),
        field<&PrimaryStorageClusterRef::primary_storage_uuid>("primaryStorageUuid", "The primary storage."),
        field<&PrimaryStorageClusterRef::cluster_uuid>("clusterUuid", "The cluster."));
    return info;
}

template <> const TypeInfo& describe<BackupStorage>() {
    static const TypeInfo info = row<BackupStorage>(
        {"backup_storage", "BackupStorageVO", "org.zstack.storage.backup.imagestore.ImageStoreBackupStorageInventory"}, "BackupStorage",
        "A storage that holds images.", field<&BackupStorage::uuid>("uuid", "The storage's uuid.", {.primary = true}),
        field<&BackupStorage::name>("name", "The storage's name."), field<&BackupStorage::url>("url", "The storage's directory."),
        field<&BackupStorage::description>("description", "Free text."),
        field<&BackupStorage::total_capacity>("totalCapacity", "The storage's size in bytes.", {.transient = true}),
        field<&BackupStorage::available_capacity>("availableCapacity", "The storage's free bytes.", {.transient = true}),
        field<&BackupStorage::type>("type", "The storage's type, ImageStoreBackupStorage."),
        field<&BackupStorage::state>("state", "Whether new images may be placed on the storage."),
        field<&BackupStorage::status>("status", "Whether the storage can be reached."),
        field<&BackupStorage::attached_zone_uuids>("attachedZoneUuids", "The zones that use the storage.", {.relation = true}),
        field<&BackupStorage::hostname>("hostname", "The machine that holds the storage."),
        field<&BackupStorage::create_date>("createDate", "When the storage was added."),
        field<&BackupStorage::last_op_date>("lastOpDate", "When the storage was last changed."));
    return info;
}

template <> const TypeInfo& describe<BackupStorageZoneRef>() {
    static const TypeInfo info = row<BackupStorageZoneRef>(
        {"backup_storage_zone_ref", "BackupStorageZoneRefVO"}, "BackupStorageZoneRef", "Attaches a backup storage to a zone.",
        field<&BackupStorageZoneRef::uuid>("uuid", "The key: storage and zone.", {.primary = true, .internal = true}),
        field<&BackupStorageZoneRef::backup_storage_uuid>("backupStorageUuid", "The backup storage."),
        field<&BackupStorageZoneRef::zone_uuid>("zoneUuid", "The zone."));
    return info;
}

template <> const TypeInfo& describe<ImageBackupStorageRef>() {
    static const TypeInfo info =
        row<ImageBackupStorageRef>({"image_backup_storage_ref", "ImageBackupStorageRefVO", "org.zstack.header.image.ImageBackupStorageRefInventory"},
                                   "ImageBackupStorageRef", "A copy of an image on a backup storage.",
                                   field<&ImageBackupStorageRef::uuid>("uuid", "The key: image and storage.", {.primary = true, .internal = true}),
                                   field<&ImageBackupStorageRef::image_uuid>("imageUuid", "The image."),
                                   field<&ImageBackupStorageRef::backup_storage_uuid>("backupStorageUuid", "The backup storage."),
                                   field<&ImageBackupStorageRef::install_path>("installPath", "Where the copy lies on the storage."),
                                   field<&ImageBackupStorageRef::status>("status", "How far the copy is."),
                                   field<&ImageBackupStorageRef::create_date>("createDate", "When the copy was made."),
                                   field<&ImageBackupStorageRef::last_op_date>("lastOpDate", "When the copy was last changed."));
    return info;
}

template <> const TypeInfo& describe<Image>() {
    static const TypeInfo info = row<Image>(
        {"image", "ImageVO", "org.zstack.header.image.ImageInventory"}, "Image", "A disk to make VM instances from.",
        field<&Image::uuid>("uuid", "The image's uuid.", {.primary = true}), field<&Image::name>("name", "The image's name."),
        field<&Image::description>("description", "Free text."), field<&Image::state>("state", "Enabled or Disabled."),
        field<&Image::status>("status", "How far the image is."), field<&Image::size>("size", "The size the guest sees, in bytes."),
        field<&Image::actual_size>("actualSize", "The size of the image's file in bytes."),
        field<&Image::md5_sum>("md5Sum", "The MD5 of the stored file in hexadecimal digits."),
        field<&Image::checksum>("checksum", "The SHA-256 of the file as it was fetched, after 'sha256:'."),
        field<&Image::url>("url", "Where the image came from."),
        field<&Image::media_type>("mediaType", "RootVolumeTemplate, DataVolumeTemplate or ISO."),
        field<&Image::guest_os_type>("guestOsType", "The guest's operating system."), field<&Image::type>("type", "The image's type, zstack."),
        field<&Image::platform>("platform", "The guest's platform, such as Linux."),
        field<&Image::architecture>("architecture", "The processor architecture."),
        field<&Image::format>("format", "The file's format, qcow2, raw or iso."),
        field<&Image::system>("system", "Whether the image is for internal use."),
        field<&Image::virtio>("virtio", "Whether the guest has virtio drivers."),
        field<&Image::backup_storage_refs>("backupStorageRefs", "The image's copies.", {.relation = true}),
        field<&Image::create_date>("createDate", "When the image was added."),
        field<&Image::last_op_date>("lastOpDate", "When the image was last changed."));
    return info;
}

template <> const TypeInfo& describe<InstanceOffering>() {
    static const TypeInfo info = row<InstanceOffering>(
        {"instance_offering", "InstanceOfferingVO", "org.zstack.header.configuration.InstanceOfferingInventory"}, "InstanceOffering",
        "CPU and memory of a VM instance, under a name.", field<&InstanceOffering::uuid>("uuid", "The offering's uuid.", {.primary = true}),
        field<&InstanceOffering::name>("name", "The offering's name."), field<&InstanceOffering::description>("description", "Free text."),
        field<&InstanceOffering::cpu_num>("cpuNum", "The number of virtual CPUs."),
        field<&InstanceOffering::cpu_speed>("cpuSpeed", "The speed of the CPUs; informative."),
        field<&InstanceOffering::memory_size>("memorySize", "The memory in bytes."),
        field<&InstanceOffering::reserved_memory_size>("reservedMemorySize", "The memory in bytes that the host must keep free."),
        field<&InstanceOffering::type>("type", "The offering's type, UserVm."),
        field<&InstanceOffering::allocator_strategy>("allocatorStrategy", "How a host is chosen."),
        field<&InstanceOffering::sort_key>("sortKey", "The place in sorted lists."), field<&InstanceOffering::state>("state", "Enabled or Disabled."),
        field<&InstanceOffering::create_date>("createDate", "When the offering was made."),
        field<&InstanceOffering::last_op_date>("lastOpDate", "When the offering was last changed."));
    return info;
}

template <> const TypeInfo& describe<DiskOffering>() {
    static const TypeInfo info = row<DiskOffering>(
        {"disk_offering", "DiskOfferingVO", "org.zstack.header.configuration.DiskOfferingInventory"}, "DiskOffering",
        "The size of a volume, under a name.", field<&DiskOffering::uuid>("uuid", "The offering's uuid.", {.primary = true}),
        field<&DiskOffering::name>("name", "The offering's name."), field<&DiskOffering::description>("description", "Free text."),
        field<&DiskOffering::disk_size>("diskSize", "The volume's size in bytes."),
        field<&DiskOffering::sort_key>("sortKey", "The place in sorted lists."), field<&DiskOffering::state>("state", "Enabled or Disabled."),
        field<&DiskOffering::type>("type", "The offering's type, zstack."),
        field<&DiskOffering::allocator_strategy>("allocatorStrategy", "How a primary storage is chosen."),
        field<&DiskOffering::create_date>("createDate", "When the offering was made."),
        field<&DiskOffering::last_op_date>("lastOpDate", "When the offering was last changed."));
    return info;
}

template <> const TypeInfo& describe<SystemTag>() {
    static const TypeInfo info =
        row<SystemTag>({"system_tag", "SystemTagVO", "org.zstack.header.tag.SystemTagInventory"}, "SystemTag",
                       "A setting of a resource in the form of a tag.", field<&SystemTag::uuid>("uuid", "The tag's uuid.", {.primary = true}),
                       field<&SystemTag::resource_uuid>("resourceUuid", "The resource that bears the tag."),
                       field<&SystemTag::resource_type>("resourceType", "The resource's type, such as VmInstanceVO."),
                       field<&SystemTag::tag>("tag", "The tag's text."), field<&SystemTag::type>("type", "The tag's type, System."),
                       field<&SystemTag::inherent>("inherent", "Whether the tag is made by the server and cannot be deleted."),
                       field<&SystemTag::create_date>("createDate", "When the tag was made."),
                       field<&SystemTag::last_op_date>("lastOpDate", "When the tag was last changed."));
    return info;
}

template <> const TypeInfo& describe<UserTag>() {
    static const TypeInfo info = row<UserTag>({"user_tag", "UserTagVO", "org.zstack.header.tag.UserTagInventory"}, "UserTag",
                                              "A user's own mark on a resource.", field<&UserTag::uuid>("uuid", "The tag's uuid.", {.primary = true}),
                                              field<&UserTag::resource_uuid>("resourceUuid", "The resource that bears the tag."),
                                              field<&UserTag::resource_type>("resourceType", "The resource's type, such as VmInstanceVO."),
                                              field<&UserTag::tag>("tag", "The tag's text."), field<&UserTag::type>("type", "The tag's type, User."),
                                              field<&UserTag::create_date>("createDate", "When the tag was made."),
                                              field<&UserTag::last_op_date>("lastOpDate", "When the tag was last changed."));
    return info;
}

template <> const TypeInfo& describe<GlobalConfig>() {
    static const TypeInfo info = row<GlobalConfig>(
        {"global_config", "GlobalConfigVO", "org.zstack.core.config.GlobalConfigInventory"}, "GlobalConfig", "A setting of the server.",
        field<&GlobalConfig::uuid>("uuid", "The key: category and name.", {.primary = true, .internal = true}),
        field<&GlobalConfig::name>("name", "The setting's name."), field<&GlobalConfig::category>("category", "The group the setting belongs to."),
        field<&GlobalConfig::description>("description", "What the setting does."),
        field<&GlobalConfig::default_value>("defaultValue", "The value it has unless it is changed."),
        field<&GlobalConfig::value>("value", "The value it has."));
    return info;
}

}  // namespace ramet
