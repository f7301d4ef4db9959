#include "lifecycle/checkpoints.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "lifecycle/cut.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/memory_cut.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/snapshot_rows.hpp"
#include "resources/tag_patterns.hpp"
#include "resources/use_case.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

struct CheckpointPlan {
    CheckpointId checkpoint;
    VmId vm;
    std::vector<VolumeId> volumes;  // the root volume first
    std::string name;
    std::optional<std::string> description;
    std::vector<std::string> system_tags, user_tags;
    bool memory = false;  // with a memory image of the same instant
    bool admin = false;   // asked by an administrator: some tags are for these only
};

}  // namespace ramet::lifecycle

namespace ramet {

template <> const TypeInfo& describe<lifecycle::CheckpointPlan>() {
    using lifecycle::CheckpointPlan;
    static const TypeInfo info = object<CheckpointPlan>(
        "CheckpointPlan", "The plan of a job that makes a checkpoint.", field<&CheckpointPlan::checkpoint>("checkpoint", ""),
        field<&CheckpointPlan::vm>("vm", ""), field<&CheckpointPlan::volumes>("volumes", ""), field<&CheckpointPlan::name>("name", ""),
        field<&CheckpointPlan::description>("description", ""), field<&CheckpointPlan::system_tags>("systemTags", ""),
        field<&CheckpointPlan::user_tags>("userTags", ""), field<&CheckpointPlan::memory>("memory", ""), field<&CheckpointPlan::admin>("admin", ""));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

// --- create

Result<CheckpointVolume> kept_volume(Transaction& transaction, const CheckpointId& checkpoint, const Volume& volume, const LayerId& layer) {
    CheckpointVolume kept;
    kept.uuid = derived_uuid_text(checkpoint.text(), "volume/" + volume.uuid.text());
    kept.checkpoint_uuid = checkpoint;
    kept.volume_uuid = volume.uuid;
    kept.name = volume.name;
    kept.type = volume.type;
    kept.device_id = volume.device_id.value_or(0);
    kept.size = volume.size;
    TRY_ASSIGN(const Layer row, store::get<Layer>(transaction, layer.text()));
    kept.primary_storage_uuid = row.primary_storage_uuid;
    kept.disk_offering_uuid = volume.disk_offering_uuid;
    kept.root_image_uuid = volume.root_image_uuid;
    TRY_ASSIGN(kept.system_tags, system_tags_of(transaction, volume.uuid.text()));
    kept.layer_uuid = layer;
    return kept;
}

Result<Checkpoint> checkpoint_row(Transaction& transaction, const CheckpointPlan& plan, const VmRows& rows, Timestamp now) {
    Checkpoint checkpoint;
    checkpoint.uuid = plan.checkpoint;
    checkpoint.name = plan.name;
    checkpoint.description = plan.description;
    checkpoint.vm_instance_uuid = rows.vm.uuid;
    checkpoint.vm_instance_name = rows.vm.name;
    checkpoint.vm_instance_state = std::string(name_of(rows.vm.state));
    checkpoint.zone_uuid = rows.vm.zone_uuid;
    checkpoint.cpu_num = rows.vm.cpu_num;
    checkpoint.memory_size = rows.vm.memory_size;
    checkpoint.platform = rows.vm.platform;
    TRY_ASSIGN(checkpoint.machine, machine_as_kept(transaction, rows));
    checkpoint.create_date = checkpoint.last_op_date = now;
    return checkpoint;
}

// Part of the transaction in which the rows follow the disks. All or nothing, so the checkpoint's row says that all is there.
Result<void> keep(Transaction& transaction, const JobId& job, const CheckpointPlan& plan, const SealedLayers& sealed, Timestamp now) {
    TRY_ASSIGN(const std::int64_t present, store::count<Checkpoint>(transaction, {{"uuid", plan.checkpoint.text()}}));
    if (present > 0) return {};
    TRY_ASSIGN(const VmRows rows, load_vm(transaction, plan.vm));
    TRY_ASSIGN(Checkpoint checkpoint, checkpoint_row(transaction, plan, rows, now));
    if (plan.memory) checkpoint.memory_image_uuid = memory_image_uuid(job);
    TRY(store::insert(transaction, checkpoint));
    for (std::size_t i = 0; i < plan.volumes.size(); ++i) {
        TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, plan.volumes[i].text()));
        TRY_ASSIGN(const CheckpointVolume kept, kept_volume(transaction, plan.checkpoint, volume, sealed[i]));
        TRY(store::insert(transaction, kept));
    }
    TRY_ASSIGN(const AccountId owner, owner_of(transaction, plan.vm.text()));
    TRY(identity::own(transaction, {owner, {}, false}, plan.checkpoint.text(), "CheckpointVO"));
    TRY(resources::add_system_tags(transaction, "CheckpointVO", plan.checkpoint.text(), plan.system_tags, now, "systemTags", plan.admin));
    return resources::add_user_tags(transaction, "CheckpointVO", plan.checkpoint.text(), plan.user_tags, now, "userTags");
}

