// Primary and backup storages (contract 5.2).
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

namespace {
constexpr std::array<std::string_view, 2> kStorageEvents{"enable", "disable"};
constexpr std::string_view kDirectoryDoc = "An absolute directory on the host; made if it is not there. No storage may lie inside another.";
}  // namespace

template <> const TypeInfo& describe<api::AddLocalPrimaryStorage>() {
    using Request = api::AddLocalPrimaryStorage;
    static const TypeInfo info = object<Request>(
        "AddLocalPrimaryStorage", "Adds a directory as primary storage.",
        field<&Request::url>("url", kDirectoryDoc,
                             {.required = true, .characters_max = limits::kTextCharactersMax, .example = "/var/lib/ramet/primary"}),
        name_field<&Request::name>(primary_storage()), description_field<&Request::description>(),
        type_field<&Request::type>("type", "The storage's type.", "LocalStorage"),
        uuid_field<&Request::zone_uuid>("zoneUuid", zone(), "The zone the storage is in. All clusters of the zone are attached to it."),
        field<&Request::create_directory>("createDirectory", "Whether a directory that is not there is made; else the call fails.",
                                          {.fallback = "true", .example = "true"}),
        resource_uuid_field<&Request::resource_uuid>(), system_tags_field<&Request::system_tags>(), user_tags_field<&Request::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdatePrimaryStorage>() {
    static const TypeInfo info = update_type<PrimaryStorage>(primary_storage());
    return info;
}
template <> const TypeInfo& describe<api::ChangePrimaryStorageState>() {
    static const TypeInfo info = state_type<PrimaryStorage>(primary_storage(), kStorageStateEvents);
    return info;
}
template <> const TypeInfo& describe<api::ReconnectPrimaryStorage>() {
    static const TypeInfo info = reconnect_type<PrimaryStorage>(primary_storage());
    return info;
}
template <> const TypeInfo& describe<api::DeletePrimaryStorage>() {
    static const TypeInfo info = delete_type<PrimaryStorage>(primary_storage());
    return info;
}
template <> const TypeInfo& describe<api::AttachPrimaryStorageToCluster>() {
    using Request = api::AttachPrimaryStorageToCluster;
    static const TypeInfo info = object<Request>("AttachPrimaryStorageToCluster", "Lets a cluster use a primary storage.",
                                                 path_uuid_field<&Request::cluster_uuid>(cluster(), "clusterUuid"),
                                                 path_uuid_field<&Request::primary_storage_uuid>(primary_storage(), "primaryStorageUuid"));
    return info;
}
template <> const TypeInfo& describe<api::DetachPrimaryStorageFromCluster>() {
    using Request = api::DetachPrimaryStorageFromCluster;
    static const TypeInfo info = object<Request>("DetachPrimaryStorageFromCluster", "Takes a primary storage away from a cluster.",
                                                 path_uuid_field<&Request::cluster_uuid>(cluster(), "clusterUuid"),
                                                 path_uuid_field<&Request::primary_storage_uuid>(primary_storage(), "primaryStorageUuid"));
    return info;
}
template <> const TypeInfo& describe<api::GetPrimaryStorageCapacity>() {
    using Request = api::GetPrimaryStorageCapacity;
    static const TypeInfo info =
        object<Request>("GetPrimaryStorageCapacity", "Which storages to add up.",
                        field<&Request::zone_uuids>("zoneUuids", "Only storages of these zones.", {.example = "[]"}),
                        field<&Request::cluster_uuids>("clusterUuids", "Only storages attached to these clusters.", {.example = "[]"}),
                        field<&Request::primary_storage_uuids>("primaryStorageUuids", "Only these storages.", {.example = "[]"}),
                        field<&Request::all>("all", "All storages, whatever else is named; also what happens when nothing is named.",
                                             {.fallback = "false", .example = "true"}));
    return info;
}
template <> const TypeInfo& describe<api::GetPrimaryStorageCapacityReply>() {
    using Reply = api::GetPrimaryStorageCapacityReply;
    static const TypeInfo info =
        object<Reply>("GetPrimaryStorageCapacityReply", "What the storages have together; a file system that holds several counts once.",
                      field<&Reply::total_capacity>("totalCapacity", "Bytes in all."),
                      field<&Reply::available_capacity>("availableCapacity", "Bytes still to give away."),
                      field<&Reply::total_physical_capacity>("totalPhysicalCapacity", "Bytes of the file systems."),
                      field<&Reply::available_physical_capacity>("availablePhysicalCapacity", "Free bytes of the file systems."));
    return info;
}

template <> const TypeInfo& describe<api::AddImageStoreBackupStorage>() {
    using Request = api::AddImageStoreBackupStorage;
    static const TypeInfo info = object<Request>(
        "AddImageStoreBackupStorage", "Adds a directory as backup storage.",
        field<&Request::url>("url", kDirectoryDoc,
                             {.required = true, .characters_max = limits::kTextCharactersMax, .example = "/var/lib/ramet/images"}),
        name_field<&Request::name>(backup_storage()), description_field<&Request::description>(),
        type_field<&Request::type>("type", "The storage's type.", "ImageStoreBackupStorage"),
        type_field<&Request::hostname>("hostname", "Recorded; the directory is on this machine.", "127.0.0.1"),
        field<&Request::username>("username", "Accepted and not used: the directory is on this machine.",
                                  {.characters_max = limits::kNameCharactersMax, .example = "root"}),
        field<&Request::password>("password", "Accepted and not used.",
                                  {.secret = true, .characters_max = limits::kNameCharactersMax, .example = "secret"}),
        field<&Request::ssh_port>("sshPort", "Accepted and not used.", {.at_least = 1, .at_most = 65535, .example = "22"}),
        resource_uuid_field<&Request::resource_uuid>(), system_tags_field<&Request::system_tags>(), user_tags_field<&Request::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateBackupStorage>() {
    static const TypeInfo info = update_type<BackupStorage>(backup_storage());
    return info;
}
template <> const TypeInfo& describe<api::ChangeBackupStorageState>() {
    static const TypeInfo info = state_type<BackupStorage>(backup_storage(), kStorageEvents);
    return info;
}
template <> const TypeInfo& describe<api::ReconnectBackupStorage>() {
    static const TypeInfo info = reconnect_type<BackupStorage>(backup_storage());
    return info;
}
template <> const TypeInfo& describe<api::DeleteBackupStorage>() {
    static const TypeInfo info = delete_type<BackupStorage>(backup_storage());
    return info;
}
template <> const TypeInfo& describe<api::AttachBackupStorageToZone>() {
    using Request = api::AttachBackupStorageToZone;
    static const TypeInfo info =
        object<Request>("AttachBackupStorageToZone", "Lets a zone use a backup storage.", path_uuid_field<&Request::zone_uuid>(zone(), "zoneUuid"),
                        path_uuid_field<&Request::backup_storage_uuid>(backup_storage(), "backupStorageUuid"));
    return info;
}
template <> const TypeInfo& describe<api::DetachBackupStorageFromZone>() {
    using Request = api::DetachBackupStorageFromZone;
    static const TypeInfo info = object<Request>("DetachBackupStorageFromZone", "Takes a backup storage away from a zone.",
                                                 path_uuid_field<&Request::zone_uuid>(zone(), "zoneUuid"),
                                                 path_uuid_field<&Request::backup_storage_uuid>(backup_storage(), "backupStorageUuid"));
    return info;
}

namespace api {

template <> const MessageInfo& message<AddLocalPrimaryStorage>() {
    static const MessageInfo info = resource_call<AddLocalPrimaryStorage>(
        primary_storage(), {.name = "AddLocalPrimaryStorage",
                            .doc = "Adds a directory of the host as primary storage and attaches it to all clusters of its zone.",
                            .path = "/primary-storage/local-storage",
                            .request_example = R"({"url":"/srv/vm-disks","name":"disks2","zoneUuid":"d886a09330e13282b7a320a98d0a53ec"})"});
    return info;
}
template <> const MessageInfo& message<UpdatePrimaryStorage>() {
    static const MessageInfo info = update_message<UpdatePrimaryStorage>(primary_storage());
    return info;
}
template <> const MessageInfo& message<ChangePrimaryStorageState>() {
    static const MessageInfo info = state_message<ChangePrimaryStorageState>(primary_storage());
    return info;
}
template <> const MessageInfo& message<ReconnectPrimaryStorage>() {
    static const MessageInfo info = reconnect_message<ReconnectPrimaryStorage>(primary_storage());
    return info;
}
template <> const MessageInfo& message<DeletePrimaryStorage>() {
    static const MessageInfo info = delete_message<DeletePrimaryStorage>(
        primary_storage(), "Forgets a primary storage and removes its image cache; refuses while volumes are on it. The directory itself stays.");
    return info;
}
template <> const MessageInfo& message<AttachPrimaryStorageToCluster>() {
    static const MessageInfo info =
        resource_call<AttachPrimaryStorageToCluster>(primary_storage(), {.name = "AttachPrimaryStorageToCluster",
                                                                         .doc = "Lets a cluster use a primary storage.",
                                                                         .path = "/clusters/{clusterUuid}/primary-storage/{primaryStorageUuid}"});
    return info;
}
template <> const MessageInfo& message<DetachPrimaryStorageFromCluster>() {
    static const MessageInfo info = resource_call<DetachPrimaryStorageFromCluster>(
        primary_storage(), {.name = "DetachPrimaryStorageFromCluster",
                            .doc = "Takes a primary storage away from a cluster; refuses while VM instances of the cluster use it.",
                            .method = Method::del,
                            .path = "/clusters/{clusterUuid}/primary-storage/{primaryStorageUuid}",
                            .body_key = ""});
    return info;
}
template <> const MessageInfo& message<GetPrimaryStorageCapacity>() {
    static const MessageInfo info = read_call<GetPrimaryStorageCapacity>(
        {.name = "GetPrimaryStorageCapacity",
         .category = primary_storage().category,
         .doc = "Adds up the capacities of primary storages.",
         .path = "/primary-storage/capacities",
         .response_example = R"({"totalCapacity":107374182400,"availableCapacity":85899345920,"totalPhysicalCapacity":107374182400,)"
                             R"("availablePhysicalCapacity":85899345920,"success":true})"},
        &describe<GetPrimaryStorageCapacityReply>);
    return info;
}

template <> const MessageInfo& message<AddImageStoreBackupStorage>() {
    static const MessageInfo info = resource_call<AddImageStoreBackupStorage>(
        backup_storage(),
        {.name = "AddImageStoreBackupStorage",
         .doc = "Adds a directory of this machine as backup storage and attaches it to all zones.",
         .path = "/backup-storage/image-store",
         .request_example = R"({"hostname":"127.0.0.1","username":"root","password":"secret","url":"/srv/images","name":"images2"})"});
    return info;
}
template <> const MessageInfo& message<UpdateBackupStorage>() {
    static const MessageInfo info = update_message<UpdateBackupStorage>(backup_storage());
    return info;
}
template <> const MessageInfo& message<ChangeBackupStorageState>() {
    static const MessageInfo info = state_message<ChangeBackupStorageState>(backup_storage());
    return info;
}
template <> const MessageInfo& message<ReconnectBackupStorage>() {
    static const MessageInfo info = reconnect_message<ReconnectBackupStorage>(backup_storage());
    return info;
}
template <> const MessageInfo& message<DeleteBackupStorage>() {
    static const MessageInfo info =
        delete_message<DeleteBackupStorage>(backup_storage(), "Forgets a backup storage; refuses while images are on it.");
    return info;
}
template <> const MessageInfo& message<AttachBackupStorageToZone>() {
    static const MessageInfo info =
        resource_call<AttachBackupStorageToZone>(backup_storage(), {.name = "AttachBackupStorageToZone",
                                                                    .doc = "Lets a zone use a backup storage.",
                                                                    .path = "/zones/{zoneUuid}/backup-storage/{backupStorageUuid}"});
    return info;
}
template <> const MessageInfo& message<DetachBackupStorageFromZone>() {
    static const MessageInfo info =
        resource_call<DetachBackupStorageFromZone>(backup_storage(), {.name = "DetachBackupStorageFromZone",
                                                                      .doc = "Takes a backup storage away from a zone.",
                                                                      .method = Method::del,
                                                                      .path = "/zones/{zoneUuid}/backup-storage/{backupStorageUuid}",
                                                                      .body_key = ""});
    return info;
}

std::vector<const MessageInfo*> kinds::storage_messages() {
    static const MessageInfo query_primary = query_message(primary_storage()), query_backup = query_message(backup_storage());
    return {&message<AddLocalPrimaryStorage>(),
            &query_primary,
            &message<UpdatePrimaryStorage>(),
            &message<ChangePrimaryStorageState>(),
            &message<ReconnectPrimaryStorage>(),
            &message<DeletePrimaryStorage>(),
            &message<AttachPrimaryStorageToCluster>(),
            &message<DetachPrimaryStorageFromCluster>(),
            &message<GetPrimaryStorageCapacity>(),
            &message<AddImageStoreBackupStorage>(),
            &query_backup,
            &message<UpdateBackupStorage>(),
            &message<ChangeBackupStorageState>(),
            &message<ReconnectBackupStorage>(),
            &message<DeleteBackupStorage>(),
            &message<AttachBackupStorageToZone>(),
            &message<DetachBackupStorageFromZone>()};
}

}  // namespace api
}  // namespace ramet
