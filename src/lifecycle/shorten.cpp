#include "lifecycle/shorten.hpp"

#include <algorithm>
#include <numeric>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "base/patience.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet {

template <> const TypeInfo& describe<lifecycle::ShortenOrder>() {
    using lifecycle::ShortenOrder;
    static const TypeInfo info = object<ShortenOrder>(
        "ShortenOrder", "A volume whose chain is to be made shorter.", field<&ShortenOrder::volume>("volume", "The volume."),
        field<&ShortenOrder::base>("base", "The layer it is to stand on."), field<&ShortenOrder::merged>("merged", "The new top, where one is made."),
        field<&ShortenOrder::vm>("vm", "The volume's VM when the order was made."));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;

namespace {

constexpr std::chrono::milliseconds kSilence{300};  // of a QEMU that is asked whether it has ended

struct Chain {
    Volume volume;
    std::vector<Layer> layers;  // top first
    std::vector<storage::Place> places;
    std::optional<std::size_t> base;  // its index; absent: the volume is to stand alone
    bool nothing_to_do = false;

    std::size_t count_to_merge() const { return base.value_or(layers.size()); }
};

Result<Chain> load_chain(Transaction& transaction, const ShortenOrder& order) {
    Chain chain;
    TRY_ASSIGN(std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", order.volume.text()}}));
    chain.nothing_to_do = !volume || !volume->top_layer_uuid || volume->status != VolumeStatus::ready;
    if (chain.nothing_to_do) return chain;
    chain.volume = std::move(*volume);
    TRY_ASSIGN(chain.layers, layers_below(transaction, *chain.volume.top_layer_uuid));
    TRY_ASSIGN(chain.places, chain_of(transaction, *chain.volume.top_layer_uuid));
    for (std::size_t i = 0; order.base && i < chain.layers.size(); ++i) {
        if (chain.layers[i].uuid == *order.base) chain.base = i;
    }
    // The base may be gone from the chain since the plan was made; then there is nothing left that was meant.
    chain.nothing_to_do = (order.base && !chain.base) || chain.count_to_merge() <= 1;
    return chain;
}

Result<bool> is_on(Parts& parts, const Chain& chain) {
    if (!chain.volume.vm_instance_uuid) return false;
    TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(*chain.volume.vm_instance_uuid));
    return state != hypervisor::DomainState::shut_off;
}

// After a crash between a capture and its rows the guest writes to a layer that the rows do not have on top yet.
Result<void> require_known_top(Parts& parts, const Chain& chain, bool on) {
    if (!chain.volume.vm_instance_uuid) return {};
    TRY_ASSIGN(const std::vector<hypervisor::DiskTop> tops, parts.hypervisor.disk_tops(*chain.volume.vm_instance_uuid));
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<void> {
        const Layer& top = chain.layers.front();
        for (const hypervisor::DiskTop& real : tops) {
            if (real.volume != chain.volume.uuid || real.place.path == top.path) continue;
            TRY_ASSIGN(const std::vector<Layer> above, store::list<Layer>(transaction, {{"path", real.place.path}, {"parentUuid", top.uuid.text()}}));
            if (on || !above.empty()) return fail(ErrorCode::wrong_state, "the volume is being captured; try again in a moment");
        }
        return {};
    });
}

Layer merged_layer(const Chain& chain, const ShortenOrder& order, Timestamp now) {
    const Layer& top = chain.layers.front();
    Layer merged;
    merged.uuid = order.merged;
    merged.primary_storage_uuid = top.primary_storage_uuid;
    const Layer own_first{.path = chain.volume.install_path->substr(chain.places.front().root.size() + 1)};
    merged.path = later_layer_path(own_first, merged.uuid);
    merged.size = top.size;
    merged.parent_uuid = order.base;
    merged.volume_uuid = chain.volume.uuid;
    merged.create_date = now;
    return merged;
}

// --- a VM that is on: QEMU writes into the top

// The top stands on `base` now; returns what nothing needs any more.
Result<std::vector<Layer>> put_top_on(Transaction& transaction, Layer top, const std::optional<LayerId>& base) {
    const std::optional<LayerId> released = top.parent_uuid;
    if (released == base) return std::vector<Layer>{};
    top.parent_uuid = base;
    top.untouched = false;
    TRY(store::update(transaction, top));
    return doom_chain(transaction, *released);
}

Result<void> adopt_shorter_chain(Parts& parts, const Chain& chain, const ShortenOrder& order) {
    crash_point("shortened-before-rows");
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(const Layer top, store::get<Layer>(transaction, chain.layers.front().uuid.text()));
                   return put_top_on(transaction, top, order.base);
               }));
    crash_point("shortened");
    return remove_layers(parts, doomed);
}

