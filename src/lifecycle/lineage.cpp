#include "lifecycle/lineage.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "lifecycle/layers.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

struct Forest {
    std::vector<VmInstance> vms;  // to be shown
    std::vector<Volume> volumes;  // to be shown, with a disk
    std::map<LayerId, Layer> layers;
    std::map<LayerId, std::string> roots;  // the storage's directory
    std::map<LayerId, std::int64_t> standing, foreign;
    std::map<VolumeId, std::vector<LayerId>> freed;  // the layers that would go with a volume
    std::map<LayerId, std::int64_t> bytes;
    bool everything = false;

    std::vector<const Layer*> chain(const LayerId& top) const {
        std::vector<const Layer*> found;
        std::optional<LayerId> next = top;
        while (next && found.size() < limits::kChainWalkMax) {
            const auto layer = layers.find(*next);
            if (layer == layers.end()) break;
            found.push_back(&layer->second);
            next = layer->second.parent_uuid;
        }
        return found;
    }
};

// The layers that nothing needs but this volume, by the same rule that removes them.
Result<std::vector<LayerId>> layers_freed_with(Transaction& transaction, const std::vector<const Layer*>& chain) {
    std::vector<LayerId> freed;
    for (const Layer* layer : chain) {
        TRY_ASSIGN(LayerUsers users, users_of(transaction, *layer));
        --(freed.empty() ? users.volumes : users.children);  // the one that would be gone
        if (users.any()) break;
        freed.push_back(layer->uuid);
    }
    return freed;
}

Result<Forest> load_forest(Transaction& transaction, const identity::Caller& caller, const std::optional<VmId>& vm) {
    Forest forest;
    forest.everything = caller.admin && !vm;
    std::set<std::string> mine;
    if (!caller.admin) {
        TRY_ASSIGN(const std::vector<AccountResourceRef> refs,
                   store::list<AccountResourceRef>(transaction, {{"accountUuid", caller.account.text()}}));
        for (const AccountResourceRef& ref : refs) mine.insert(ref.resource_uuid);
    }
    const auto visible = [&](const std::string& uuid) { return caller.admin || mine.contains(uuid); };
    TRY_ASSIGN(std::vector<Layer> layers, store::list<Layer>(transaction));
    TRY_ASSIGN(const std::vector<PrimaryStorage> storages, store::list<PrimaryStorage>(transaction));
    for (Layer& layer : layers) {
        const auto storage = std::ranges::find(storages, layer.primary_storage_uuid, &PrimaryStorage::uuid);
        if (storage != storages.end()) forest.roots[layer.uuid] = storage->url;
        forest.layers.emplace(layer.uuid, std::move(layer));
    }
    TRY_ASSIGN(std::vector<Volume> volumes, store::list<Volume>(transaction, {}, "type DESC, deviceId, createDate"));
    for (Volume& volume : volumes) {
        if (!volume.top_layer_uuid) continue;
        const std::vector<const Layer*> chain = forest.chain(*volume.top_layer_uuid);
        for (const Layer* layer : chain) {
            ++forest.standing[layer->uuid];
            if (!visible(volume.uuid.text())) ++forest.foreign[layer->uuid];
        }
        if (!visible(volume.uuid.text()) || (vm && volume.vm_instance_uuid != *vm)) continue;
        TRY_ASSIGN(forest.freed[volume.uuid], layers_freed_with(transaction, chain));
        forest.volumes.push_back(std::move(volume));
    }
    TRY_ASSIGN(std::vector<VmInstance> vms, store::list<VmInstance>(transaction, {}, "createDate, name"));
    for (VmInstance& row : vms) {
        if (visible(row.uuid.text()) && (!vm || row.uuid == *vm)) forest.vms.push_back(std::move(row));
    }
    return forest;
}