// What nothing needs any more.
struct Freed {
    std::vector<Layer> layers;
    std::optional<MemoryImage> kept_memory;  // whoever else needs it
    std::optional<MemoryImage> memory;
};

// Removes the checkpoint and what nothing needs then; one that is gone already is no matter.
Result<void> erase_checkpoint(Parts& parts, const CheckpointId& uuid) {
    TRY_ASSIGN(const Freed doomed, store::write(parts.database(), [&](Transaction& transaction) -> Result<Freed> {
                   TRY_ASSIGN(const std::optional<Checkpoint> checkpoint, store::find<Checkpoint>(transaction, {{"uuid", uuid.text()}}));
                   TRY_ASSIGN(const std::vector<CheckpointVolume> volumes,
                              store::list<CheckpointVolume>(transaction, {{"checkpointUuid", uuid.text()}}));
                   TRY(store::erase<CheckpointVolume>(transaction, {{"checkpointUuid", uuid.text()}}));
                   TRY(resources::remove_tags_of(transaction, uuid.text()));
                   TRY(identity::disown(transaction, uuid.text()));
                   TRY(store::erase<Checkpoint>(transaction, {{"uuid", uuid.text()}}));
                   std::vector<LayerId> freed;
                   freed.reserve(volumes.size());
                   for (const CheckpointVolume& volume : volumes) freed.push_back(volume.layer_uuid);
                   Freed gone;
                   TRY_ASSIGN(gone.layers, doom_chains(transaction, freed));
                   if (checkpoint && checkpoint->memory_image_uuid) {
                       TRY_ASSIGN(gone.kept_memory, store::find<MemoryImage>(transaction, {{"uuid", checkpoint->memory_image_uuid->text()}}));
                       TRY_ASSIGN(gone.memory, forsake_memory_image(transaction, *checkpoint->memory_image_uuid));
                   }
                   return gone;
               }));
    crash_point("checkpoint-deleted");
    discard_layers(parts, doomed.layers);
    if (doomed.kept_memory) parts.hypervisor.keep_ready({place_of(*doomed.kept_memory), {}, {}}, 0);
    if (doomed.memory) TRY(remove_memory_image(parts, *doomed.memory));
    return remove_firmware(parts.shared.data_dir, uuid.text());
}

class KeepVm final : public workflow::Step {
public:
    KeepVm(Parts& parts, const JobId& job, CheckpointPlan plan)
        : parts_(parts),
          job_(job),
          plan_(std::move(plan)),
          firmware_(parts, plan_.checkpoint.text(), plan_.vm, "copy") {}
    std::string_view name() const override { return "keep"; }
    Result<workflow::Output> run(StepContext& step) override {
        CutOrder order = cut_order();
        TRY_ASSIGN(const bool has_firmware, firmware_.needed());
        if (has_firmware) order.while_stopped = [this] { return firmware_.take(); };
        const MemoryCut memory{job_, plan_.vm, true, order.while_stopped};
        if (plan_.memory) {
            order.take = [&](const std::vector<hypervisor::OverlaySpec>& overlays, CutFacts& facts) {
                return take_memory(parts_, memory, overlays, facts, step.stop());
            };
        }
        const auto kept = [this](Transaction& transaction, const SealedLayers& sealed) -> Result<void> {
            return keep(transaction, job_, plan_, sealed, parts_.now());
        };
        TRY_ASSIGN(const CutFacts facts, Cut(parts_, std::move(order)).run(kept, step));
        TRY(firmware_.persist());
        TRY(disown_memory_image(parts_, job_));  // from now on it is the checkpoint's
        if (plan_.memory) TRY(keep_processes_ready(parts_));
        return api::to_json(facts, api::Audience::storage);
    }
    Result<void> undo(StepContext&) override {
        TRY(erase_checkpoint(parts_, plan_.checkpoint));
        TRY(disown_memory_image(parts_, job_));
        return Cut(parts_, cut_order()).undo();
    }
    std::vector<std::string> locks() const override { return Cut(parts_, cut_order()).locks(); }

private:
    CutOrder cut_order() const { return {job_, "CreateCheckpoint", plan_.vm, plan_.volumes, true, hypervisor::Quiesce::automatic}; }
    Parts& parts_;
    JobId job_;
    CheckpointPlan plan_;
    FirmwareCapture firmware_;
};

