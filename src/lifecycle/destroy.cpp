#include "lifecycle/destroy.hpp"

#include "api/json.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

Result<void> detach_data_volumes(Transaction& transaction, const VmId& vm, Timestamp now) {
    TRY_ASSIGN(std::vector<Volume> volumes, store::list<Volume>(transaction, {{"vmInstanceUuid", vm.text()}}));
    for (Volume& volume : volumes) {
        if (volume.type != VolumeType::data) continue;
        volume.last_vm_instance_uuid = vm;
        volume.vm_instance_uuid.reset();
        volume.attach_job_uuid.reset();
        volume.device_id.reset();
        volume.last_detach_date = now;
        TRY(store::update(transaction, volume));
    }
    return {};
}

// Destroying, or nothing when the VM is gone or Destroyed already. True: expunge it at once.
Result<bool> begin_destroy(Parts& parts, const VmId& id, const JobId& job) {
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
        TRY_ASSIGN(const std::string policy, resources::global_config(transaction, "vm", "deletionPolicy"));
        if (vm.state == VmState::destroyed || vm.state == VmState::destroying || vm.state == VmState::expunging) return policy == "Direct";
        TRY(require_state(ErrorCode::operation_failed, vm, "DestroyVmInstance",
                          {VmState::created, VmState::running, VmState::stopped, VmState::unknown, VmState::starting, VmState::stopping,
                           VmState::rebooting, VmState::paused, VmState::pausing, VmState::resuming, VmState::error},
                          job));
        const bool direct = policy == "Direct" || vm.state == VmState::created;
        vm.state_before_destroy = vm.state;
        TRY(set_vm_state(transaction, std::move(vm), VmState::destroying, parts.now()));
        return direct;
    });
}

Result<void> run_destroy(Parts& parts, const VmId& id, StepContext& step) {
    TRY_ASSIGN(const std::optional<VmInstance> present,
               store::read(parts.database(), [&](Transaction& transaction) { return store::find<VmInstance>(transaction, {{"uuid", id.text()}}); }));
    if (!present) return {};
    TRY_ASSIGN(const bool direct, begin_destroy(parts, id, step.job()));
    if (direct) return demolish_vm(parts, id);
    TRY(stop_domain(parts, id, hypervisor::StopMode::cold, {}));
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
        TRY(detach_data_volumes(transaction, id, parts.now()));
        vm.host_uuid.reset();
        return set_vm_state(transaction, std::move(vm), VmState::destroyed, parts.now());
    });
}

Result<Saga> destroy_saga(Parts& parts, const Job& job) {
    const VmId vm = VmId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    // What is being expunged can only go on; what was to be kept for a while is again what it was.
    saga.add<Action>(
        "destroy", std::vector<std::string>{vm.text()}, [&parts, vm](StepContext& step) { return run_destroy(parts, vm, step); },
        [&parts, vm](StepContext&) { return put_back(parts, vm, VmState::destroying); });
    saga.report(&empty_report);
    return saga;
}

Result<Saga> recover_saga(Parts& parts, const Job& job) {
    const VmId id = VmId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "recover", std::vector<std::string>{id.text()},
        [&parts, id](StepContext& step) {
            return parts.database().write([&](Transaction& transaction) -> Result<void> {
                TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
                TRY(require_state(ErrorCode::operation_failed, vm, "RecoverVmInstance", {VmState::destroyed}, step.job()));
                return set_vm_state(transaction, std::move(vm), VmState::stopped, parts.now());
            });
        },
        nullptr);
    saga.report(inventory_report<VmInstance>(parts, id.text()));
    return saga;
}

Result<Saga> expunge_saga(Parts& parts, const Job& job) {
    const VmId id = VmId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "expunge", std::vector<std::string>{id.text()},
        [&parts, id](StepContext& step) -> Result<void> {
            TRY_ASSIGN(const std::optional<VmInstance> vm, store::read(parts.database(), [&](Transaction& transaction) {
                           return store::find<VmInstance>(transaction, {{"uuid", id.text()}});
                       }));
            if (!vm) return {};
            if (vm->state != VmState::expunging)
                TRY(require_state(ErrorCode::operation_failed, *vm, "ExpungeVmInstance", {VmState::destroyed}, step.job()));
            return demolish_vm(parts, id);
        },
        nullptr);
    saga.report(&empty_report);
    return saga;
}

}  // namespace

