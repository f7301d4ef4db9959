#include "lifecycle/volumes.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <set>

#include "api/json.hpp"
#include "base/disk_size.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/new_disks.hpp"
#include "lifecycle/room.hpp"
#include "lifecycle/rows.hpp"
#include "resources/global_configs.hpp"
#include "resources/tag_patterns.hpp"
#include "resources/use_case.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

Result<Volume> get_volume(Parts& parts, const VolumeId& id) {
    return store::read(parts.database(), [&](Transaction& transaction) { return store::get<Volume>(transaction, id.text()); });
}

// The rows of the volume's first layer on `storage`; the file comes after.
Result<Layer> plan_layer(Transaction& transaction, Volume& volume, const PrimaryStorageId& storage, Timestamp now) {
    TRY_ASSIGN(const PrimaryStorage row, store::get<PrimaryStorage>(transaction, storage.text()));
    TRY_ASSIGN(const AccountResourceRef owner, store::get<AccountResourceRef>(transaction, volume.uuid.text()));
    Layer layer;
    layer.uuid = LayerId::derived(volume.uuid.text(), "layer/0");
    layer.primary_storage_uuid = storage;
    layer.path = first_layer_path(volume, owner.account_uuid);
    layer.size = volume.size;
    layer.volume_uuid = volume.uuid;
    layer.create_date = now;
    volume.primary_storage_uuid = storage;
    volume.top_layer_uuid = layer.uuid;
    volume.install_path = row.url + "/" + layer.path;
    volume.status = VolumeStatus::creating;
    return layer;
}

// What a data volume's first file takes at once: all of it when its tags ask for that.
Result<std::int64_t> bytes_at_once(Transaction& transaction, const Volume& volume) {
    TRY_ASSIGN(const std::vector<std::string> tags, system_tags_of(transaction, volume.uuid.text()));
    TRY_ASSIGN(const bool thick, wants_thick(tags, "systemTags"));
    return thick ? volume.size : 0;
}

// Gives a volume without a disk its file. Repeatable.
Result<void> instantiate(Parts& parts, const VolumeId& id, const PrimaryStorageId& storage) {
    struct Planned {
        Layer layer;
        storage::Place place;
        std::int64_t at_once = 0;
    };
    TRY_ASSIGN(const Volume before, get_volume(parts, id));
    Room room;
    if (!before.top_layer_uuid) TRY(heed_promises(parts, room));
    TRY_ASSIGN(const Planned planned, store::write(parts.database(), [&](Transaction& transaction) -> Result<Planned> {
                   Planned plan;
                   TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, id.text()));
                   TRY_ASSIGN(plan.at_once, bytes_at_once(transaction, volume));
                   if (volume.top_layer_uuid) {
                       TRY_ASSIGN(plan.layer, store::get<Layer>(transaction, volume.top_layer_uuid->text()));
                   } else {
                       TRY(require_room(transaction, room, {{storage, plan.at_once, volume.size}}));
                       volume.actual_size = plan.at_once;
                       TRY_ASSIGN(plan.layer, plan_layer(transaction, volume, storage, parts.now()));
                       TRY(store::insert(transaction, plan.layer));
                       TRY(store::update(transaction, volume));
                   }
                   TRY_ASSIGN(plan.place, place_of(transaction, plan.layer));
                   return plan;
               }));
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> target, parts.shared.storages.open(planned.place.root));
    TRY(target->create_empty(planned.place.path, planned.layer.size,
                             planned.at_once > 0 ? storage::Provisioning::thick : storage::Provisioning::thin));
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, id.text()));
        volume.status = VolumeStatus::ready;
        volume.last_op_date = parts.now();
        return store::update(transaction, volume);
    });
}

Result<Saga> create_volume_saga(Parts& parts, const Job& job) {
    const VolumeId id = VolumeId::trusted(job.target_uuid.value_or(""));
    TRY_ASSIGN(const api::CreateDataVolume message, api::from_json<api::CreateDataVolume>(job.plan));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "create", std::vector<std::string>{id.text()},
        [&parts, id, message](StepContext&) -> Result<void> {
            if (!message.primary_storage_uuid) return {};
            return instantiate(parts, id, *message.primary_storage_uuid);
        },
        [&parts, id](StepContext&) { return demolish_volume(parts, id); });
    saga.abandon([&parts, id](const Error&) { return demolish_volume(parts, id); });
    saga.report(inventory_report<Volume>(parts, id.text()));
    return saga;
}