Result<Saga> create_checkpoint_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const CheckpointPlan plan, api::from_json<CheckpointPlan>(job.plan));
    Saga saga(job.kind, job.uuid);
    saga.add<KeepVm>(parts, job.uuid, plan);
    saga.report(
        [&parts, uuid = plan.checkpoint](const StepContext& context, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
            TRY_ASSIGN(std::string body, parts.shared.inventory.reply<Checkpoint>(uuid.text()));
            return workflow::Report{std::move(body), "{\"capture\":" + context.output_of("keep") + "}"};
        });
    return saga;
}

Result<Saga> delete_saga(Parts& parts, const Job& job) {
    const CheckpointId uuid = CheckpointId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    // No undo: one transaction that is done or not; what follows it is the removal of files.
    saga.add<Action>(
        "delete", std::vector<std::string>{uuid.text()}, [&parts, uuid](StepContext&) { return erase_checkpoint(parts, uuid); }, nullptr);
    saga.report(&empty_report);
    return saga;
}

Result<void> check_source(Transaction& transaction, const VmRows& rows, const CheckpointPlan& plan, const JobId& job) {
    TRY(require_state(ErrorCode::operation_failed, rows.vm, "CreateCheckpoint", {VmState::running, VmState::paused, VmState::stopped}, job));
    for (const Volume& volume : rows.volumes) TRY(require_cuttable(volume));
    if (plan.memory) TRY(require_memory(rows.vm, "memory"));
    TRY_ASSIGN(const std::int64_t taken, store::count<AccountResourceRef>(transaction, {{"resourceUuid", plan.checkpoint.text()}}));
    if (taken == 0) return {};
    return fail(ErrorCode::invalid_argument, "resourceUuid: '" + plan.checkpoint.text() + "' is the uuid of another resource; choose another");
}

}  // namespace

void register_checkpoint_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("create-checkpoint", [&parts](const Job& job) { return create_checkpoint_saga(parts, job); });
    engine.add_kind("delete-checkpoint", [&parts](const Job& job) { return delete_saga(parts, job); });
}

Result<JobId> create_checkpoint(Parts& parts, const Request& request, const api::CreateCheckpoint& message) {
    CheckpointPlan plan{{},
                        message.vm_instance_uuid,
                        {},
                        message.name,
                        message.description,
                        message.system_tags,
                        message.user_tags,
                        message.memory,
                        request.caller.admin};
    TRY_ASSIGN(plan.checkpoint, resources::id_or_derived(message.resource_uuid, request.job, "checkpoint"));
    for (const std::string& tag : plan.system_tags) TRY(resources::check_system_tag("CheckpointVO", tag, "systemTags", request.caller.admin));
    return submit(parts, request, {"create-checkpoint", "CreateCheckpoint", plan.vm.text(), "{}"},
                  [&](Transaction& transaction, Job& job) -> Result<void> {
                      TRY(resources::require_free_uuid(transaction, plan.checkpoint.text()));
                      TRY_ASSIGN(const VmRows rows, load_vm(transaction, plan.vm));
                      TRY(check_source(transaction, rows, plan, request.job));
                      plan.volumes.clear();
                      for (const Volume& volume : rows.volumes) plan.volumes.push_back(volume.uuid);
                      job.plan = api::to_json(plan, api::Audience::storage);
                      return {};
                  });
}

Result<std::optional<JobId>> delete_checkpoint(Parts& parts, const Request& request, const api::DeleteCheckpoint& message) {
    TRY_ASSIGN(const std::int64_t present, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::count<Checkpoint>(transaction, {{"uuid", message.uuid.text()}});
               }));
    if (present == 0) return std::optional<JobId>{};
    TRY_ASSIGN(JobId job, submit(parts, request, {"delete-checkpoint", "DeleteCheckpoint", message.uuid.text(), "{}"}));
    return std::optional<JobId>{std::move(job)};
}

Result<std::string> update_checkpoint(Parts& parts, const api::UpdateCheckpoint& message) {
    return resources::rename<Checkpoint>(parts.shared, message);
}

// --- what clones are made from

