// Reverting volumes to snapshots: of one volume, or of all volumes of a VM instance to a group, together.
//
//   base ◄─ kept (snapshot) ◄─ old top            ─►   base ◄─ kept (snapshot) ◄─ fresh overlay (the volume's)
//
// overlay: the fresh overlays are written; its undo removes them. switch: the volumes go over to them and give up their old tops, in one
// transaction, which no undo takes back: until it, nothing has happened to the volumes.
//
// A group with memory has two steps more: resume, before the switch, and links, after it (revert_memory.hpp).
#include <algorithm>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/revert_memory.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/snapshot_rows.hpp"
#include "lifecycle/snapshots.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

struct RevertPlan {
    std::string message;
    std::optional<VmId> vm;  // whose volumes; absent: a detached volume
    std::vector<api::SnapshotResult> snapshots;
    std::optional<SnapshotGroupId> group;
    std::optional<MemoryImageId> memory;  // of the group: the VM goes on from it
};

}  // namespace ramet::lifecycle

namespace ramet {

template <> const TypeInfo& describe<lifecycle::RevertPlan>() {
    using lifecycle::RevertPlan;
    static const TypeInfo info = object<RevertPlan>(
        "RevertPlan", "The plan of a job that reverts volumes.", field<&RevertPlan::message>("message", ""), field<&RevertPlan::vm>("vm", ""),
        field<&RevertPlan::snapshots>("snapshots", ""), field<&RevertPlan::group>("group", ""), field<&RevertPlan::memory>("memory", ""));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

LayerId fresh_uuid(const JobId& job, const VolumeId& volume) { return LayerId::derived(job.text(), "revert/" + volume.text()); }

struct Fresh {
    Volume volume;
    VolumeSnapshot snapshot;
    Layer layer;
    storage::Place place, below;
};

// The fresh overlay of each volume, as its row is or will be.
Result<std::vector<Fresh>> load(Transaction& transaction, const JobId& job, const RevertPlan& plan, Timestamp now) {
    std::vector<Fresh> all;
    for (const api::SnapshotResult& entry : plan.snapshots) {
        Fresh fresh;
        TRY_ASSIGN(fresh.volume, store::get<Volume>(transaction, entry.volume_uuid.text()));
        TRY_ASSIGN(fresh.snapshot, store::get<VolumeSnapshot>(transaction, entry.snapshot_uuid.text()));
        TRY_ASSIGN(const Layer kept, store::get<Layer>(transaction, fresh.snapshot.layer_uuid.text()));
        TRY_ASSIGN(fresh.below, place_of(transaction, kept));
        fresh.layer.uuid = fresh_uuid(job, fresh.volume.uuid);
        fresh.layer.primary_storage_uuid = kept.primary_storage_uuid;
        const Layer own{.path = fresh.volume.install_path.value_or("").substr(fresh.below.root.size() + 1)};  // in the volume's directory
        fresh.layer.path = later_layer_path(own, fresh.layer.uuid);
        fresh.layer.size = fresh.volume.size;  // the kept layer may be an image, smaller than the volume
        fresh.layer.parent_uuid = kept.uuid;
        fresh.layer.volume_uuid = fresh.volume.uuid;
        fresh.layer.untouched = true;
        fresh.layer.create_date = now;
        fresh.place = {fresh.below.root, fresh.layer.path, DiskFormat::qcow2};
        all.push_back(std::move(fresh));
    }
    return all;
}

// What ZStack demands: the VM instance is Stopped, or the volume is detached. One that goes on from memory already is Starting, by this job.
Result<void> check(Transaction& transaction, const RevertPlan& plan, const JobId& job) {
    if (plan.vm) {
        TRY_ASSIGN(const VmInstance vm, store::get<VmInstance>(transaction, plan.vm->text()));
        const bool goes_on = plan.memory && vm.owner_job_uuid == job;
        TRY(require_state(ErrorCode::operation_failed, vm, plan.message, {goes_on ? VmState::starting : VmState::stopped}, job));
    }
    if (plan.group) {
        TRY_ASSIGN(const std::optional<std::string> obstacle, group_obstacle(transaction, *plan.group));
        if (obstacle) return fail(ErrorCode::operation_failed, "the VM instance cannot be reverted to this group: " + *obstacle);
    }
    for (const api::SnapshotResult& entry : plan.snapshots) {
        TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, entry.volume_uuid.text()));
        if (volume.vm_instance_uuid != plan.vm)
            return fail(ErrorCode::operation_failed, "volume '" + volume.name + "' was attached or detached meanwhile; call it again");
        if (volume.status != VolumeStatus::ready || !volume.top_layer_uuid) {
            return fail(ErrorCode::operation_failed,
                        "volume '" + volume.name + "' is " + std::string(name_of(volume.status)) + "; it must be Ready to be reverted");
        }
    }
    return {};
}

