#include "lifecycle/snapshots.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "lifecycle/cut.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/memory_cut.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/revert_memory.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/snapshot_rows.hpp"
#include "resources/tag_patterns.hpp"
#include "resources/use_case.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

struct PlannedSnapshot {
    SnapshotId snapshot;
    VolumeId volume;
};

// The plan of a job that takes snapshots: one of a volume, or a group's.
struct TakePlan {
    std::string message;
    std::optional<VmId> vm;
    std::optional<SnapshotGroupId> group;
    std::vector<PlannedSnapshot> snapshots;  // the root volume's first
    std::string name;
    std::optional<std::string> description;
    std::vector<std::string> system_tags, user_tags;  // of the group, or of the one snapshot
    bool admin = false;                               // asked by an administrator: some tags are for these only
    bool memory = false;                              // of a group: with the VM's memory of the same instant
};

struct DeletePlan {
    std::vector<api::SnapshotResult> snapshots;  // what is to be deleted, as it will be reported
    ResultsForm form = ResultsForm::none;
};

}  // namespace ramet::lifecycle

namespace ramet {

template <> const TypeInfo& describe<lifecycle::PlannedSnapshot>() {
    using lifecycle::PlannedSnapshot;
    static const TypeInfo info = object<PlannedSnapshot>("PlannedSnapshot", "", field<&PlannedSnapshot::snapshot>("snapshot", ""),
                                                         field<&PlannedSnapshot::volume>("volume", ""));
    return info;
}
template <> const TypeInfo& describe<lifecycle::TakePlan>() {
    using lifecycle::TakePlan;
    static const TypeInfo info = object<TakePlan>(
        "TakePlan", "The plan of a job that takes snapshots.", field<&TakePlan::message>("message", ""), field<&TakePlan::vm>("vm", ""),
        field<&TakePlan::group>("group", ""), field<&TakePlan::snapshots>("snapshots", ""), field<&TakePlan::name>("name", ""),
        field<&TakePlan::description>("description", ""), field<&TakePlan::system_tags>("systemTags", ""),
        field<&TakePlan::user_tags>("userTags", ""), field<&TakePlan::admin>("admin", ""), field<&TakePlan::memory>("memory", ""));
    return info;
}
template <> const TypeInfo& describe<lifecycle::DeletePlan>() {
    using lifecycle::DeletePlan;
    static const TypeInfo info = object<DeletePlan>("DeletePlan", "The plan of a job that deletes snapshots.",
                                                    field<&DeletePlan::snapshots>("snapshots", ""), field<&DeletePlan::form>("form", ""));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

// --- take

CutOrder order_of(const JobId& job, const TakePlan& plan) {
    CutOrder order{job, plan.message, plan.vm, {}, plan.group.has_value()};
    for (const PlannedSnapshot& planned : plan.snapshots) order.volumes.push_back(planned.volume);
    return order;
}

Result<void> add_group(Transaction& transaction, const JobId& job, const TakePlan& plan, Timestamp now) {
    VolumeSnapshotGroup group;
    group.uuid = *plan.group;
    group.snapshot_count = std::ssize(plan.snapshots);
    group.name = plan.name;
    group.description = plan.description;
    group.vm_instance_uuid = *plan.vm;
    group.create_date = group.last_op_date = now;
    if (plan.memory) {
        group.memory_image_uuid = memory_image_uuid(job);
        TRY_ASSIGN(const VmRows rows, load_vm(transaction, *plan.vm));
        TRY_ASSIGN(group.machine, machine_as_kept(transaction, rows));
    }
    TRY(store::insert(transaction, group));
    TRY_ASSIGN(const AccountId owner, owner_of(transaction, plan.vm->text()));
    return identity::own(transaction, {owner, {}, false}, group.uuid.text(), "VolumeSnapshotGroupVO");
}

Result<void> add_group_ref(Transaction& transaction, const TakePlan& plan, const PlannedSnapshot& planned, Timestamp now) {
    TRY_ASSIGN(const VolumeSnapshot snapshot, store::get<VolumeSnapshot>(transaction, planned.snapshot.text()));
    TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, planned.volume.text()));
    VolumeSnapshotGroupRef ref;
    ref.volume_snapshot_uuid = snapshot.uuid;
    ref.volume_snapshot_group_uuid = *plan.group;
    ref.device_id = volume.device_id.value_or(0);
    ref.volume_uuid = volume.uuid;
    ref.volume_name = volume.name;
    ref.volume_type = volume.type;
    ref.volume_snapshot_install_path = snapshot.primary_storage_install_path;
    ref.volume_snapshot_name = snapshot.name;
    ref.volume_last_attach_date = volume.last_attach_date;
    ref.create_date = ref.last_op_date = now;
    return store::insert(transaction, ref);
}