// QEMU may have been quicker than the undo, or the rows could not be written when it was done: the rows follow the disk.
Result<void> follow_disk(Parts& parts, const VolumeId& id, const VmId& vm) {
    TRY_ASSIGN(const std::vector<hypervisor::DiskTop> tops, parts.hypervisor.disk_tops(vm));
    const auto real = std::ranges::find(tops, id, &hypervisor::DiskTop::volume);
    if (real == tops.end() || real->chain_top_first.empty()) return {};
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(const std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", id.text()}}));
                   if (!volume || !volume->top_layer_uuid) return std::vector<Layer>{};
                   TRY_ASSIGN(const std::vector<Layer> layers, layers_below(transaction, *volume->top_layer_uuid));
                   if (layers.front().path != real->place.path) return std::vector<Layer>{};  // it is a cut that the rows do not know yet
                   if (real->chain_top_first.size() == 1) return put_top_on(transaction, layers.front(), std::nullopt);
                   const auto base = std::ranges::find(layers, real->chain_top_first[1].path, &Layer::path);
                   if (base == layers.end()) return std::vector<Layer>{};
                   return put_top_on(transaction, layers.front(), base->uuid);
               }));
    return remove_layers(parts, doomed);
}

// A QEMU that ends while it copies may have named the base in the top's header already, with part of the copy still in its memory: the layers
// between are needed, as the rows have it.
Result<void> name_parent_of_rows(Parts& parts, const VolumeId& id, const VmId& vm) {
    const Patience patience = Patience::at_most(kSilence);
    const Result<hypervisor::DomainState> state = parts.hypervisor.state(vm);
    if (!state.has_value() && state.error().code == ErrorCode::timeout) return {};  // silent, so it has not ended
    TRY(state);
    if (*state != hypervisor::DomainState::shut_off) return {};
    TRY_ASSIGN(const std::vector<storage::Place> chain,
               store::read(parts.database(), [&](Transaction& transaction) -> Result<std::vector<storage::Place>> {
                   TRY_ASSIGN(const std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", id.text()}}));
                   if (!volume || !volume->top_layer_uuid) return std::vector<storage::Place>{};
                   return chain_of(transaction, *volume->top_layer_uuid);
               }));
    if (chain.empty() || chain.front().format != DiskFormat::qcow2) return {};
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(chain.front().root));
    return storage->set_backing(chain.front().path, chain.size() > 1 ? std::optional(chain[1]) : std::nullopt);
}

Result<void> shorten_online(Parts& parts, const Chain& chain, const ShortenOrder& order, const ShortenPace& pace) {
    hypervisor::ShortenSpec spec{chain.volume.uuid, std::nullopt, pace.bytes_per_second_max};
    if (chain.base) spec.base = chain.places[*chain.base];
    TRY(parts.hypervisor.shorten_disk(*chain.volume.vm_instance_uuid, spec, pace.observer, pace.stop));
    return adopt_shorter_chain(parts, chain, order);
}

// --- a VM that is off, or none: a new top beside the old

Result<void> reserve_merged(Parts& parts, const Layer& merged) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<Layer> present, store::find<Layer>(transaction, {{"uuid", merged.uuid.text()}}));
        if (present) return {};
        return store::insert(transaction, merged);
    });
}