Result<void> write_overlays(Parts& parts, const JobId& job, const RevertPlan& plan) {
    TRY_ASSIGN(const std::vector<Fresh> all, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Fresh>> {
                   TRY(check(transaction, plan, job));
                   TRY_ASSIGN(std::vector<Fresh> fresh, load(transaction, job, plan, parts.now()));
                   for (const Fresh& one : fresh) {
                       TRY_ASSIGN(const std::int64_t present, store::count<Layer>(transaction, {{"uuid", one.layer.uuid.text()}}));
                       if (present == 0) TRY(store::insert(transaction, one.layer));
                   }
                   return fresh;
               }));
    for (const Fresh& one : all) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(one.place.root));
        TRY(storage->create_overlay(one.place.path, one.below, one.layer.size));
        crash_point("revert-overlay-written");
    }
    return {};
}

// No process has them open.
Result<void> empty_overlays(Parts& parts, const JobId& job, const RevertPlan& plan) {
    TRY_ASSIGN(const std::vector<Fresh> all,
               store::read(parts.database(), [&](Transaction& transaction) { return load(transaction, job, plan, parts.now()); }));
    for (const Fresh& one : all) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(one.place.root));
        TRY(storage->remove(one.place.path));
        TRY(storage->create_overlay(one.place.path, one.below, one.layer.size));
    }
    return {};
}

Result<void> remove_overlays(Parts& parts, const JobId& job, const RevertPlan& plan) {
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   std::vector<LayerId> unused;  // one that became its volume's top has a user
                   unused.reserve(plan.snapshots.size());
                   for (const api::SnapshotResult& entry : plan.snapshots) unused.push_back(fresh_uuid(job, entry.volume_uuid));
                   return doom_chains(transaction, unused);
               }));
    discard_layers(parts, doomed);
    return {};
}

// A volume went over already: its fresh overlay is its top, or was and has been sealed since.
bool has_switched(const Fresh& fresh, const Layer& row) { return fresh.volume.top_layer_uuid == row.uuid || row.sealed; }

// Of a VM that has gone on from memory, the rows say from now on what its process has. It stays the job's until its links are up.
Result<void> note_reverted(Transaction& transaction, const JobId& job, const RevertPlan& plan, Timestamp now) {
    TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, plan.vm->text()));
    vm.revert_job_uuid = job;
    return plan.memory ? set_vm_state(transaction, std::move(vm), VmState::running, now) : store::update(transaction, vm);
}

// The point of no return: the volumes go over, and what they leave is given up, in one transaction.
Result<void> switch_volumes(Parts& parts, const JobId& job, const RevertPlan& plan) {
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   TRY_ASSIGN(std::vector<Fresh> all, load(transaction, job, plan, parts.now()));
                   TRY_ASSIGN(const Layer first, store::get<Layer>(transaction, all.front().layer.uuid.text()));
                   if (has_switched(all.front(), first)) return std::vector<Layer>{};  // this step, run again
                   TRY(check(transaction, plan, job));
                   std::vector<LayerId> left;
                   for (Fresh& fresh : all) {
                       left.push_back(*fresh.volume.top_layer_uuid);
                       fresh.volume.top_layer_uuid = fresh.layer.uuid;
                       fresh.volume.install_path = fresh.place.root + "/" + fresh.place.path;
                       fresh.volume.last_op_date = parts.now();
                       TRY(store::update(transaction, fresh.volume));
                       TRY(make_latest(transaction, fresh.snapshot, parts.now()));
                   }
                   if (plan.vm) TRY(note_reverted(transaction, job, plan, parts.now()));
                   return doom_chains(transaction, left);
               }));
    crash_point("reverted");
    discard_layers(parts, doomed);
    return {};
}