Result<void> measure(Parts& parts, Forest& forest) {
    std::set<LayerId> shown;
    for (const Volume& volume : forest.volumes) {
        for (const Layer* layer : forest.chain(*volume.top_layer_uuid)) shown.insert(layer->uuid);
    }
    for (const auto& [uuid, layer] : forest.layers) {
        if (!forest.everything && !shown.contains(uuid)) continue;
        std::int64_t& bytes = forest.bytes[uuid];
        const auto root = forest.roots.find(uuid);
        if (root == forest.roots.end()) continue;
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(root->second));
        TRY_ASSIGN(bytes, storage->allocated_bytes(layer.path));
    }
    return {};
}

api::LineageVolume volume_entry(const Forest& forest, const Volume& volume) {
    api::LineageVolume entry{volume.uuid, volume.name, volume.type, *volume.top_layer_uuid, 0, 0, 0};
    for (const Layer* layer : forest.chain(*volume.top_layer_uuid)) {
        ++entry.depth;
        entry.shared_bytes += forest.bytes.at(layer->uuid);
    }
    for (const LayerId& layer : forest.freed.at(volume.uuid)) entry.own_bytes += forest.bytes.at(layer);
    entry.shared_bytes -= entry.own_bytes;
    return entry;
}

api::LineageVm vm_entry(const Forest& forest, const VmInstance& vm) {
    api::LineageVm entry{vm.uuid, vm.name, vm.state, 0, 0, 0, {}};
    std::set<LayerId> stands_on;
    for (const Volume& volume : forest.volumes) {
        if (volume.vm_instance_uuid != vm.uuid) continue;
        api::LineageVolume made = volume_entry(forest, volume);
        entry.depth = std::max(entry.depth, made.depth);
        if (volume.type == VolumeType::root) entry.own_bytes += made.own_bytes;
        for (const Layer* layer : forest.chain(*volume.top_layer_uuid)) stands_on.insert(layer->uuid);
        entry.volumes.push_back(std::move(made));
    }
    for (const LayerId& layer : stands_on) entry.shared_bytes += forest.bytes.at(layer);
    entry.shared_bytes -= entry.own_bytes;
    return entry;
}

api::LineageLayer layer_entry(const Forest& forest, const Layer& layer, std::int64_t bytes) {
    const auto count = [&](const std::map<LayerId, std::int64_t>& counts) {
        const auto found = counts.find(layer.uuid);
        return found == counts.end() ? 0 : found->second;
    };
    api::LineageLayer entry;
    entry.uuid = layer.uuid;
    entry.parent_uuid = layer.parent_uuid;
    entry.primary_storage_uuid = layer.primary_storage_uuid;
    entry.kind = layer.image_uuid ? "image" : (layer.sealed ? "sealed" : "top");
    entry.image_uuid = layer.image_uuid;
    entry.bytes = bytes;
    entry.depth = std::ssize(forest.chain(layer.uuid));
    entry.volumes = count(forest.standing);
    entry.foreign_volumes = count(forest.foreign);
    entry.create_date = layer.create_date;
    return entry;
}

}  // namespace

Result<std::string> lineage(Parts& parts, const identity::Caller& caller, const std::optional<VmId>& vm) {
    TRY_ASSIGN(Forest forest, store::read(parts.database(), [&](Transaction& transaction) { return load_forest(transaction, caller, vm); }));
    TRY(measure(parts, forest));
    api::LineageReply reply;
    for (const VmInstance& row : forest.vms) reply.vms.push_back(vm_entry(forest, row));
    for (const Volume& volume : forest.volumes) {
        if (!volume.vm_instance_uuid) reply.volumes.push_back(volume_entry(forest, volume));
    }
    for (const auto& [uuid, bytes] : forest.bytes) {
        reply.layers.push_back(layer_entry(forest, forest.layers.at(uuid), bytes));
        reply.total_bytes += bytes;
    }
    std::string json = api::to_json(reply);
    json.pop_back();
    return json + ",\"success\":true}";
}

}  // namespace ramet::lifecycle