// Part of the transaction in which the rows follow the disks. All or nothing, so one snapshot that is there says that all are.
Result<void> keep(Transaction& transaction, const JobId& job, const TakePlan& plan, const SealedLayers& sealed, Timestamp now) {
    TRY_ASSIGN(const std::int64_t present, store::count<VolumeSnapshot>(transaction, {{"uuid", plan.snapshots.front().snapshot.text()}}));
    if (present > 0) return {};
    if (plan.group) TRY(add_group(transaction, job, plan, now));
    for (std::size_t i = 0; i < plan.snapshots.size(); ++i) {
        const PlannedSnapshot& planned = plan.snapshots[i];
        const SnapshotTreeId tree = SnapshotTreeId::derived(job.text(), "tree/" + planned.volume.text());
        TRY(add_snapshot(transaction, {planned.snapshot, plan.name, plan.description, planned.volume, sealed[i], tree, plan.group}, now));
        if (plan.group) TRY(add_group_ref(transaction, plan, planned, now));
    }
    const std::string& tagged = plan.group ? plan.group->text() : plan.snapshots.front().snapshot.text();
    const std::string_view vo_type = plan.group ? "VolumeSnapshotGroupVO" : "VolumeSnapshotVO";
    TRY(resources::add_system_tags(transaction, vo_type, tagged, plan.system_tags, now, "systemTags", plan.admin));
    return resources::add_user_tags(transaction, vo_type, tagged, plan.user_tags, now, "userTags");
}

// What a layer takes is asked of its storage, and that is no matter for a transaction.
Result<void> note_sizes(Parts& parts, const TakePlan& plan) {
    for (const PlannedSnapshot& planned : plan.snapshots) {
        TRY_ASSIGN(const storage::Place place, store::read(parts.database(), [&](Transaction& transaction) -> Result<storage::Place> {
                       TRY_ASSIGN(const VolumeSnapshot snapshot, store::get<VolumeSnapshot>(transaction, planned.snapshot.text()));
                       TRY_ASSIGN(const Layer layer, store::get<Layer>(transaction, snapshot.layer_uuid.text()));
                       return place_of(transaction, layer);
                   }));
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(place.root));
        TRY_ASSIGN(const std::int64_t allocated, storage->allocated_bytes(place.path));
        TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(std::optional<VolumeSnapshot> snapshot, store::find<VolumeSnapshot>(transaction, {{"uuid", planned.snapshot.text()}}));
            if (!snapshot) return {};
            snapshot->size = allocated;
            return store::update(transaction, *snapshot);
        }));
    }
    return {};
}

// Removes snapshots with the layers that nothing needs then; those that are gone already are no matter.
Result<void> delete_snapshots(Parts& parts, const std::vector<SnapshotId>& uuids) {
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   std::vector<LayerId> freed;
                   for (const SnapshotId& uuid : uuids) {
                       TRY_ASSIGN(const std::optional<VolumeSnapshot> snapshot, store::find<VolumeSnapshot>(transaction, {{"uuid", uuid.text()}}));
                       if (!snapshot) continue;
                       TRY(remove_snapshot(transaction, *snapshot, parts.now()));
                       freed.push_back(snapshot->layer_uuid);
                   }
                   return doom_chains(transaction, freed);
               }));
    crash_point("snapshots-deleted");
    discard_layers(parts, doomed);
    discard_memory_images(parts);
    return {};
}