Result<KeptVm> load_checkpoint(Transaction& transaction, const CheckpointId& uuid) {
    TRY_ASSIGN(const Checkpoint checkpoint, store::get<Checkpoint>(transaction, uuid.text()));
    TRY_ASSIGN(KeptMachine machine, api::from_json<KeptMachine>(checkpoint.machine));
    TRY_ASSIGN(const std::vector<CheckpointVolume> volumes,
               store::list<CheckpointVolume>(transaction, {{"checkpointUuid", uuid.text()}}, "deviceId"));
    KeptVm kept{{std::move(machine.vm), std::move(machine.nics), {}, {}}, {}, checkpoint.memory_image_uuid};
    kept.tags[kept.rows.vm.uuid.text()] = std::move(machine.system_tags);
    for (const CheckpointVolume& row : volumes) {
        Volume volume;
        volume.uuid = row.volume_uuid;
        volume.name = row.name;
        volume.primary_storage_uuid = row.primary_storage_uuid;
        volume.vm_instance_uuid = checkpoint.vm_instance_uuid;
        volume.disk_offering_uuid = row.disk_offering_uuid;
        volume.root_image_uuid = row.root_image_uuid;
        volume.type = row.type;
        volume.size = row.size;
        volume.device_id = row.device_id;
        volume.status = VolumeStatus::ready;
        volume.top_layer_uuid = row.layer_uuid;
        kept.tags[volume.uuid.text()] = row.system_tags;
        kept.rows.volumes.push_back(std::move(volume));
    }
    // What the machine stood on may have been removed since.
    if (kept.rows.vm.cluster_uuid) {
        TRY_ASSIGN(const std::int64_t clusters, store::count<Cluster>(transaction, {{"uuid", kept.rows.vm.cluster_uuid->text()}}));
        if (clusters == 0) kept.rows.vm.cluster_uuid.reset();
    }
    for (const VmNic& nic : kept.rows.nics) {
        TRY_ASSIGN(const std::int64_t networks, store::count<L3Network>(transaction, {{"uuid", nic.l3_network_uuid.text()}}));
        if (networks == 0) {
            return fail(ErrorCode::operation_failed, fmt::format("checkpoint '{}' has a NIC on L3 network {}, which was deleted; make an L3 "
                                                                 "network with that resourceUuid first",
                                                                 checkpoint.name, nic.l3_network_uuid.text()));
        }
    }
    return kept;
}

Result<KeptVm> load_snapshot_group(Transaction& transaction, const SnapshotGroupId& uuid, bool as_in_memory) {
    TRY_ASSIGN(const VolumeSnapshotGroup group, store::get<VolumeSnapshotGroup>(transaction, uuid.text()));
    TRY_ASSIGN(const std::vector<VolumeSnapshotGroupRef> refs,
               store::list<VolumeSnapshotGroupRef>(transaction, {{"volumeSnapshotGroupUuid", uuid.text()}}, "deviceId"));
    KeptVm kept;
    TRY_ASSIGN(kept.rows, load_vm(transaction, group.vm_instance_uuid));
    kept.rows.volumes.clear();
    TRY_ASSIGN(kept.tags[group.vm_instance_uuid.text()], system_tags_of(transaction, group.vm_instance_uuid.text()));
    kept.memory = group.memory_image_uuid;
    if (as_in_memory && group.machine) {
        TRY_ASSIGN(KeptMachine machine, api::from_json<KeptMachine>(*group.machine));
        kept.rows.vm = std::move(machine.vm);
        kept.rows.nics = std::move(machine.nics);
        kept.tags[group.vm_instance_uuid.text()] = std::move(machine.system_tags);
    }
    for (const VolumeSnapshotGroupRef& ref : refs) {
        if (ref.snapshot_deleted) {
            return fail(ErrorCode::operation_failed,
                        fmt::format("volumeSnapshotGroupUuid: the snapshot of volume '{}' was deleted from group '{}'; clone from a whole group",
                                    ref.volume_name, group.name));
        }
        TRY_ASSIGN(const VolumeSnapshot snapshot, store::get<VolumeSnapshot>(transaction, ref.volume_snapshot_uuid.text()));
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, ref.volume_uuid.text()));
        volume.device_id = ref.device_id;
        volume.status = VolumeStatus::ready;
        volume.primary_storage_uuid = snapshot.primary_storage_uuid;
        volume.top_layer_uuid = snapshot.layer_uuid;
        TRY_ASSIGN(kept.tags[volume.uuid.text()], system_tags_of(transaction, volume.uuid.text()));
        kept.rows.volumes.push_back(std::move(volume));
    }
    return kept;
}

}  // namespace ramet::lifecycle