// Checks, chooses the storage and the slot. The slot is committed before the disk is plugged in.
Result<void> reserve_slot(Parts& parts, const api::AttachDataVolumeToVm& message, const JobId& job) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, message.volume_uuid.text()));
        TRY_ASSIGN(const VmRows rows, load_vm(transaction, message.vm_instance_uuid));
        if (volume.type != VolumeType::data)
            return fail(ErrorCode::attach_volume_failed, "volumeUuid names a root volume; only data volumes can be attached");
        if (volume.vm_instance_uuid == message.vm_instance_uuid && volume.attach_job_uuid == job) return {};  // this step, run again
        if (volume.vm_instance_uuid) {
            return fail(ErrorCode::attach_volume_failed, fmt::format("volume '{}' is attached to VM instance {} already; detach it first",
                                                                     volume.name, volume.vm_instance_uuid->text()));
        }
        if (volume.state != Enablement::enabled || volume.status == VolumeStatus::deleted || volume.status == VolumeStatus::creating) {
            return fail(ErrorCode::attach_volume_failed, fmt::format("volume '{}' is {} and {}; it must be Enabled and Ready or NotInstantiated",
                                                                     volume.name, name_of(volume.state), name_of(volume.status)));
        }
        TRY(require_state(ErrorCode::attach_volume_failed, rows.vm, "AttachDataVolumeToVm",
                          {VmState::running, VmState::stopped, VmState::paused, VmState::created}, job));
        std::set<std::int64_t> used;
        for (const Volume& attached : rows.volumes) used.insert(attached.device_id.value_or(0));
        TRY_ASSIGN(const std::int64_t most, resources::data_volumes_max(transaction));
        if (std::ssize(used) > most) {  // the root volume is among them
            return fail(ErrorCode::attach_volume_failed,
                        fmt::format("a VM instance takes at most {} data volumes (kvm.dataVolume.maxNum); detach one first", most));
        }
        std::int64_t slot = 1;
        while (used.contains(slot)) ++slot;
        volume.vm_instance_uuid = message.vm_instance_uuid;
        volume.device_id = slot;
        volume.attach_job_uuid = job;
        volume.last_attach_date = parts.now();
        return store::update(transaction, volume);
    });
}

Result<void> release_slot(Parts& parts, const VolumeId& id, const VmId& vm) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, id.text()));
        if (volume.vm_instance_uuid != vm) return {};
        TRY(note_guest_writes(transaction, volume));
        volume.last_vm_instance_uuid = vm;
        volume.vm_instance_uuid.reset();
        volume.attach_job_uuid.reset();
        volume.device_id.reset();
        volume.last_detach_date = volume.last_op_date = parts.now();
        return store::update(transaction, volume);
    });
}

// One that is gone was expunged by a job asked for earlier.
Result<bool> is_attached_by(Parts& parts, const JobId& job, const VolumeId& id, const VmId& vm) {
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", id.text()}}));
        return volume && volume->vm_instance_uuid == vm && volume->attach_job_uuid == job;
    });
}

Result<void> plug_disk(Parts& parts, const VolumeId& id, const VmId& vm) {
    TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(vm));
    if (state == hypervisor::DomainState::shut_off) return {};
    TRY_ASSIGN(const hypervisor::DiskSpec disk, store::read(parts.database(), [&](Transaction& transaction) -> Result<hypervisor::DiskSpec> {
                   TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, id.text()));
                   return disk_spec(transaction, volume);
               }));
    Result<void> attached = parts.hypervisor.attach_disk(vm, disk);
    if (!attached.has_value()) return caused(ErrorCode::attach_volume_failed, "cannot attach the volume", std::move(attached.error()));
    return {};
}

