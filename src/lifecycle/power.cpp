#include "lifecycle/power.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/placing.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;
using workflow::StepContext;

namespace {

constexpr std::string_view kExitKind = "note-vm-exit";

struct Transition {
    ErrorCode failure;
    std::string_view message;
    std::initializer_list<VmState> from;  // allowed; the goal is among them where doing nothing is success
    VmState during, goal;
};

// Moves the row to `during`; false: the VM is at the goal already and nothing is to be done.
Result<bool> begin(Parts& parts, const VmId& id, const Transition& transition, const JobId& job) {
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
        const bool is_others = vm.owner_job_uuid && *vm.owner_job_uuid != job;
        if (vm.state == transition.during && !is_others) return true;  // this step, run again after a crash
        TRY(require_state(transition.failure, vm, transition.message, transition.from, job));
        if (vm.state == transition.goal) return false;
        TRY(set_vm_state(transaction, std::move(vm), transition.during, parts.now()));
        return true;
    });
}

Result<void> finish(Parts& parts, const VmId& id, VmState goal) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
        if (goal == VmState::stopped) vm.host_uuid.reset();
        return set_vm_state(transaction, std::move(vm), goal, parts.now());
    });
}

Result<Saga> start_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const api::StartVmInstance message, api::from_json<api::StartVmInstance>(job.plan));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "start", std::vector<std::string>{message.uuid.text()},
        [&parts, message](StepContext& step) -> Result<void> {
            const Transition transition{ErrorCode::start_failed,
                                        "StartVmInstance",
                                        {VmState::created, VmState::running, VmState::stopped},
                                        VmState::starting,
                                        VmState::running};
            TRY_ASSIGN(const bool needed, begin(parts, message.uuid, transition, step.job()));
            if (!needed) return {};
            TRY(place_vm(parts, message));
            Result<void> started = start_domain(parts, message.uuid);
            if (!started.has_value()) return caused(ErrorCode::start_failed, "cannot start the VM instance", std::move(started.error()));
            TRY(finish(parts, message.uuid, VmState::running));
            parts.identity_keeper.notice();
            return {};
        },
        [&parts, message](StepContext&) -> Result<void> {
            TRY_ASSIGN(const std::optional<VmInstance> vm, store::read(parts.database(), [&](Transaction& transaction) {
                           return store::find<VmInstance>(transaction, {{"uuid", message.uuid.text()}});
                       }));
            if (!vm || vm->state != VmState::starting) return {};
            TRY(stop_domain(parts, message.uuid, hypervisor::StopMode::cold, {}));
            return finish(parts, message.uuid, VmState::stopped);
        });
    saga.report(inventory_report<VmInstance>(parts, message.uuid.text()));
    return saga;
}

Result<Saga> stop_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const api::StopVmInstance message, api::from_json<api::StopVmInstance>(job.plan));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "stop", std::vector<std::string>{message.uuid.text()},
        [&parts, message](StepContext& step) -> Result<void> {
            const Transition transition{ErrorCode::stop_failed,
                                        "StopVmInstance",
                                        {VmState::running, VmState::stopped, VmState::paused, VmState::unknown},
                                        VmState::stopping,
                                        VmState::stopped};
            TRY_ASSIGN(const bool needed, begin(parts, message.uuid, transition, step.job()));
            if (!needed) return {};
            const auto mode = message.type == "cold" ? hypervisor::StopMode::cold : hypervisor::StopMode::grace;
            Result<void> stopped = stop_domain(parts, message.uuid, mode, step.stop());
            if (!stopped.has_value()) return caused(ErrorCode::stop_failed, "cannot stop the VM instance", std::move(stopped.error()));
            return finish(parts, message.uuid, VmState::stopped);
        },
        [&parts, message](StepContext&) { return put_back(parts, message.uuid, VmState::stopping); });
    saga.report(inventory_report<VmInstance>(parts, message.uuid.text()));
    return saga;
}