MemoryRevert memory_revert(Parts& parts, const JobId& job, const RevertPlan& plan, const std::vector<std::string>& locks) {
    MemoryRevert wanted{*plan.vm, *plan.memory, *plan.group, locks, {{}, job}, [&parts, job, plan] { return empty_overlays(parts, job, plan); }};
    for (const api::SnapshotResult& entry : plan.snapshots) wanted.to.tops.emplace(entry.volume_uuid, fresh_uuid(job, entry.volume_uuid));
    return wanted;
}

Result<Saga> revert_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const RevertPlan plan, api::from_json<RevertPlan>(job.plan));
    std::vector<std::string> locks;
    if (plan.vm) locks.push_back(plan.vm->text());
    for (const api::SnapshotResult& entry : plan.snapshots) {
        locks.push_back(entry.volume_uuid.text());
        locks.push_back(entry.snapshot_uuid.text());
    }
    const JobId id = job.uuid;
    Saga saga(job.kind, id);
    saga.add<Action>(
        "overlay", locks, [&parts, id, plan](StepContext&) { return write_overlays(parts, id, plan); },
        [&parts, id, plan](StepContext&) { return remove_overlays(parts, id, plan); });
    if (plan.memory) {
        saga.add<Action>(
            "keep-firmware", locks, [&parts, id, plan](StepContext&) { return put_firmware_aside(parts, *plan.vm, id); },
            [&parts, id](StepContext&) { return forget_firmware_aside(parts, id); });
        saga.add<ResumeReverted>(parts, memory_revert(parts, id, plan, locks));
    }
    saga.add<Action>("switch", locks, [&parts, id, plan](StepContext&) { return switch_volumes(parts, id, plan); }, nullptr);
    if (plan.memory) saga.add<Action>("links", locks, [&parts, id, plan](StepContext&) { return open_links(parts, *plan.vm, id); }, nullptr);
    saga.report([plan](const StepContext& context, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
        const std::string detail = plan.memory ? "{\"guest\":" + context.output_of("resume") + "}" : "";
        return workflow::Report{results_body(plan.group ? ResultsForm::group : ResultsForm::none, plan.snapshots), detail};
    });
    return saga;
}

Result<JobId> submit_revert(Parts& parts, const Request& request, const RevertPlan& plan, const std::string& target) {
    return submit(parts, request, {"revert-snapshots", plan.message, target, api::to_json(plan, api::Audience::storage)},
                  [&](Transaction& transaction, Job&) { return check(transaction, plan, request.job); });
}

}  // namespace

void register_revert_saga(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("revert-snapshots", [&parts](const Job& job) { return revert_saga(parts, job); });
}

Result<JobId> revert_volume(Parts& parts, const Request& request, const api::RevertVolumeFromSnapshot& message) {
    RevertPlan plan{"RevertVolumeFromSnapshot", {}, {}, {}, {}};
    TRY(store::read(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const VolumeSnapshot snapshot, store::get<VolumeSnapshot>(transaction, message.uuid.text()));
        TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, snapshot.volume_uuid.text()));
        plan.vm = volume.vm_instance_uuid;
        plan.snapshots = {{snapshot.uuid, volume.uuid, true, {}}};  // a read may run again
        return true;
    }));
    const std::string target = plan.vm ? plan.vm->text() : plan.snapshots.front().volume_uuid.text();
    return submit_revert(parts, request, plan, target);
}

Result<JobId> revert_vm(Parts& parts, const Request& request, const api::RevertVmFromSnapshotGroup& message) {
    RevertPlan plan{"RevertVmFromSnapshotGroup", {}, {}, message.uuid, {}};
    TRY(store::read(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const VolumeSnapshotGroup group, store::get<VolumeSnapshotGroup>(transaction, message.uuid.text()));
        plan.vm = group.vm_instance_uuid;
        plan.memory = group.memory_image_uuid;
        TRY_ASSIGN(const std::vector<VolumeSnapshot> snapshots, store::list<VolumeSnapshot>(transaction, {{"groupUuid", message.uuid.text()}}));
        plan.snapshots.clear();
        for (const VolumeSnapshot& snapshot : snapshots) plan.snapshots.push_back({snapshot.uuid, snapshot.volume_uuid, true, {}});
        return true;
    }));
    if (plan.memory) {
        TRY_ASSIGN(const std::optional<std::string> obstacle, memory_obstacle(parts, message.uuid));
        if (obstacle) return fail(ErrorCode::operation_failed, "the VM instance cannot go on from the memory of this group: " + *obstacle);
    }
    return submit_revert(parts, request, plan, plan.vm->text());
}

}  // namespace ramet::lifecycle