Result<void> write_merged(Parts& parts, const Chain& chain, const Layer& merged, const ShortenPace& pace) {
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(chain.places.front().root));
    if (!chain.base) return storage->full_copy(chain.places, merged.path, merged.size, storage::Provisioning::thin, pace.observer, pace.stop);
    storage::MergeSpec spec;
    spec.upper_top_first.assign(chain.places.begin(), chain.places.begin() + static_cast<std::ptrdiff_t>(*chain.base));
    spec.base = chain.places[*chain.base];
    spec.path = merged.path;
    spec.size_bytes = merged.size;
    spec.bytes_per_second_max = pace.bytes_per_second_max;
    return storage->merge_layers(spec, pace.observer, pace.stop);
}

Result<void> adopt_merged(Parts& parts, const Chain& chain, const Layer& merged) {
    crash_point("merged-before-rows");
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, chain.volume.uuid.text()));
                   if (volume.top_layer_uuid != chain.layers.front().uuid)
                       return fail(ErrorCode::wrong_state, "the volume changed while its layers were being merged; try again");
                   volume.top_layer_uuid = merged.uuid;
                   volume.install_path = chain.places.front().root + "/" + merged.path;
                   TRY(store::update(transaction, volume));
                   return doom_chain(transaction, chain.layers.front().uuid);
               }));
    crash_point("merged");
    return remove_layers(parts, doomed);
}

Result<void> shorten_offline(Parts& parts, const Chain& chain, const ShortenOrder& order, const ShortenPace& pace) {
    const Layer merged = merged_layer(chain, order, parts.now());
    TRY(reserve_merged(parts, merged));
    crash_point("merge-reserved");
    TRY(write_merged(parts, chain, merged, pace));
    return adopt_merged(parts, chain, merged);
}

ShortenOrder room_order(const JobId& job, const VolumeId& volume, std::optional<LayerId> base) {
    return {volume, std::move(base), LayerId::derived(job.text(), "room/" + volume.text()), std::nullopt};
}

// A chain that takes no further layer.
struct FullChain {
    std::vector<Layer> layers;        // top first
    std::vector<std::int64_t> bytes;  // of each
    std::size_t count = 0;            // of the upper ones, that are to be made one
};

Result<std::optional<FullChain>> full_chain(Parts& parts, const VolumeId& id) {
    FullChain chain;
    TRY_ASSIGN(chain.layers, store::read(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, id.text()));
                   if (!volume.top_layer_uuid) return std::vector<Layer>{};
                   return layers_below(transaction, *volume.top_layer_uuid);
               }));
    if (chain.layers.size() < limits::kChainDepthMax) return std::optional<FullChain>{};
    TRY_ASSIGN(chain.bytes, bytes_of(parts, chain.layers));
    chain.count = layers_to_merge(chain.bytes);
    return std::optional(std::move(chain));
}

}  // namespace

std::size_t layers_to_merge(std::span<const std::int64_t> bytes_top_first) {
    const std::size_t depth = bytes_top_first.size();
    if (depth <= limits::kChainDepthMerged) return 0;
    std::size_t count = depth - limits::kChainDepthMerged + 1;
    std::int64_t above = std::accumulate(bytes_top_first.begin(), bytes_top_first.begin() + static_cast<std::ptrdiff_t>(count), std::int64_t{0});
    while (count + 1 < depth && bytes_top_first[count] <= above) above += bytes_top_first[count++];
    return count;
}

Result<std::vector<Layer>> layers_below(Transaction& transaction, const LayerId& top) {
    std::vector<Layer> layers;
    std::optional<LayerId> next = top;
    while (next) {
        if (layers.size() == limits::kChainWalkMax) return fail(ErrorCode::internal, "a volume's chain of layers is too long", "layer " + top.text());
        TRY_ASSIGN(Layer layer, store::get<Layer>(transaction, next->text()));
        next = layer.parent_uuid;
        layers.push_back(std::move(layer));
    }
    return layers;
}