Result<Saga> reboot_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const api::RebootVmInstance message, api::from_json<api::RebootVmInstance>(job.plan));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        "reboot", std::vector<std::string>{message.uuid.text()},
        [&parts, message](StepContext& step) -> Result<void> {
            const Transition transition{ErrorCode::reboot_failed, "RebootVmInstance", {VmState::running}, VmState::rebooting, VmState::rebooting};
            TRY(begin(parts, message.uuid, transition, step.job()));
            Result<void> done = parts.hypervisor.stop(message.uuid, hypervisor::StopMode::grace, step.stop());
            if (done.has_value()) done = start_domain(parts, message.uuid);
            if (!done.has_value()) return caused(ErrorCode::reboot_failed, "cannot reboot the VM instance", std::move(done.error()));
            return finish(parts, message.uuid, VmState::running);
        },
        [&parts, message](StepContext&) { return put_back(parts, message.uuid, VmState::rebooting); });
    saga.report(inventory_report<VmInstance>(parts, message.uuid.text()));
    return saga;
}

struct Flip {  // pause and resume: one hypervisor call
    std::string_view step;
    ErrorCode failure;
    std::string_view message;
    VmState from, during, goal;
    Result<void> (hypervisor::Hypervisor::*call)(const VmId&);
};

Result<Saga> flip_saga(Parts& parts, const Job& job, const Flip& flip) {
    const VmId vm = VmId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>(
        std::string(flip.step), std::vector<std::string>{vm.text()},
        [&parts, vm, flip](StepContext& step) -> Result<void> {
            TRY(begin(parts, vm, Transition{flip.failure, flip.message, {flip.from}, flip.during, flip.during}, step.job()));
            Result<void> done = (parts.hypervisor.*flip.call)(vm);
            if (!done.has_value()) return caused(flip.failure, "cannot " + std::string(flip.step) + " the VM instance", std::move(done.error()));
            return finish(parts, vm, flip.goal);
        },
        [&parts, vm, flip](StepContext&) { return put_back(parts, vm, flip.during); });
    saga.report(inventory_report<VmInstance>(parts, vm.text()));
    return saga;
}

// Without undo: an end can only be noted again.
Result<Saga> exit_saga(Parts& parts, const Job& job) {
    const VmId vm = VmId::trusted(job.target_uuid.value_or(""));
    Saga saga(job.kind, job.uuid);
    saga.add<Action>("note-exit", std::vector<std::string>{vm.text()}, [&parts, vm](StepContext&) { return note_exit(parts, vm); }, nullptr);
    saga.report(&empty_report);
    return saga;
}

// In every other state a job is at work on the VM and will note what it finds.
bool rests_while_on(VmState state) { return state == VmState::running || state == VmState::paused || state == VmState::unknown; }

Result<bool> is_to_be_noted(Parts& parts, const VmId& id) {
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", id.text()}}));
        return vm && rests_while_on(vm->state);
    });
}

constexpr Flip kPause{"pause",         ErrorCode::pause_failed,       "PauseVmInstance", VmState::running, VmState::pausing,
                      VmState::paused, &hypervisor::Hypervisor::pause};
constexpr Flip kResume{"resume",         ErrorCode::resume_failed,       "ResumeVmInstance", VmState::paused, VmState::resuming,
                       VmState::running, &hypervisor::Hypervisor::resume};

template <class Message>
Result<JobId> submit_for_vm(Parts& parts, const Request& request, std::string kind, std::string api_name, const Message& message) {
    return submit(parts, request, {std::move(kind), std::move(api_name), message.uuid.text(), api::to_json(message, api::Audience::storage)});
}

}  // namespace

void register_power_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("start-vm", [&parts](const Job& job) { return start_saga(parts, job); });
    engine.add_kind("stop-vm", [&parts](const Job& job) { return stop_saga(parts, job); }, workflow::Pace::slow);
    engine.add_kind("reboot-vm", [&parts](const Job& job) { return reboot_saga(parts, job); }, workflow::Pace::slow);
    engine.add_kind("pause-vm", [&parts](const Job& job) { return flip_saga(parts, job, kPause); });
    engine.add_kind("resume-vm", [&parts](const Job& job) { return flip_saga(parts, job, kResume); });
    engine.add_kind(std::string(kExitKind), [&parts](const Job& job) { return exit_saga(parts, job); });
}