class TakeSnapshots final : public workflow::Step {
public:
    TakeSnapshots(Parts& parts, const JobId& job, TakePlan plan)
        : parts_(parts),
          job_(job),
          plan_(std::move(plan)),
          cut_(parts, order_of(job, plan_)) {}
    std::string_view name() const override { return "take-snapshots"; }
    Result<workflow::Output> run(StepContext& step) override {
        const auto kept = [this](Transaction& transaction, const SealedLayers& sealed) {
            return keep(transaction, job_, plan_, sealed, parts_.now());
        };
        CutOrder order = order_of(job_, plan_);
        if (plan_.memory) {
            order.take = [&](const std::vector<hypervisor::OverlaySpec>& overlays, CutFacts& facts) {
                return take_memory(parts_, MemoryCut{job_, *plan_.vm, true}, overlays, facts, step.stop());
            };
        }
        TRY_ASSIGN(const CutFacts facts, Cut(parts_, std::move(order)).run(kept, step));
        TRY(note_sizes(parts_, plan_));
        if (plan_.memory) TRY(disown_memory_image(parts_, job_));  // from now on it is the group's
        return api::to_json(facts, api::Audience::storage);
    }
    Result<void> undo(StepContext&) override {
        std::vector<SnapshotId> taken;
        taken.reserve(plan_.snapshots.size());
        for (const PlannedSnapshot& planned : plan_.snapshots) taken.push_back(planned.snapshot);
        TRY(delete_snapshots(parts_, taken));
        if (plan_.memory) TRY(disown_memory_image(parts_, job_));
        return cut_.undo();
    }
    std::vector<std::string> locks() const override { return cut_.locks(); }

private:
    Parts& parts_;
    JobId job_;
    TakePlan plan_;
    Cut cut_;
};

Result<Saga> take_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const TakePlan plan, api::from_json<TakePlan>(job.plan));
    Saga saga(job.kind, job.uuid);
    saga.add<TakeSnapshots>(parts, job.uuid, plan);
    saga.report([&parts, plan](const StepContext& context, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
        const std::string detail = "{\"capture\":" + context.output_of("take-snapshots") + "}";
        if (plan.group) {
            TRY_ASSIGN(std::string body, parts.shared.inventory.reply<VolumeSnapshotGroup>(plan.group->text()));
            return workflow::Report{std::move(body), detail};
        }
        TRY_ASSIGN(std::string body, parts.shared.inventory.reply<VolumeSnapshot>(plan.snapshots.front().snapshot.text()));
        return workflow::Report{std::move(body), detail};
    });
    return saga;
}

// Checked before the job is made, and again by the cut.
Result<void> check_volume(Transaction& transaction, const Volume& volume, std::string_view message, const JobId& job) {
    TRY(require_cuttable(volume));
    if (volume.vm_instance_uuid) {
        TRY_ASSIGN(const VmInstance vm, store::get<VmInstance>(transaction, volume.vm_instance_uuid->text()));
        TRY(require_state(ErrorCode::operation_failed, vm, message, {VmState::running, VmState::paused, VmState::stopped}, job));
    }
    return may_take_snapshot(transaction, volume.uuid);
}

Result<JobId> submit_take(Parts& parts, const Request& request, const TakePlan& plan) {
    const std::string& target = plan.vm ? plan.vm->text() : plan.snapshots.front().volume.text();
    const std::string& made = plan.group ? plan.group->text() : plan.snapshots.front().snapshot.text();
    const std::string_view vo_type = plan.group ? "VolumeSnapshotGroupVO" : "VolumeSnapshotVO";
    for (const std::string& tag : plan.system_tags) TRY(resources::check_system_tag(vo_type, tag, "systemTags", request.caller.admin));
    return submit(parts, request, {"take-snapshots", plan.message, target, api::to_json(plan, api::Audience::storage)},
                  [&](Transaction& transaction, Job&) -> Result<void> {
                      TRY(resources::require_free_uuid(transaction, made));
                      if (plan.memory) {
                          TRY_ASSIGN(const VmInstance vm, store::get<VmInstance>(transaction, plan.vm->text()));
                          TRY(require_memory(vm, "withMemory"));
                      }
                      for (const PlannedSnapshot& planned : plan.snapshots) {
                          TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, planned.volume.text()));
                          TRY(check_volume(transaction, volume, plan.message, request.job));
                      }
                      return {};
                  });
}

