#include "resources/primary_storages.hpp"

#include <sys/stat.h>
#include <filesystem>
#include <set>

#include "model/snapshots.hpp"
#include "resources/directories.hpp"
#include "resources/sync_reply.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

// Layers that nobody's volume needs any more; part of the transaction that begins the deletion. The cache layers are marked, so that no
// new VM instance is put on them while their files go.
Result<std::vector<Layer>> condemn_layers(store::Transaction& transaction, const PrimaryStorage& storage) {
    const store::Matches here{{"primaryStorageUuid", storage.uuid.text()}};
    Dependants dependants(transaction);
    TRY(dependants.count<Volume>("volume", "volumes", here));
    TRY(dependants.count<CheckpointVolume>("volume of a checkpoint", "volumes of checkpoints", here));
    TRY(dependants.none("primary storage", storage.name));
    TRY_ASSIGN(std::vector<Layer> layers, store::list<Layer>(transaction, here));
    for (Layer& layer : layers) {
        if (!layer.image_uuid) {
            return fail(ErrorCode::operation_failed,
                        "primary storage '" + storage.name + "' still holds disks that are being removed; try again in a minute");
        }
        layer.deleting = true;
        TRY(store::update(transaction, layer));
    }
    return layers;
}

Result<void> erase_storage(store::Transaction& transaction, const PrimaryStorage& storage) {
    const store::Matches here{{"primaryStorageUuid", storage.uuid.text()}};
    Dependants dependants(transaction);
    TRY(dependants.count<Volume>("volume", "volumes", here));
    TRY(dependants.count<CheckpointVolume>("volume of a checkpoint", "volumes of checkpoints", here));
    TRY(dependants.none("primary storage", storage.name));
    TRY(store::erase<Layer>(transaction, here));
    TRY(store::erase<PrimaryStorageClusterRef>(transaction, here));
    return erase_owned(transaction, storage);
}

template <class AnyId>
bool holds(const std::vector<AnyId>& wanted, const AnyId& id) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), id) != wanted.end();
}

bool is_wanted(const PrimaryStorage& storage, const api::GetPrimaryStorageCapacity& request) {
    if (request.all) return true;
    const auto& clusters = storage.attached_cluster_uuids;
    const bool attached = request.cluster_uuids.empty() || std::any_of(clusters.begin(), clusters.end(), [&](const ClusterId& cluster) {
                              return holds(request.cluster_uuids, cluster);
                          });
    return attached && holds(request.zone_uuids, storage.zone_uuid) && holds(request.primary_storage_uuids, storage.uuid);
}

}  // namespace

PrimaryStorageClusterRef cluster_ref(const PrimaryStorageId& storage, const ClusterId& cluster) {
    return {storage.text() + "-" + cluster.text(), storage, cluster};
}

Result<std::string> add_local_primary_storage(Parts& parts, const identity::Caller& caller, const api::AddLocalPrimaryStorage& request) {
    if (request.type && *request.type != "LocalStorage")
        return fail(ErrorCode::invalid_argument, "type: '" + *request.type + "' is not supported; use LocalStorage");
    PrimaryStorage storage;
    TRY_ASSIGN(storage.uuid, id_or_new(request.resource_uuid));
    TRY_ASSIGN(storage.url, normal_directory(request.url));
    std::error_code unreadable;
    if (!request.create_directory && !std::filesystem::is_directory(storage.url, unreadable)) {
        return fail(ErrorCode::invalid_argument,
                    "url: there is no directory '" + storage.url +
                        "' on the server; check the spelling, or have it made (createDirectory, `ramet storage add --create`)");
    }
    // Before the directory is made or prepared: a refusal leaves the disk as it was.
    TRY(parts.database.read([&](store::Transaction& transaction) { return check_storage_apart(transaction, storage.url); }));
    const Result<std::shared_ptr<storage::PrimaryStorage>> opened = parts.storages.open(storage.url);
    if (!opened.has_value()) return failed("url", opened.error());
    storage.url = (*opened)->root();
    storage.zone_uuid = request.zone_uuid;
    storage.name = request.name;
    storage.description = request.description;
    storage.mount_path = storage.url;
    storage.status = Connection::connected;
    const auto check = [&](store::Transaction& transaction) -> Result<void> {
        TRY(store::get<Zone>(transaction, request.zone_uuid.text()));
        return check_storage_apart(transaction, storage.url);
    };
    return create(parts, caller, storage, request, check, [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::vector<Cluster> clusters, store::list<Cluster>(transaction, {{"zoneUuid", request.zone_uuid.text()}}));
        for (const Cluster& cluster : clusters) TRY(store::insert(transaction, cluster_ref(storage.uuid, cluster.uuid)));
        return {};
    });
}

Result<std::string> update_primary_storage(Parts& parts, const identity::Caller&, const api::UpdatePrimaryStorage& request) {
    return rename<PrimaryStorage>(parts, request);
}

Result<std::string> change_primary_storage_state(Parts& parts, const identity::Caller&, const api::ChangePrimaryStorageState& request) {
    return change_state<PrimaryStorage>(parts, request, "use disable: nothing new is then put on the storage");
}