Result<JobId> start_vm(Parts& parts, const Request& request, const api::StartVmInstance& message) {
    return submit_for_vm(parts, request, "start-vm", "StartVmInstance", message);
}
Result<JobId> stop_vm(Parts& parts, const Request& request, const api::StopVmInstance& message) {
    return submit_for_vm(parts, request, "stop-vm", "StopVmInstance", message);
}
Result<JobId> reboot_vm(Parts& parts, const Request& request, const api::RebootVmInstance& message) {
    return submit_for_vm(parts, request, "reboot-vm", "RebootVmInstance", message);
}
Result<JobId> pause_vm(Parts& parts, const Request& request, const api::PauseVmInstance& message) {
    return submit_for_vm(parts, request, "pause-vm", "PauseVmInstance", message);
}
Result<JobId> resume_vm(Parts& parts, const Request& request, const api::ResumeVmInstance& message) {
    return submit_for_vm(parts, request, "resume-vm", "ResumeVmInstance", message);
}

Result<void> place_vm(Parts& parts, const api::StartVmInstance& message) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmRows rows, load_vm(transaction, message.uuid));
        if (rows.vm.host_uuid) return {};
        placement::VmNeeds needs;
        needs.cpu = rows.vm.cpu_num;
        needs.memory = rows.vm.memory_size;
        needs.zone = rows.vm.zone_uuid;
        needs.cluster = message.cluster_uuid;
        needs.host = message.host_uuid;
        needs.last_host = rows.vm.last_host_uuid;
        std::vector<L3NetworkId> networks;
        for (const VmNic& nic : rows.nics) networks.push_back(nic.l3_network_uuid);
        TRY_ASSIGN(needs.l2_networks, l2_networks_of(transaction, networks));
        for (const Volume& volume : rows.volumes) {
            if (volume.primary_storage_uuid) needs.storages.push_back(*volume.primary_storage_uuid);
        }
        TRY_ASSIGN(const std::vector<placement::HostFacts> hosts, host_facts(transaction));
        const Result<std::vector<placement::Decision>> decisions = placement::place_vms(hosts, needs, 1);
        if (!decisions.has_value()) return caused(ErrorCode::start_failed, "cannot start VM instance '" + rows.vm.name + "'", decisions.error());
        rows.vm.host_uuid = rows.vm.last_host_uuid = decisions->front().host;
        const auto host = std::ranges::find_if(hosts, [&](const placement::HostFacts& facts) { return facts.host.uuid == decisions->front().host; });
        if (host != hosts.end()) rows.vm.cluster_uuid = host->host.cluster_uuid;
        return store::update(transaction, rows.vm);
    });
}

Result<void> put_back(Parts& parts, const VmId& id, VmState during) {
    TRY_ASSIGN(const std::optional<VmInstance> vm,
               store::read(parts.database(), [&](Transaction& transaction) { return store::find<VmInstance>(transaction, {{"uuid", id.text()}}); }));
    if (!vm || vm->state != during) return {};  // no VM: a job that was asked for earlier has expunged it
    TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(id));
    switch (state) {
    case hypervisor::DomainState::running: return finish(parts, id, VmState::running);
    case hypervisor::DomainState::paused: return finish(parts, id, VmState::paused);
    case hypervisor::DomainState::shut_off: break;
    }
    TRY(stop_domain(parts, id, hypervisor::StopMode::cold, {}));
    return finish(parts, id, VmState::stopped);
}

Result<void> note_exit(Parts& parts, const VmId& id) {
    TRY_ASSIGN(const bool wanted, is_to_be_noted(parts, id));
    if (!wanted) return {};
    TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(id));
    if (state != hypervisor::DomainState::shut_off) return {};  // started again since
    TRY(stop_domain(parts, id, hypervisor::StopMode::cold, {}));
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance present, store::get<VmInstance>(transaction, id.text()));
        if (!rests_while_on(present.state)) return {};
        present.host_uuid.reset();
        return set_vm_state(transaction, std::move(present), VmState::stopped, parts.now());
    });
}

Result<void> vm_exited(Parts& parts, const VmId& id) {
    TRY_ASSIGN(const bool wanted, is_to_be_noted(parts, id));
    if (!wanted) return {};
    const Request request{identity::admin_caller(), JobId::random(), std::nullopt};
    TRY(submit(parts, request, {std::string(kExitKind), "NoteVmInstanceExit", id.text(), "{}"}));
    return {};
}

Result<void> vm_found_ended(Parts& parts, const VmId& id) {
    TRY_ASSIGN(const bool is_noted, store::read(parts.database(), [&](Transaction& transaction) {
                   return is_on_its_way(transaction, kExitKind, id.text(), parts.now());
               }));
    return is_noted ? Result<void>() : vm_exited(parts, id);
}

}  // namespace ramet::lifecycle