// --- delete

Result<Saga> delete_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const DeletePlan plan, api::from_json<DeletePlan>(job.plan));
    std::vector<SnapshotId> uuids;
    std::vector<std::string> locks;
    for (const api::SnapshotResult& entry : plan.snapshots) {
        uuids.push_back(entry.snapshot_uuid);
        locks.push_back(entry.snapshot_uuid.text());
    }
    Saga saga(job.kind, job.uuid);
    // No undo: one transaction that is done or not; what follows it is the removal of files.
    saga.add<Action>("delete-snapshots", std::move(locks), [&parts, uuids](StepContext&) { return delete_snapshots(parts, uuids); }, nullptr);
    saga.report([plan](const StepContext&, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
        return workflow::Report{results_body(plan.form, plan.snapshots), {}};
    });
    return saga;
}

Result<JobId> submit_delete(Parts& parts, const Request& request, const std::string& message, const std::string& target,
                            const std::vector<VolumeSnapshot>& snapshots, ResultsForm form) {
    DeletePlan plan{{}, form};
    for (const VolumeSnapshot& snapshot : snapshots) plan.snapshots.push_back({snapshot.uuid, snapshot.volume_uuid, true, {}});
    return submit(parts, request, {"delete-snapshots", message, target, api::to_json(plan, api::Audience::storage)});
}

}  // namespace

std::string results_body(ResultsForm form, const std::vector<api::SnapshotResult>& results) {
    if (form == ResultsForm::none) return "{}";
    std::string body = api::to_json(api::SnapshotResults{results});
    if (form == ResultsForm::batch) body.insert(body.size() - 1, ",\"success\":true");
    return body;
}

void register_snapshot_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("take-snapshots", [&parts](const Job& job) { return take_saga(parts, job); });
    engine.add_kind("delete-snapshots", [&parts](const Job& job) { return delete_saga(parts, job); });
}

Result<JobId> create_volume_snapshot(Parts& parts, const Request& request, const api::CreateVolumeSnapshot& message) {
    TRY_ASSIGN(const Volume volume,
               store::read(parts.database(), [&](Transaction& transaction) { return store::get<Volume>(transaction, message.volume_uuid.text()); }));
    TRY_ASSIGN(const SnapshotId uuid, resources::id_or_derived(message.resource_uuid, request.job, "snapshot/" + volume.uuid.text()));
    return submit_take(parts, request,
                       {"CreateVolumeSnapshot",
                        volume.vm_instance_uuid,
                        std::nullopt,
                        {{uuid, volume.uuid}},
                        message.name,
                        message.description,
                        message.system_tags,
                        message.user_tags,
                        request.caller.admin});
}

Result<JobId> create_snapshot_group(Parts& parts, const Request& request, const api::CreateVolumeSnapshotGroup& message) {
    TakePlan plan{
        "CreateVolumeSnapshotGroup", {}, {}, {}, message.name, message.description, message.system_tags, message.user_tags, request.caller.admin,
        message.with_memory};
    TRY_ASSIGN(plan.group, resources::id_or_derived(message.resource_uuid, request.job, "snapshot-group"));
    TRY(store::read(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const Volume root, store::get<Volume>(transaction, message.root_volume_uuid.text()));
        if (root.type != VolumeType::root || !root.vm_instance_uuid) {
            return fail(ErrorCode::invalid_argument,
                        "rootVolumeUuid names no root volume of a VM instance; use CreateVolumeSnapshot for this volume");
        }
        plan.vm = root.vm_instance_uuid;
        TRY_ASSIGN(const VmRows rows, load_vm(transaction, *plan.vm));
        plan.snapshots.clear();  // a read may run again
        for (const Volume& volume : rows.volumes)
            plan.snapshots.push_back({SnapshotId::derived(request.job.text(), "snapshot/" + volume.uuid.text()), volume.uuid});
        return true;
    }));
    return submit_take(parts, request, plan);
}