Result<std::string> reconnect_primary_storage(Parts& parts, const identity::Caller&, const api::ReconnectPrimaryStorage& request) {
    TRY_ASSIGN(const PrimaryStorage present, store::read(parts.database, [&](store::Transaction& transaction) {
                   return store::get<PrimaryStorage>(transaction, request.uuid.text());
               }));
    const Result<std::shared_ptr<storage::PrimaryStorage>> opened = parts.storages.open(present.url);
    TRY_ASSIGN(std::string body, alter<PrimaryStorage>(parts, request.uuid.text(), [&](PrimaryStorage& storage, store::Transaction&) -> Result<void> {
                   storage.status = opened.has_value() ? Connection::connected : Connection::disconnected;
                   return {};
               }));
    if (!opened.has_value()) return failed("primary storage '" + present.name + "' is now Disconnected", opened.error());
    return body;
}

Result<std::string> delete_primary_storage(Parts& parts, const identity::Caller&, const api::DeletePrimaryStorage& request) {
    TRY(PrimaryStorageId::parse(request.uuid.text()));
    struct Condemned {
        std::optional<PrimaryStorage> storage;
        std::vector<Layer> layers;
    };
    TRY_ASSIGN(const Condemned condemned, store::write(parts.database, [&](store::Transaction& transaction) -> Result<Condemned> {
                   Condemned found;
                   TRY_ASSIGN(found.storage, store::find<PrimaryStorage>(transaction, {{"uuid", request.uuid.text()}}));
                   if (!found.storage) return found;
                   found.storage->state = Enablement::disabled;
                   TRY(store::update(transaction, *found.storage));
                   TRY_ASSIGN(found.layers, condemn_layers(transaction, *found.storage));
                   return found;
               }));
    if (!condemned.storage) return "{}";
    // Files go before their rows: a cut here leaves rows that a repeated delete finds again.
    if (!condemned.layers.empty()) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> files, parts.storages.open(condemned.storage->url));
        for (const Layer& layer : condemned.layers) TRY(files->remove(layer.path));
    }
    TRY(parts.database.write([&](store::Transaction& transaction) { return erase_storage(transaction, *condemned.storage); }));
    return "{}";
}

Result<std::string> attach_primary_storage_to_cluster(Parts& parts, const identity::Caller&, const api::AttachPrimaryStorageToCluster& request) {
    return alter<PrimaryStorage>(
        parts, request.primary_storage_uuid.text(), [&](PrimaryStorage& storage, store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(const Cluster cluster, store::get<Cluster>(transaction, request.cluster_uuid.text()));
            if (cluster.zone_uuid != storage.zone_uuid) {
                return fail(ErrorCode::operation_failed,
                            "cluster '" + cluster.name + "' and primary storage '" + storage.name + "' are in different zones; choose from one zone");
            }
            const PrimaryStorageClusterRef ref = cluster_ref(storage.uuid, cluster.uuid);
            TRY_ASSIGN(const std::int64_t present, store::count<PrimaryStorageClusterRef>(transaction, {{"uuid", ref.uuid}}));
            if (present > 0) return {};  // a new storage is attached to the clusters of its zone; ZStack's order, add and attach, goes on working
            return store::insert(transaction, ref);
        });
}

Result<std::string> detach_primary_storage_from_cluster(Parts& parts, const identity::Caller&, const api::DetachPrimaryStorageFromCluster& request) {
    return alter<PrimaryStorage>(
        parts, request.primary_storage_uuid.text(), [&](PrimaryStorage& storage, store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(const Cluster cluster, store::get<Cluster>(transaction, request.cluster_uuid.text()));
            TRY_ASSIGN(const std::vector<Volume> volumes, store::list<Volume>(transaction, {{"primaryStorageUuid", storage.uuid.text()}}));
            std::set<std::string> users;
            for (const Volume& volume : volumes) {
                if (!volume.vm_instance_uuid) continue;
                TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", volume.vm_instance_uuid->text()}}));
                if (vm && vm->cluster_uuid == cluster.uuid) users.insert(vm->name);
            }
            Dependants dependants(transaction);
            dependants.add("VM instance", "VM instances", {users.begin(), users.end()});
            TRY(dependants.none("primary storage", storage.name));
            TRY(store::erase<PrimaryStorageClusterRef>(transaction, {{"uuid", cluster_ref(storage.uuid, cluster.uuid).uuid}}));
            return {};
        });
}

Result<std::string> get_primary_storage_capacity(Parts& parts, const identity::Caller&, const api::GetPrimaryStorageCapacity& request) {
    TRY_ASSIGN(const std::vector<PrimaryStorage> storages,
               store::read(parts.database, [](store::Transaction& transaction) { return store::list<PrimaryStorage>(transaction); }));
    api::GetPrimaryStorageCapacityReply reply;
    std::set<dev_t> counted;  // storages on one file system share its room
    for (const PrimaryStorage& listed : storages) {
        TRY_ASSIGN(const PrimaryStorage storage, parts.inventory.get<PrimaryStorage>(listed.uuid.text()));
        if (!is_wanted(storage, request)) continue;
        struct stat facts{};
        if (::stat(storage.url.c_str(), &facts) == 0 && !counted.insert(facts.st_dev).second) continue;
        reply.total_capacity += storage.total_capacity;
        reply.available_capacity += storage.available_capacity;
        reply.total_physical_capacity += storage.total_physical_capacity;
        reply.available_physical_capacity += storage.available_physical_capacity;
    }
    return sync_reply(reply);
}

}  // namespace ramet::resources