Result<PrimaryStorageId> storage_for(Parts& parts, const VolumeId& id, const VmId& vm) {
    TRY_ASSIGN(const Volume volume, get_volume(parts, id));
    if (volume.primary_storage_uuid) return *volume.primary_storage_uuid;
    Room room;
    TRY(heed_promises(parts, room));
    struct Wanted {
        std::optional<ClusterId> cluster;
        std::int64_t bytes = 0;
    };
    TRY_ASSIGN(const Wanted wanted, store::read(parts.database(), [&](Transaction& transaction) -> Result<Wanted> {
                   TRY_ASSIGN(const VmInstance row, store::get<VmInstance>(transaction, vm.text()));
                   TRY_ASSIGN(const std::int64_t bytes, bytes_at_once(transaction, volume));
                   return Wanted{row.cluster_uuid, bytes};
               }));
    TRY_ASSIGN(const placement::StorageDecision decision,
               placement::choose_primary_storage(room.storages, wanted.bytes, std::nullopt, wanted.cluster));
    return decision.storage;
}

Result<Saga> attach_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const api::AttachDataVolumeToVm message, api::from_json<api::AttachDataVolumeToVm>(job.plan));
    const VolumeId volume = message.volume_uuid;
    const VmId vm = message.vm_instance_uuid;
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "attach", std::vector<std::string>{vm.text(), volume.text()},
        [&parts, message, volume, vm](StepContext& step) -> Result<void> {
            TRY(reserve_slot(parts, message, step.job()));
            TRY_ASSIGN(const PrimaryStorageId storage, storage_for(parts, volume, vm));
            TRY(instantiate(parts, volume, storage));
            return plug_disk(parts, volume, vm);
        },
        [&parts, volume, vm](StepContext& step) -> Result<void> {
            TRY_ASSIGN(const bool attached, is_attached_by(parts, step.job(), volume, vm));
            if (!attached) return {};
            TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(vm));
            if (state != hypervisor::DomainState::shut_off) TRY(parts.hypervisor.detach_disk(vm, volume));
            return release_slot(parts, volume, vm);
        });
    saga.report(inventory_report<Volume>(parts, volume.text()));
    return saga;
}

Result<Saga> detach_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const api::DetachDataVolumeFromVm message, api::from_json<api::DetachDataVolumeFromVm>(job.plan));
    const VolumeId id = message.uuid;
    const VmId vm = message.vm_uuid.value_or(VmId{});
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "detach", std::vector<std::string>{id.text(), vm.text()},
        [&parts, id, vm](StepContext&) -> Result<void> {
            TRY_ASSIGN(const Volume volume, get_volume(parts, id));
            if (volume.vm_instance_uuid != vm) return {};  // detached already
            TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(vm));
            if (state != hypervisor::DomainState::shut_off) {
                Result<void> detached = parts.hypervisor.detach_disk(vm, id);
                if (!detached.has_value()) return caused(ErrorCode::detach_volume_failed, "cannot detach the volume", std::move(detached.error()));
            }
            return release_slot(parts, id, vm);
        },
        // The guest had let go of it when the rows could not be written: they say that it is attached, so it is again.
        [&parts, id, vm](StepContext&) -> Result<void> {
            TRY_ASSIGN(const std::vector<Volume> volumes, store::read(parts.database(), [&](Transaction& transaction) {
                           return store::list<Volume>(transaction, {{"uuid", id.text()}, {"vmInstanceUuid", vm.text()}});
                       }));
            if (volumes.empty()) return {};
            return plug_disk(parts, id, vm);
        });
    saga.report(inventory_report<Volume>(parts, id.text()));
    return saga;
}

Result<void> require_free(const Volume& volume) {
    if (volume.vm_instance_uuid)
        return fail(ErrorCode::operation_failed, "the volume is attached to VM instance " + volume.vm_instance_uuid->text() + "; detach it first");
    if (volume.type == VolumeType::root) return fail(ErrorCode::operation_failed, "a root volume goes with its VM instance; expunge that instead");
    return {};
}