Result<std::optional<JobId>> delete_volume_snapshot(Parts& parts, const Request& request, const api::DeleteVolumeSnapshot& message) {
    TRY_ASSIGN(const std::optional<VolumeSnapshot> snapshot, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::find<VolumeSnapshot>(transaction, {{"uuid", message.uuid.text()}});
               }));
    if (!snapshot) return std::optional<JobId>{};
    TRY_ASSIGN(JobId job, submit_delete(parts, request, "DeleteVolumeSnapshot", message.uuid.text(), {*snapshot}, ResultsForm::none));
    return std::optional<JobId>{std::move(job)};
}

Result<std::optional<JobId>> delete_snapshot_group(Parts& parts, const Request& request, const api::DeleteVolumeSnapshotGroup& message) {
    TRY_ASSIGN(const std::vector<VolumeSnapshot> snapshots, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::list<VolumeSnapshot>(transaction, {{"groupUuid", message.uuid.text()}});
               }));
    if (snapshots.empty()) return std::optional<JobId>{};  // a group without snapshots does not exist
    TRY_ASSIGN(JobId job, submit_delete(parts, request, "DeleteVolumeSnapshotGroup", message.uuid.text(), snapshots, ResultsForm::group));
    return std::optional<JobId>{std::move(job)};
}

Result<JobId> delete_volume_snapshots(Parts& parts, const Request& request, const api::BatchDeleteVolumeSnapshot& message) {
    TRY_ASSIGN(const std::vector<VolumeSnapshot> snapshots,
               store::read(parts.database(), [&](Transaction& transaction) -> Result<std::vector<VolumeSnapshot>> {
                   std::vector<VolumeSnapshot> found;
                   for (std::size_t i = 0; i < message.uuids.size(); ++i) {
                       const std::string field = fmt::format("uuids[{}]", i);
                       TRY(identity::may_operate(transaction, request.caller, message.uuids[i].text(), "VolumeSnapshotVO", field));
                       if (std::ranges::find(found, message.uuids[i], &VolumeSnapshot::uuid) != found.end()) continue;
                       TRY_ASSIGN(VolumeSnapshot snapshot, store::get<VolumeSnapshot>(transaction, message.uuids[i].text()));
                       found.push_back(std::move(snapshot));
                   }
                   return found;
               }));
    return submit_delete(parts, request, "BatchDeleteVolumeSnapshot", snapshots.front().uuid.text(), snapshots, ResultsForm::batch);
}

Result<std::string> update_volume_snapshot(Parts& parts, const api::UpdateVolumeSnapshot& message) {
    return resources::rename<VolumeSnapshot>(parts.shared, message);
}

Result<std::string> update_snapshot_group(Parts& parts, const api::UpdateVolumeSnapshotGroup& message) {
    return resources::rename<VolumeSnapshotGroup>(parts.shared, message);
}

Result<std::string> ungroup_snapshots(Parts& parts, const api::UngroupVolumeSnapshotGroup& message) {
    TRY(parts.database().write([&](Transaction& transaction) { return dissolve_group(transaction, message.uuid); }));
    discard_memory_images(parts);
    return "{}";
}

Result<std::string> check_group_availability(Parts& parts, const api::CheckVolumeSnapshotGroupAvailability& message) {
    std::string entries;
    for (const SnapshotGroupId& uuid : message.uuids) {
        TRY_ASSIGN(std::optional<std::string> obstacle,
                   store::read(parts.database(), [&](Transaction& transaction) { return group_obstacle(transaction, uuid); }));
        if (!obstacle) { TRY_ASSIGN(obstacle, memory_obstacle(parts, uuid)); }
        const bool available = !obstacle;
        entries += (entries.empty() ? "" : ",") + api::to_json(api::VolumeSnapshotGroupAvailability{uuid, available, std::move(obstacle)});
    }
    return "{\"results\":[" + entries + "]}";
}

}  // namespace ramet::lifecycle
