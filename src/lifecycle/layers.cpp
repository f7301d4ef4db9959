#include "lifecycle/layers.hpp"

#include <algorithm>
#include <set>

#include "base/crash_point.hpp"
#include "identity/caller.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/snapshot_rows.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

// Removes one layer that tx marked as doomed: the file first, then the row that owns it.
Result<void> remove_layer(Parts& parts, const Layer& layer, const storage::Place& place) {
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(place.root));
    TRY(storage->remove(place.path));
    crash_point("layer-file-removed");
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        // What stands on it is going too, by another job's hand, which need not be the quicker one.
        TRY_ASSIGN(const std::vector<Layer> children, store::list<Layer>(transaction, {{"parentUuid", layer.uuid.text()}}));
        for (Layer child : children) {
            if (!child.deleting) continue;
            child.parent_uuid.reset();
            TRY(store::update(transaction, child));
        }
        TRY(store::erase<Layer>(transaction, {{"uuid", layer.uuid.text()}}));
        return {};
    });
}

// Their dates do not tell: two layers can be of one millisecond, and clocks are put back.
std::vector<Layer> children_first(std::vector<Layer> layers) {
    std::vector<Layer> ordered;
    while (!layers.empty()) {
        std::set<LayerId> parents;
        for (const Layer& layer : layers)
            if (layer.parent_uuid) parents.insert(*layer.parent_uuid);
        const auto leaves = std::ranges::stable_partition(layers, [&](const Layer& layer) { return parents.contains(layer.uuid); });
        if (leaves.empty()) break;  // damaged rows: layers that stand on each other cannot be removed
        ordered.insert(ordered.end(), leaves.begin(), leaves.end());
        layers.erase(leaves.begin(), leaves.end());
    }
    return ordered;
}

}  // namespace

Result<void> remove_layers(Parts& parts, const std::vector<Layer>& doomed) {
    for (const Layer& layer : doomed) {
        TRY_ASSIGN(const storage::Place place, store::read(parts.database(), [&](Transaction& transaction) { return place_of(transaction, layer); }));
        TRY(remove_layer(parts, layer, place));
    }
    return {};
}

Result<LayerUsers> users_of(Transaction& transaction, const Layer& layer) {
    LayerUsers users;
    TRY_ASSIGN(const std::vector<Layer> children, store::list<Layer>(transaction, {{"parentUuid", layer.uuid.text()}}));
    users.children = std::ranges::count_if(children, [](const Layer& child) { return !child.deleting; });
    TRY_ASSIGN(users.volumes, store::count<Volume>(transaction, {{"topLayerUuid", layer.uuid.text()}}));
    TRY_ASSIGN(users.snapshots, store::count<VolumeSnapshot>(transaction, {{"layerUuid", layer.uuid.text()}}));
    TRY_ASSIGN(users.checkpoints, store::count<CheckpointVolume>(transaction, {{"layerUuid", layer.uuid.text()}}));
    users.image_cache = layer.image_uuid.has_value();
    return users;
}

Result<std::vector<Layer>> doom_chain(Transaction& transaction, LayerId first) {
    std::vector<Layer> doomed;
    std::optional<LayerId> next = std::move(first);
    while (next) {
        TRY_ASSIGN(std::optional<Layer> layer, store::find<Layer>(transaction, {{"uuid", next->text()}}));
        if (!layer || layer->deleting) break;
        TRY_ASSIGN(const LayerUsers users, users_of(transaction, *layer));
        if (users.any()) break;
        layer->deleting = true;
        TRY(store::update(transaction, *layer));
        next = layer->parent_uuid;
        doomed.push_back(std::move(*layer));
    }
    return doomed;
}

Result<std::vector<Layer>> doom_chains(Transaction& transaction, const std::vector<LayerId>& firsts) {
    std::vector<Layer> all;
    for (const LayerId& first : firsts) {
        TRY_ASSIGN(std::vector<Layer> doomed, doom_chain(transaction, first));
        all.insert(all.end(), std::make_move_iterator(doomed.begin()), std::make_move_iterator(doomed.end()));
    }
    return all;
}

void discard_layers(Parts& parts, const std::vector<Layer>& doomed) {
    if (doomed.empty()) return;
    crash_point("layers-doomed");
    const Result<void> removed = remove_layers(parts, doomed);
    if (!removed.has_value()) telemetry::log_warning("layers will be removed later: {}: {}", removed.error().message, removed.error().detail);
}

Result<void> note_guest_writes(Transaction& transaction, const Volume& volume) {
    if (!volume.top_layer_uuid) return {};
    TRY_ASSIGN(Layer top, store::get<Layer>(transaction, volume.top_layer_uuid->text()));
    if (!top.untouched) return {};
    top.untouched = false;
    return store::update(transaction, top);
}

Result<void> demolish_volume(Parts& parts, const VolumeId& id, const MayDemolish& may) {
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", id.text()}}));
                   if (!volume) return std::vector<Layer>{};
                   if (may) TRY(may(*volume));
                   const std::optional<LayerId> top = volume->top_layer_uuid;
                   if (!top) return std::vector<Layer>{};
                   volume->top_layer_uuid.reset();
                   volume->status = VolumeStatus::deleted;
                   TRY(store::update(transaction, *volume));
                   TRY_ASSIGN(std::vector<LayerId> freed, forget_snapshots_of(transaction, id, parts.now()));
                   freed.insert(freed.begin(), *top);
                   return doom_chains(transaction, freed);
               }));
    crash_point("layers-doomed");
    TRY(remove_layers(parts, doomed));
    discard_memory_images(parts);  // of groups whose last snapshot was this volume's
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(resources::remove_tags_of(transaction, id.text()));
        TRY(identity::disown(transaction, id.text()));
        TRY(store::erase<Volume>(transaction, {{"uuid", id.text()}}));
        return {};
    });
}

Result<void> remove_doomed_layers(Parts& parts) {
    TRY_ASSIGN(std::vector<Layer> doomed, store::read(parts.database(), [](Transaction& transaction) {
                   return store::list<Layer>(transaction, {{"deleting", std::int64_t{1}}});
               }));
    return remove_layers(parts, children_first(std::move(doomed)));
}

}  // namespace ramet::lifecycle