Result<void> require_deleted(const Volume& volume) {
    TRY(require_free(volume));
    if (volume.status == VolumeStatus::deleted) return {};
    return fail(ErrorCode::operation_failed, "only a deleted volume can be expunged; delete it first");
}

// Deleted from now on. One that has no disk is removed at once: there is nothing that could be recovered.
Result<void> delete_volume(Parts& parts, const VolumeId& id) {
    TRY_ASSIGN(const bool at_once, store::write(parts.database(), [&](Transaction& transaction) -> Result<bool> {
                   TRY_ASSIGN(std::optional<Volume> volume, store::find<Volume>(transaction, {{"uuid", id.text()}}));
                   if (!volume) return false;
                   TRY(require_free(*volume));
                   volume->status = VolumeStatus::deleted;
                   volume->last_op_date = parts.now();
                   TRY(store::update(transaction, *volume));
                   return !volume->top_layer_uuid;
               }));
    return at_once ? demolish_volume(parts, id, &require_deleted) : Result<void>{};
}

Result<Saga> delete_saga(Parts& parts, const Job& job, bool expunge) {
    const VolumeId id = VolumeId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        expunge ? "expunge" : "delete", std::vector<std::string>{id.text()},
        [&parts, id, expunge](StepContext&) { return expunge ? demolish_volume(parts, id, &require_deleted) : delete_volume(parts, id); }, nullptr);
    saga.report(&empty_report);
    return saga;
}

}  // namespace

Result<bool> wants_thick(const std::vector<std::string>& tags, std::string_view field) {
    constexpr std::string_view kPrefix = "volumeProvisioningStrategy::";
    bool thick = false;
    for (const std::string& tag : tags) {
        if (!tag.starts_with(kPrefix)) continue;
        const std::string_view strategy = std::string_view(tag).substr(kPrefix.size());
        if (strategy != "ThinProvisioning" && strategy != "ThickProvisioning") {
            return fail(ErrorCode::invalid_argument,
                        fmt::format("{}: volumeProvisioningStrategy must be ThinProvisioning or ThickProvisioning, not '{}'", field, strategy));
        }
        thick = strategy == "ThickProvisioning";
    }
    return thick;
}

void register_volume_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("create-volume", [&parts](const Job& job) { return create_volume_saga(parts, job); });
    engine.add_kind("attach-volume", [&parts](const Job& job) { return attach_saga(parts, job); });
    engine.add_kind("detach-volume", [&parts](const Job& job) { return detach_saga(parts, job); });
    engine.add_kind("delete-volume", [&parts](const Job& job) { return delete_saga(parts, job, false); });
    engine.add_kind("expunge-volume", [&parts](const Job& job) { return delete_saga(parts, job, true); });
}

Result<JobId> create_data_volume(Parts& parts, const Request& request, const api::CreateDataVolume& message) {
    TRY_ASSIGN(const bool thick, wants_thick(message.system_tags, "systemTags"));
    for (const std::string& tag : message.system_tags) TRY(resources::check_system_tag("VolumeVO", tag, "systemTags", request.caller.admin));
    Room room;
    if (message.primary_storage_uuid) {
        TRY_ASSIGN(room, survey_room(parts));
        if (thick) TRY(heed_promises(parts, room));
        TRY(placement::choose_primary_storage(room.storages, 0, message.primary_storage_uuid, std::nullopt));
    }
    TRY_ASSIGN(const VolumeId id, resources::id_or_derived(message.resource_uuid, request.job, "volume"));
    const JobOrder order{"create-volume", "CreateDataVolume", id.text(), api::to_json(message, api::Audience::storage)};
    return submit(parts, request, order, [&](Transaction& transaction, Job&) -> Result<void> {
        Volume volume;
        volume.uuid = id;
        volume.name = message.name;
        volume.description = message.description;
        volume.type = VolumeType::data;
        volume.status = VolumeStatus::not_instantiated;
        volume.create_date = volume.last_op_date = parts.now();
        if (message.disk_offering_uuid) {
            TRY_ASSIGN(const DiskOffering offering, usable_offering(transaction, *message.disk_offering_uuid, "diskOfferingUuid"));
            volume.disk_offering_uuid = offering.uuid;
            volume.size = offering.disk_size;
        } else if (message.disk_size) {
            volume.size = whole_sectors(*message.disk_size);
        } else {
            return fail(ErrorCode::invalid_argument, "diskSize or diskOfferingUuid must be given: the volume needs a size");
        }
        if (message.primary_storage_uuid)
            TRY(require_room(transaction, room, {{*message.primary_storage_uuid, thick ? volume.size : 0, volume.size}}));
        return resources::insert_owned(transaction, request.caller, volume, message.system_tags, message.user_tags, parts.now());
    });
}