void register_destroy_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("destroy-vm", [&parts](const Job& job) { return destroy_saga(parts, job); });
    engine.add_kind("recover-vm", [&parts](const Job& job) { return recover_saga(parts, job); });
    engine.add_kind("expunge-vm", [&parts](const Job& job) { return expunge_saga(parts, job); });
}

Result<std::optional<JobId>> destroy_vm(Parts& parts, const Request& request, const api::DestroyVmInstance& message) {
    TRY_ASSIGN(const std::optional<VmInstance> vm, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::find<VmInstance>(transaction, {{"uuid", message.uuid.text()}});
               }));
    if (!vm) return std::optional<JobId>{};
    TRY_ASSIGN(JobId job, submit(parts, request, {"destroy-vm", "DestroyVmInstance", message.uuid.text(), "{}"}));
    return std::optional<JobId>{std::move(job)};
}

Result<JobId> recover_vm(Parts& parts, const Request& request, const api::RecoverVmInstance& message) {
    return submit(parts, request, {"recover-vm", "RecoverVmInstance", message.uuid.text(), "{}"});
}

Result<JobId> expunge_vm(Parts& parts, const Request& request, const api::ExpungeVmInstance& message) {
    return submit(parts, request, {"expunge-vm", "ExpungeVmInstance", message.uuid.text(), "{}"});
}

namespace {

struct Expired {
    std::vector<VmId> vms;
    std::vector<VolumeId> volumes;
};

Result<Timestamp> end_of_keeping(Transaction& transaction, std::string_view category, Timestamp now) {
    TRY_ASSIGN(const std::int64_t period, resources::global_config_number(transaction, category, "expungePeriod"));
    return Timestamp{now.milliseconds - 1000 * period};
}

Result<Expired> find_expired(Transaction& transaction, Timestamp now) {
    Expired found;
    TRY_ASSIGN(const Timestamp oldest_volume, end_of_keeping(transaction, "volume", now));
    TRY_ASSIGN(const std::vector<Volume> volumes, store::list<Volume>(transaction, {{"status", std::string(name_of(VolumeStatus::deleted))}}));
    for (const Volume& volume : volumes) {
        if (volume.type == VolumeType::data && volume.last_op_date < oldest_volume) found.volumes.push_back(volume.uuid);
    }
    TRY_ASSIGN(const std::string policy, resources::global_config(transaction, "vm", "deletionPolicy"));
    if (policy == "Never") return found;
    TRY_ASSIGN(const Timestamp oldest_vm, end_of_keeping(transaction, "vm", now));
    TRY_ASSIGN(const std::vector<VmInstance> vms, store::list<VmInstance>(transaction, {{"state", std::string(name_of(VmState::destroyed))}}));
    for (const VmInstance& vm : vms) {
        if (vm.last_op_date < oldest_vm) found.vms.push_back(vm.uuid);
    }
    return found;
}

}  // namespace

Result<void> expunge_expired(Parts& parts) {
    TRY_ASSIGN(const Expired expired,
               store::read(parts.database(), [&](Transaction& transaction) { return find_expired(transaction, parts.now()); }));
    const auto request = [] { return Request{identity::admin_caller(), JobId::random(), std::nullopt}; };
    for (const VmId& vm : expired.vms) {
        const Result<JobId> job = expunge_vm(parts, request(), api::ExpungeVmInstance{vm});
        if (!job.has_value()) telemetry::log_warning("cannot expunge VM {}: {}", vm.text(), job.error().message);
    }
    for (const VolumeId& volume : expired.volumes) {
        const Result<JobId> job = expunge_data_volume(parts, request(), api::ExpungeDataVolume{volume});
        if (!job.has_value()) telemetry::log_warning("cannot expunge volume {}: {}", volume.text(), job.error().message);
    }
    return {};
}

Result<bool> ExpungePace::is_due(std::chrono::steady_clock::time_point now) {
    TRY_ASSIGN(const std::int64_t interval, store::read(parts_.database(), [](Transaction& transaction) {
                   return resources::global_config_number(transaction, "vm", "expungeInterval");
               }));
    if (last_ && now - *last_ < std::chrono::seconds(interval)) return false;
    last_ = now;
    return true;
}

}  // namespace ramet::lifecycle
