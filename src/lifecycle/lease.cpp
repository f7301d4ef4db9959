#include "lifecycle/lease.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/events.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/rows.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"
#include "workflow/journal.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

constexpr std::string_view kKind = "expire-vm";

Result<std::string> change_lease(Parts& parts, const VmId& id, std::string_view message,
                                 const std::function<Result<std::optional<Timestamp>>(const VmInstance&)>& end) {
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
        if (vm.state == VmState::expunging)
            return fail(ErrorCode::wrong_state, std::string(message) + ": the VM instance is being removed; its lease has ended");
        TRY_ASSIGN(vm.lease_end_date, end(vm));
        vm.last_op_date = parts.now();
        return store::update(transaction, vm);
    }));
    return parts.shared.inventory.reply<VmInstance>(id.text());
}

// The volumes that were cloned together with the VM go with it; one that was attached later stays.
bool was_made_with(const VmId& vm, const Volume& volume) {
    for (std::int64_t k = 0; k <= limits::kDataVolumesPerVmMax; ++k)
        if (volume.uuid == VolumeId::derived(vm.text(), "volume/" + std::to_string(k))) return true;
    return false;
}

// From here on there is no way back: the lease cannot be extended any more. Nothing: it was extended, or the VM is gone.
Result<std::optional<VmInstance>> begin_expiry(Parts& parts, const VmId& id) {
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<std::optional<VmInstance>> {
        TRY_ASSIGN(std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", id.text()}}));
        if (!vm || !vm->lease_end_date) return std::optional<VmInstance>{};
        if (vm->state == VmState::expunging) return vm;
        if (*vm->lease_end_date > parts.now()) return std::optional<VmInstance>{};
        if (vm->owner_job_uuid) return fail(ErrorCode::wrong_state, "the VM instance is still being made; it expires afterwards");
        TRY(set_vm_state(transaction, *vm, VmState::expunging, parts.now()));
        return vm;
    });
}

Result<void> run_expiry(Parts& parts, const VmId& id) {
    TRY_ASSIGN(const std::optional<VmInstance> vm, begin_expiry(parts, id));
    if (!vm) return {};
    crash_point("lease-expiry-begun");
    TRY_ASSIGN(Event event, store::read(parts.database(), [&](Transaction& transaction) {
                   return event_about(transaction, *vm, "lease-ended", std::to_string(vm->lease_end_date->milliseconds),
                                      "the lease of VM instance '" + vm->name + "' has ended; it was destroyed");
               }));
    TRY(stop_domain(parts, id, hypervisor::StopMode::cold, {}));
    TRY_ASSIGN(const std::vector<Volume> volumes, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::list<Volume>(transaction, {{"vmInstanceUuid", id.text()}});
               }));
    for (const Volume& volume : volumes)
        if (volume.type == VolumeType::data && was_made_with(id, volume)) TRY(demolish_volume(parts, volume.uuid));
    event.create_date = parts.now();
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(record_event(transaction, event));
        return {};
    }));
    return demolish_vm(parts, id);
}

Result<Saga> expire_saga(Parts& parts, const Job& job) {
    const VmId vm = VmId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    // No undo: an expiry that was begun can only be repeated; the row says Expunging until the VM is gone.
    saga.add<Action>("expire", std::vector<std::string>{vm.text()}, [&parts, vm](StepContext&) { return run_expiry(parts, vm); }, nullptr);
    saga.report(&empty_report);
    return saga;
}

struct Due {
    std::vector<VmInstance> vms;
};

// Made VMs whose lease ends before `before`.
Result<Due> leases_until(Transaction& transaction, Timestamp before) {
    Due due;
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query("SELECT uuid FROM vm_instance WHERE \"leaseEndDate\" <= $1 AND \"ownerJobUuid\" IS NULL", {before.milliseconds}));
    for (const store::Values& row : rows) {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, std::get<std::string>(row.at(0))));
        due.vms.push_back(std::move(vm));
    }
    return due;
}

Result<Event> warning_about(Transaction& transaction, const VmInstance& vm) {
    TRY_ASSIGN(Event event, event_about(transaction, vm, "lease-warning", std::to_string(vm.lease_end_date->milliseconds),
                                        "the lease of VM instance '" + vm.name + "' ends at " + to_wire_date(*vm.lease_end_date) +
                                            "; it is destroyed then unless the lease is extended"));
    event.severity = "warning";
    return event;
}

}  // namespace

void register_lease_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind(std::string(kKind), [&parts](const Job& job) { return expire_saga(parts, job); });
}

