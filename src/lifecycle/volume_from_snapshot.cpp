#include "lifecycle/volume_from_snapshot.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/new_disks.hpp"
#include "lifecycle/room.hpp"
#include "lifecycle/volumes.hpp"
#include "placement/placement.hpp"
#include "resources/tag_patterns.hpp"
#include "resources/use_case.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

struct VolumeFromSnapshotPlan {
    VolumeId volume;
    LayerMode mode = LayerMode::overlay;
    bool thick = false;
};

}  // namespace ramet::lifecycle

namespace ramet {

template <> const TypeInfo& describe<lifecycle::VolumeFromSnapshotPlan>() {
    using lifecycle::VolumeFromSnapshotPlan;
    static const TypeInfo info = object<VolumeFromSnapshotPlan>(
        "VolumeFromSnapshotPlan", "The plan of a job that makes a volume.", field<&VolumeFromSnapshotPlan::volume>("volume", ""),
        field<&VolumeFromSnapshotPlan::mode>("mode", ""), field<&VolumeFromSnapshotPlan::thick>("thick", ""));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::StepContext;

namespace {

// Two kinds, for their pace alone, as of CreateVmInstance.
constexpr std::string_view kLinkedVolume = "volume-from-snapshot";
constexpr std::string_view kCopiedVolume = "volume-from-snapshot-by-copy";

VolumeRecipe recipe_of(const VolumeFromSnapshotPlan& plan) {
    return {plan.volume, LayerId::derived(plan.volume.text(), "layer/0"), plan.mode, plan.thick, nullptr};
}

Result<void> make_volume(Parts& parts, const VolumeFromSnapshotPlan& plan, StepContext& step) {
    const VolumeRecipe recipe = recipe_of(plan);
    TRY(write_first_layer(parts, recipe, step, [&](storage::CopyProgress progress) { step.progress(progress.done_bytes, progress.total_bytes); }));
    crash_point("layer-written");
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(const std::optional<LayerId> freed, settle_volume(transaction, recipe, parts.now()));
                   return freed ? doom_chain(transaction, *freed) : std::vector<Layer>{};
               }));
    discard_layers(parts, doomed);
    return {};
}

Result<workflow::Saga> volume_from_snapshot_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const VolumeFromSnapshotPlan plan, api::from_json<VolumeFromSnapshotPlan>(job.plan));
    workflow::Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "materialize", std::vector<std::string>{plan.volume.text()}, [&parts, plan](StepContext& step) { return make_volume(parts, plan, step); },
        [&parts, plan](StepContext&) { return demolish_volume(parts, plan.volume); });
    saga.abandon([&parts, plan](const Error&) { return demolish_volume(parts, plan.volume); });
    saga.report(inventory_report<Volume>(parts, plan.volume.text()));
    return saga;
}

struct KeptVolume {
    VolumeSnapshot snapshot;
    std::int64_t size = 0;  // of the volume; the kept layer may be an image, which is smaller
    PrimaryStorage target;
};

Result<KeptVolume> load_kept(Transaction& transaction, const api::CreateDataVolumeFromVolumeSnapshot& message) {
    KeptVolume kept;
    TRY_ASSIGN(kept.snapshot, store::get<VolumeSnapshot>(transaction, message.volume_snapshot_uuid.text()));
    TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, kept.snapshot.volume_uuid.text()));
    kept.size = volume.size;
    const PrimaryStorageId wanted = message.primary_storage_uuid.value_or(kept.snapshot.primary_storage_uuid);
    TRY_ASSIGN(kept.target, store::get<PrimaryStorage>(transaction, wanted.text()));
    return kept;
}

Result<void> reserve_volume(Transaction& transaction, const Request& request, const api::CreateDataVolumeFromVolumeSnapshot& message,
                            const KeptVolume& kept, const VolumeFromSnapshotPlan& plan, Timestamp now) {
    TRY(require_layer(transaction, kept.snapshot.layer_uuid));
    Volume volume;
    volume.uuid = plan.volume;
    volume.name = message.name;
    volume.description = message.description;
    volume.type = VolumeType::data;
    volume.size = kept.size;
    if (plan.mode == LayerMode::copy) volume.actual_size = kept.size;
    volume.create_date = volume.last_op_date = now;
    Layer layer = first_layer(volume, kept.target, request.caller.account, kept.snapshot.layer_uuid, now);
    layer.untouched = plan.mode == LayerMode::overlay;
    TRY(resources::insert_owned(transaction, request.caller, volume, message.system_tags, message.user_tags, now));
    return store::insert(transaction, layer);
}

}  // namespace

void register_volume_from_snapshot_sagas(workflow::Engine& engine, Parts& parts) {
    const auto saga = [&parts](const Job& job) { return volume_from_snapshot_saga(parts, job); };
    engine.add_kind(std::string(kLinkedVolume), saga);
    engine.add_kind(std::string(kCopiedVolume), saga, workflow::Pace::slow);
}

Result<JobId> create_volume_from_snapshot(Parts& parts, const Request& request, const api::CreateDataVolumeFromVolumeSnapshot& message) {
    for (const std::string& tag : message.system_tags) TRY(resources::check_system_tag("VolumeVO", tag, "systemTags", request.caller.admin));
    VolumeFromSnapshotPlan plan;
    TRY_ASSIGN(plan.volume, resources::id_or_derived(message.resource_uuid, request.job, "volume"));
    TRY_ASSIGN(plan.thick, wants_thick(message.system_tags, "systemTags"));
    TRY_ASSIGN(const KeptVolume kept, store::read(parts.database(), [&](Transaction& transaction) { return load_kept(transaction, message); }));
    plan.mode = mode_from_kept(kept.snapshot.primary_storage_uuid, kept.target.uuid, plan.thick);
    TRY_ASSIGN(Room room, survey_room(parts));
    if (plan.mode == LayerMode::copy) TRY(heed_promises(parts, room));
    const std::int64_t bytes = plan.mode == LayerMode::copy ? kept.size : 0;
    TRY(placement::choose_primary_storage(room.storages, std::max(bytes, storage::kOverlayFileBytes), kept.target.uuid, std::nullopt));
    const std::string_view kind = plan.mode == LayerMode::copy ? kCopiedVolume : kLinkedVolume;
    const JobOrder order{std::string(kind), "CreateDataVolumeFromVolumeSnapshot", plan.volume.text(), api::to_json(plan, api::Audience::storage)};
    return submit(parts, request, order, [&](Transaction& transaction, Job&) -> Result<void> {
        TRY(require_room(transaction, room, {{kept.target.uuid, bytes, kept.size}}));
        return reserve_volume(transaction, request, message, kept, plan, parts.now());
    });
}

}  // namespace ramet::lifecycle