Result<JobId> attach_data_volume(Parts& parts, const Request& request, const api::AttachDataVolumeToVm& message) {
    return submit(parts, request,
                  {"attach-volume", "AttachDataVolumeToVm", message.volume_uuid.text(), api::to_json(message, api::Audience::storage)});
}

Result<JobId> detach_data_volume(Parts& parts, const Request& request, const api::DetachDataVolumeFromVm& message) {
    TRY_ASSIGN(const Volume volume, get_volume(parts, message.uuid));
    if (volume.type == VolumeType::root) return fail(ErrorCode::detach_volume_failed, "uuid names a root volume; only data volumes can be detached");
    if (!volume.vm_instance_uuid) return fail(ErrorCode::detach_volume_failed, "the volume is not attached to a VM instance");
    if (message.vm_uuid && message.vm_uuid != volume.vm_instance_uuid)
        return fail(ErrorCode::detach_volume_failed,
                    "the volume is not attached to the VM instance that vmUuid names, but to " + volume.vm_instance_uuid->text());
    const api::DetachDataVolumeFromVm plan{message.uuid, volume.vm_instance_uuid};
    const std::string text = api::to_json(plan, api::Audience::storage);
    return submit(parts, request, {"detach-volume", "DetachDataVolumeFromVm", message.uuid.text(), text});
}

Result<std::optional<JobId>> delete_data_volume(Parts& parts, const Request& request, const api::DeleteDataVolume& message) {
    TRY_ASSIGN(const std::optional<Volume> volume, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::find<Volume>(transaction, {{"uuid", message.uuid.text()}});
               }));
    if (!volume) return std::optional<JobId>{};
    TRY_ASSIGN(JobId job, submit(parts, request, {"delete-volume", "DeleteDataVolume", message.uuid.text(), "{}"}));
    return std::optional<JobId>{std::move(job)};
}

Result<JobId> expunge_data_volume(Parts& parts, const Request& request, const api::ExpungeDataVolume& message) {
    return submit(parts, request, {"expunge-volume", "ExpungeDataVolume", message.uuid.text(), "{}"});
}

namespace {

Result<std::string> change_volume(Parts& parts, const VolumeId& id, const std::function<Result<void>(Volume&)>& change) {
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, id.text()));
        TRY(change(volume));
        volume.last_op_date = parts.now();
        return store::update(transaction, volume);
    }));
    return parts.shared.inventory.reply<Volume>(id.text());
}

}  // namespace

Result<std::string> recover_data_volume(Parts& parts, const api::RecoverDataVolume& message) {
    return change_volume(parts, message.uuid, [](Volume& volume) -> Result<void> {
        if (volume.status != VolumeStatus::deleted) return fail(ErrorCode::operation_failed, "only a deleted volume can be recovered");
        if (!volume.top_layer_uuid) return fail(ErrorCode::operation_failed, "the volume is being expunged and its disk is gone; make another one");
        volume.status = VolumeStatus::ready;
        return {};
    });
}

Result<std::string> update_volume(Parts& parts, const api::UpdateVolume& message) { return resources::rename<Volume>(parts.shared, message); }

Result<std::string> change_volume_state(Parts& parts, const api::ChangeVolumeState& message) {
    return change_volume(parts, message.uuid, [&](Volume& volume) -> Result<void> {
        volume.state = message.state_event == "enable" ? Enablement::enabled : Enablement::disabled;
        return {};
    });
}

}  // namespace ramet::lifecycle