Result<std::string> extend_lease(Parts& parts, const api::ExtendVmInstanceLease& message) {
    return change_lease(parts, message.uuid, "ExtendVmInstanceLease", [&](const VmInstance& vm) -> Result<std::optional<Timestamp>> {
        if (!vm.lease_end_date)
            return fail(ErrorCode::operation_failed,
                        "VM instance '" + vm.name + "' has no lease to extend; give it one with setVmInstanceLease (ramet vm lease)");
        const std::int64_t from = std::max(vm.lease_end_date->milliseconds, parts.now().milliseconds);
        return std::optional(Timestamp{from + 1000 * message.expires_in});
    });
}

Result<std::string> set_lease(Parts& parts, const api::SetVmInstanceLease& message) {
    return change_lease(parts, message.uuid, "SetVmInstanceLease", [&](const VmInstance&) -> Result<std::optional<Timestamp>> {
        if (!message.expires_in) return std::optional<Timestamp>{};
        return std::optional(Timestamp{parts.now().milliseconds + 1000 * *message.expires_in});
    });
}

void LeaseKeeper::start() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const Result<void> looked = look();
            if (!looked.has_value()) telemetry::log_warning("leases: {} ({})", looked.error().message, looked.error().detail);
            (void)workflow::pause(limits::kLeaseLook, stop);
        }
    });
}

void LeaseKeeper::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

Result<void> LeaseKeeper::look() {
    TRY(follow_clock());
    TRY(warn());
    return end_leases();
}

// A wall clock that was set moves every stored end, and the server's clock follows in the same transaction: writes come one after another,
// so each lease is made with the one clock or the other and moved or not moved accordingly.
Result<void> LeaseKeeper::follow_clock() {
    const std::int64_t step = clock_.step();
    if (std::abs(step) < limits::kClockStepMilliseconds) return {};
    bool followed = false;
    const Result<void> written = parts_.database().write([&](Transaction& transaction) -> Result<void> {
        if (!std::exchange(followed, true)) clock_.follow(step);
        TRY(transaction.execute("UPDATE vm_instance SET \"leaseEndDate\" = \"leaseEndDate\" + $1 WHERE \"leaseEndDate\" IS NOT NULL", {step}));
        Event event;
        event.uuid = JobId::random().text();
        event.name = "clock-stepped";
        event.severity = "warning";
        event.message = "the wall clock was set by " + std::to_string(step) + " ms; leases keep the time that was left to them";
        event.create_date = parts_.now();
        TRY(record_event(transaction, std::move(event)));
        return {};
    });
    if (!written.has_value() && followed) clock_.follow(-step);
    return written;
}

// The event's uuid has the end in it: one warning for each end a lease is given.
Result<void> LeaseKeeper::warn() {
    TRY_ASSIGN(const Due due, store::read(parts_.database(), [&](Transaction& transaction) -> Result<Due> {
                   TRY_ASSIGN(const std::int64_t before, resources::global_config_number(transaction, "vm", "leaseWarning"));
                   TRY_ASSIGN(Due ending, leases_until(transaction, Timestamp{parts_.now().milliseconds + 1000 * before}));
                   Due unwarned;
                   for (VmInstance& vm : ending.vms) {
                       if (*vm.lease_end_date <= parts_.now()) continue;
                       TRY_ASSIGN(const Event event, warning_about(transaction, vm));
                       TRY_ASSIGN(const std::int64_t known, store::count<Event>(transaction, {{"uuid", event.uuid}}));
                       if (known == 0) unwarned.vms.push_back(std::move(vm));
                   }
                   return unwarned;
               }));
    if (due.vms.empty()) return {};
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        for (const VmInstance& vm : due.vms) {
            TRY_ASSIGN(Event event, warning_about(transaction, vm));
            event.create_date = parts_.now();
            TRY(record_event(transaction, std::move(event)));
        }
        return {};
    });
}

Result<void> LeaseKeeper::end_leases() {
    TRY_ASSIGN(const Due due, store::read(parts_.database(), [&](Transaction& transaction) -> Result<Due> {
                   TRY_ASSIGN(Due ended, leases_until(transaction, parts_.now()));
                   Due idle;
                   for (VmInstance& vm : ended.vms) {
                       TRY_ASSIGN(const bool busy, is_on_its_way(transaction, kKind, vm.uuid.text(), parts_.now()));
                       if (!busy) idle.vms.push_back(std::move(vm));
                   }
                   return idle;
               }));
    for (const VmInstance& vm : due.vms) {
        const Request request{identity::admin_caller(), JobId::random(), std::nullopt};
        const Result<JobId> job = submit(parts_, request, {std::string(kKind), "ExpireVmInstance", vm.uuid.text(), "{}"});
        if (!job.has_value()) telemetry::log_warning("cannot end the lease of VM {}: {}", vm.uuid.text(), job.error().message);
    }
    return {};
}

}  // namespace ramet::lifecycle
