#include "resources/backup_storages.hpp"

#include "resources/directories.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {

BackupStorageZoneRef zone_ref(const BackupStorageId& storage, const ZoneId& zone) { return {storage.text() + "-" + zone.text(), storage, zone}; }

Result<std::string> add_image_store_backup_storage(Parts& parts, const identity::Caller& caller, const api::AddImageStoreBackupStorage& request) {
    if (request.type && *request.type != "ImageStoreBackupStorage") {
        return fail(ErrorCode::invalid_argument, "type: '" + *request.type + "' is not supported; use ImageStoreBackupStorage");
    }
    BackupStorage storage;
    TRY_ASSIGN(storage.uuid, id_or_new(request.resource_uuid));
    TRY_ASSIGN(storage.url, normal_directory(request.url));
    storage.name = request.name;
    storage.description = request.description;
    if (request.hostname) storage.hostname = *request.hostname;
    // Before the directory is made: a refusal leaves the disk as it was.
    TRY(parts.database.read([&](store::Transaction& transaction) { return check_storage_apart(transaction, storage.url); }));
    TRY(make_writable_directory(storage.url));
    const auto check = [&](store::Transaction& transaction) { return check_storage_apart(transaction, storage.url); };
    return create(parts, caller, storage, request, check, [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::vector<Zone> zones, store::list<Zone>(transaction));
        for (const Zone& zone : zones) TRY(store::insert(transaction, zone_ref(storage.uuid, zone.uuid)));
        return {};
    });
}

Result<std::string> update_backup_storage(Parts& parts, const identity::Caller&, const api::UpdateBackupStorage& request) {
    return rename<BackupStorage>(parts, request);
}

Result<std::string> change_backup_storage_state(Parts& parts, const identity::Caller&, const api::ChangeBackupStorageState& request) {
    return change_state<BackupStorage>(parts, request);
}

Result<std::string> reconnect_backup_storage(Parts& parts, const identity::Caller&, const api::ReconnectBackupStorage& request) {
    TRY_ASSIGN(const BackupStorage present, store::read(parts.database, [&](store::Transaction& transaction) {
                   return store::get<BackupStorage>(transaction, request.uuid.text());
               }));
    const Result<void> usable = make_writable_directory(present.url);
    TRY_ASSIGN(std::string body, alter<BackupStorage>(parts, request.uuid.text(), [&](BackupStorage& storage, store::Transaction&) -> Result<void> {
                   storage.status = usable.has_value() ? Connection::connected : Connection::disconnected;
                   return {};
               }));
    if (!usable.has_value()) return failed("backup storage '" + present.name + "' is now Disconnected", usable.error());
    return body;
}

Result<std::string> delete_backup_storage(Parts& parts, const identity::Caller&, const api::DeleteBackupStorage& request) {
    return remove<BackupStorage>(parts, request.uuid, [](const BackupStorage& storage, store::Transaction& transaction) -> Result<void> {
        const store::Matches here{{"backupStorageUuid", storage.uuid.text()}};
        TRY_ASSIGN(const std::vector<ImageBackupStorageRef> copies, store::list<ImageBackupStorageRef>(transaction, here));
        std::vector<std::string> names;
        for (const ImageBackupStorageRef& copy : copies) {
            TRY_ASSIGN(const Image image, store::get<Image>(transaction, copy.image_uuid.text()));
            names.push_back(image.name);
        }
        Dependants dependants(transaction);
        dependants.add("image", "images", names);
        TRY(dependants.none("backup storage", storage.name));
        TRY(store::erase<BackupStorageZoneRef>(transaction, here));
        return {};
    });
}

Result<std::string> attach_backup_storage_to_zone(Parts& parts, const identity::Caller&, const api::AttachBackupStorageToZone& request) {
    return alter<BackupStorage>(parts, request.backup_storage_uuid.text(),
                                [&](BackupStorage& storage, store::Transaction& transaction) -> Result<void> {
                                    TRY_ASSIGN(const Zone zone, store::get<Zone>(transaction, request.zone_uuid.text()));
                                    const BackupStorageZoneRef ref = zone_ref(storage.uuid, zone.uuid);
                                    TRY_ASSIGN(const std::int64_t present, store::count<BackupStorageZoneRef>(transaction, {{"uuid", ref.uuid}}));
                                    if (present > 0) return {};  // as a new one is
                                    return store::insert(transaction, ref);
                                });
}

Result<std::string> detach_backup_storage_from_zone(Parts& parts, const identity::Caller&, const api::DetachBackupStorageFromZone& request) {
    return alter<BackupStorage>(parts, request.backup_storage_uuid.text(),
                                [&](BackupStorage& storage, store::Transaction& transaction) -> Result<void> {
                                    TRY(store::get<Zone>(transaction, request.zone_uuid.text()));
                                    TRY(store::erase<BackupStorageZoneRef>(transaction, {{"uuid", zone_ref(storage.uuid, request.zone_uuid).uuid}}));
                                    return {};
                                });
}

}  // namespace ramet::resources