Result<std::vector<std::int64_t>> bytes_of(Parts& parts, const std::vector<Layer>& layers) {
    std::vector<std::int64_t> bytes;
    for (const Layer& layer : layers) {
        TRY_ASSIGN(const storage::Place place, store::read(parts.database(), [&](Transaction& transaction) { return place_of(transaction, layer); }));
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(place.root));
        TRY_ASSIGN(const std::int64_t allocated, storage->allocated_bytes(place.path));
        bytes.push_back(allocated);
    }
    return bytes;
}

Result<void> shorten_volume(Parts& parts, const ShortenOrder& order, const ShortenPace& pace) {
    TRY_ASSIGN(const Chain chain, store::read(parts.database(), [&](Transaction& transaction) { return load_chain(transaction, order); }));
    if (chain.nothing_to_do) return {};
    TRY_ASSIGN(const bool on, is_on(parts, chain));
    TRY(require_known_top(parts, chain, on));
    return on ? shorten_online(parts, chain, order, pace) : shorten_offline(parts, chain, order, pace);
}

Result<void> undo_shorten(Parts& parts, const ShortenOrder& order) {
    struct Found {
        std::optional<Volume> volume;
        std::optional<Layer> merged;
        storage::Place place;
    };
    TRY_ASSIGN(const Found found, store::read(parts.database(), [&](Transaction& transaction) -> Result<Found> {
                   Found rows;
                   TRY_ASSIGN(rows.volume, store::find<Volume>(transaction, {{"uuid", order.volume.text()}}));
                   TRY_ASSIGN(rows.merged, store::find<Layer>(transaction, {{"uuid", order.merged.text()}}));
                   if (rows.merged) { TRY_ASSIGN(rows.place, place_of(transaction, *rows.merged)); }
                   return rows;
               }));
    if (found.volume && found.volume->vm_instance_uuid) {
        std::stop_source ended;
        ended.request_stop();
        // A VM that is off, or that never had such a disk, copies nothing. One that is silent may.
        Result<void> done = parts.hypervisor.shorten_disk(*found.volume->vm_instance_uuid, {order.volume, std::nullopt, 0}, {}, ended.get_token());
        if (!done.has_value() && done.error().code == ErrorCode::timeout) return done;
        TRY(follow_disk(parts, order.volume, *found.volume->vm_instance_uuid));
        TRY(name_parent_of_rows(parts, order.volume, *found.volume->vm_instance_uuid));
    }
    if (!found.merged || found.merged->sealed || (found.volume && found.volume->top_layer_uuid == order.merged)) return {};  // it ended well
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(found.place.root));
    TRY(storage->remove(found.place.path));
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(store::erase<Layer>(transaction, {{"uuid", order.merged.text()}}));
        return {};
    });
}

Result<bool> make_room(Parts& parts, const JobId& job, const std::vector<VolumeId>& volumes, workflow::StepContext& step) {
    bool changed = false;
    for (const VolumeId& id : volumes) {
        TRY_ASSIGN(const std::optional<FullChain> full, full_chain(parts, id));
        if (!full) continue;
        const ShortenPace pace{0, [&](storage::CopyProgress progress) { step.progress(progress.done_bytes, progress.total_bytes); }, step.stop()};
        TRY(shorten_volume(parts, room_order(job, id, full->layers[full->count].uuid), pace));
        changed = true;
    }
    return changed;
}

Result<std::int64_t> bytes_to_make_room(Parts& parts, const VolumeId& volume, bool on) {
    TRY_ASSIGN(const std::optional<FullChain> full, full_chain(parts, volume));
    if (!full) return std::int64_t{0};
    const auto top = full->bytes.begin();  // a running VM's takes over what is below it; else all of it goes into a new one
    return std::accumulate(top + (on ? 1 : 0), top + static_cast<std::ptrdiff_t>(full->count), std::int64_t{0});
}

Result<void> undo_make_room(Parts& parts, const JobId& job, const std::vector<VolumeId>& volumes) {
    for (const VolumeId& id : volumes) TRY(undo_shorten(parts, room_order(job, id, std::nullopt)));
    return {};
}

}  // namespace ramet::lifecycle
