#include "clone/clone_vm.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "clone/capture.hpp"
#include "clone/check.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/placing.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using lifecycle::LayerMode;
using lifecycle::Strategy;
using lifecycle::VmBlueprint;
using store::Transaction;
using workflow::Saga;

namespace {

// The order is the contract: what a branch does relies on the capture before it.
// Built from the stored plan alone, so recovery rebuilds exactly the same list.
Saga clone_saga(lifecycle::Parts& parts, const Job& job, const ClonePlan& plan) {
    Saga saga(job.kind, job.uuid);
    saga.add<Capture>(parts, job.uuid, plan);  // once for all clones; the copies below never read what the source still writes
    workflow::FanOut spawn;
    spawn.parallel = limits::kBranchThreads;
    spawn.slow = std::ranges::any_of(plan.volumes, [](const PlannedVolume& volume) { return volume.mode == LayerMode::copy; });
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        if (plan.clones[i].refusal) continue;
        const VmId vm = clone_uuid(job.uuid, i);
        std::vector<lifecycle::VolumeRecipe> recipes;
        for (std::size_t k = 0; k < plan.volumes.size(); ++k) {
            const VolumeId volume = clone_volume_uuid(vm, k);
            recipes.push_back({volume, first_layer_uuid(volume), plan.volumes[k].mode, plan.volumes[k].thick});
        }
        workflow::Branch branch{std::to_string(i), {}};
        branch.steps.push_back(std::make_unique<lifecycle::Materialize>(parts, vm, std::move(recipes), plan.strategy));
        if (plan.strategy == Strategy::instant_start) branch.steps.push_back(std::make_unique<lifecycle::Boot>(parts, vm));
        spawn.branches.push_back(std::move(branch));
    }
    saga.fan_out(std::move(spawn));
    saga.abandon([&parts, id = job.uuid](const Error&) { return lifecycle::demolish_vms_of_job(parts, id); });
    return saga;
}

std::string entry_error(const std::string& name, Error error) {
    error.subject = name;
    error.message = "clone '" + name + "': " + error.message;
    return "{\"error\":" + api::error_object(error) + "}";
}

// One entry per name, in order (contract 3.2).
Result<workflow::Report> report(lifecycle::Parts& parts, const JobId& job, const ClonePlan& plan, const workflow::StepContext& context,
                                const std::vector<workflow::BranchOutcome>& outcomes) {
    std::string entries;
    std::int64_t cloned = 0;
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        const PlannedClone& planned = plan.clones[i];
        if (!entries.empty()) entries += ',';
        if (planned.refusal) {
            entries += entry_error(planned.name, Error{ErrorCode::no_host, *planned.refusal, {}, nullptr, {}});
            continue;
        }
        const auto outcome = std::ranges::find(outcomes, std::to_string(i), &workflow::BranchOutcome::name);
        if (outcome != outcomes.end() && outcome->error) {
            entries += entry_error(planned.name, *outcome->error);
            continue;
        }
        const Result<VmInstance> vm = parts.shared.inventory.get<VmInstance>(clone_uuid(job, i).text());
        if (!vm.has_value()) {
            entries += entry_error(planned.name, vm.error());
            continue;
        }
        entries += "{\"inventory\":" + api::to_json(*vm) + "}";
        ++cloned;
    }
    const std::string capture = context.output_of("capture");
    return workflow::Report{fmt::format(R"({{"result":{{"numberOfClonedVm":{},"inventories":[{}]}}}})", cloned, entries),
                            fmt::format(R"({{"capture":{},"volumes":{}}})", capture.empty() ? "{}" : capture, [&] {
                                std::string volumes = "[";
                                for (const PlannedVolume& volume : plan.volumes) volumes += (volumes.size() > 1 ? "," : "") + api::to_json(volume);
                                return volumes + "]";
                            }())};
}

Result<Saga> build_saga(lifecycle::Parts& parts, const Job& job) {
    TRY_ASSIGN(const ClonePlan plan, api::from_json<ClonePlan>(job.plan));
    Saga saga = clone_saga(parts, job, plan);
    saga.report([&parts, id = job.uuid, plan](const workflow::StepContext& context, const std::vector<workflow::BranchOutcome>& outcomes) {
        return report(parts, id, plan, context, outcomes);
    });
    return saga;
}

VmInstance clone_row(const CheckedClone& checked, const lifecycle::Request& request, const PlannedClone& planned, std::size_t index, Timestamp now) {
    const VmInstance& source = checked.source.vm;
    VmInstance vm;
    vm.uuid = clone_uuid(request.job, index);
    vm.name = planned.name;
    vm.description = source.description;
    vm.zone_uuid = source.zone_uuid;
    vm.cluster_uuid = checked.cluster;
    vm.image_uuid = source.image_uuid;
    vm.instance_offering_uuid = source.instance_offering_uuid;
    vm.root_volume_uuid = clone_volume_uuid(vm.uuid, 0);
    vm.platform = source.platform;
    vm.architecture = source.architecture;
    vm.default_l3_network_uuid = source.default_l3_network_uuid;
    vm.type = source.type;
    vm.memory_size = source.memory_size;
    vm.reserved_memory_size = source.reserved_memory_size;
    vm.cpu_num = source.cpu_num;
    vm.cpu_speed = source.cpu_speed;
    vm.guest_os_type = source.guest_os_type;
    vm.identity_state = IdentityState::pending;
    vm.owner_job_uuid = request.job;
    vm.create_date = vm.last_op_date = now;
    return vm;
}

Result<VmBlueprint> blueprint_of(Transaction& transaction, const CheckedClone& checked, const ClonePlan& plan, const lifecycle::Request& request,
                                 const api::CloneVmInstance& message, std::size_t index, Timestamp now) {
    VmBlueprint blueprint;
    blueprint.vm = clone_row(checked, request, plan.clones[index], index, now);
    if (message.expires_in) blueprint.vm.lease_end_date = Timestamp{now.milliseconds + 1000 * *message.expires_in};
    for (const VmNic& source : checked.source.nics) {
        lifecycle::NicBlueprint nic = lifecycle::nic_blueprint(blueprint.vm.uuid, source.l3_network_uuid, source.device_id, now);
        nic.nic.driver_type = source.driver_type;
        nic.nic.state = source.state;
        nic.nic.meta_data = source.meta_data;
        nic.nic.outbound_bandwidth = source.outbound_bandwidth;
        nic.nic.inbound_bandwidth = source.inbound_bandwidth;
        nic.nic.multi_queue_num = source.multi_queue_num;
        for (std::size_t p = 0; p < message.vm_nic_params.size(); ++p) {
            const api::VmNicParam& param = message.vm_nic_params[p];
            if (param.l3_network_uuid != source.l3_network_uuid) continue;
            lifecycle::apply_nic_param(nic, param, p);
            if (param.is_default_nic.value_or(false)) blueprint.vm.default_l3_network_uuid = source.l3_network_uuid;
        }
        blueprint.nics.push_back(std::move(nic));
    }
    for (std::size_t k = 0; k < plan.volumes.size(); ++k) {
        const Volume& source = checked.source.volumes[k];
        lifecycle::VolumeBlueprint volume;
        volume.volume =
            lifecycle::volume_row(clone_volume_uuid(blueprint.vm.uuid, k), blueprint.vm, source.type, source.device_id.value_or(0), source.size, now);
        volume.volume.root_image_uuid = source.root_image_uuid;
        volume.volume.disk_offering_uuid = source.disk_offering_uuid;
        TRY_ASSIGN(const PrimaryStorage storage, store::get<PrimaryStorage>(transaction, plan.volumes[k].storage.text()));
        volume.layer =
            lifecycle::first_layer(volume.volume, storage, request.caller.account, std::nullopt, now);  // the parent comes with the capture
        volume.layer->untouched = plan.volumes[k].mode == LayerMode::overlay;
        volume.system_tags = checked.volume_tags[k];
        volume.tags_field = source.type == VolumeType::root ? "rootVolumeSystemTags" : "dataVolumeSystemTags";
        blueprint.volumes.push_back(std::move(volume));
    }
    blueprint.system_tags = checked.vm_tags;
    blueprint.user_tags = message.user_tags;
    return blueprint;
}

placement::VmNeeds needs_of(const CheckedClone& checked, const ClonePlan& plan, const api::CloneVmInstance& message) {
    placement::VmNeeds needs;
    needs.cpu = checked.source.vm.cpu_num;
    needs.memory = checked.source.vm.memory_size;
    needs.zone = checked.source.vm.zone_uuid;
    needs.cluster = checked.cluster;
    needs.host = message.host_uuid;
    needs.last_host = checked.source.vm.host_uuid ? checked.source.vm.host_uuid : checked.source.vm.last_host_uuid;
    for (const PlannedVolume& volume : plan.volumes) needs.storages.push_back(volume.storage);
    return needs;
}

// Gives each clone a host, or a refusal of its own when none has room (contract 3.2: the call succeeds all the same).
Result<std::vector<HostId>> place_clones(Transaction& transaction, const CheckedClone& checked, ClonePlan& plan,
                                         const api::CloneVmInstance& message) {
    std::vector<HostId> hosts(plan.clones.size());
    if (plan.strategy == Strategy::just_create) return hosts;
    placement::VmNeeds needs = needs_of(checked, plan, message);
    std::vector<L3NetworkId> networks;
    for (const VmNic& nic : checked.source.nics) networks.push_back(nic.l3_network_uuid);
    TRY_ASSIGN(needs.l2_networks, lifecycle::l2_networks_of(transaction, networks));
    TRY_ASSIGN(std::vector<placement::HostFacts> facts, lifecycle::host_facts(transaction));
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        const Result<std::vector<placement::Decision>> decisions = placement::place_vms(facts, needs, 1);
        if (!decisions.has_value()) {
            plan.clones[i].refusal = decisions.error().message;
            continue;
        }
        hosts[i] = decisions->front().host;
        if (plan.strategy != Strategy::instant_start) continue;  // a stopped VM takes no room on its host
        for (placement::HostFacts& host : facts) {
            if (host.host.uuid != hosts[i]) continue;
            host.used_cpu += needs.cpu;
            host.used_memory += needs.memory;
            ++host.vm_count;
        }
    }
    return hosts;
}

// Host choices, addresses, rows and the plan itself: one transaction, in which the database has the last word on uniqueness.
Result<void> reserve(Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message, const CheckedClone& checked,
                     ClonePlan plan, Timestamp now, Job& job) {
    TRY_ASSIGN(const std::vector<HostId> hosts, place_clones(transaction, checked, plan, message));
    std::vector<VmBlueprint> blueprints;
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        if (plan.clones[i].refusal) continue;
        TRY_ASSIGN(VmBlueprint blueprint, blueprint_of(transaction, checked, plan, request, message, i, now));
        if (!hosts[i].empty()) blueprint.vm.last_host_uuid = hosts[i];
        if (plan.strategy == Strategy::instant_start) blueprint.vm.host_uuid = hosts[i];
        blueprints.push_back(std::move(blueprint));
    }
    job.plan = api::to_json(plan, api::Audience::storage);
    return lifecycle::reserve_vms(transaction, request.caller, blueprints, now);
}

// What a real copy of each volume would read: the bytes of its whole chain.
Result<std::vector<std::int64_t>> allocated_bytes(lifecycle::Parts& parts, const CheckedClone& checked) {
    std::vector<std::int64_t> all;
    for (const Volume& volume : checked.source.volumes) {
        TRY_ASSIGN(const std::vector<storage::Place> chain,
                   store::read(parts.database(), [&](Transaction& transaction) { return lifecycle::chain_of(transaction, *volume.top_layer_uuid); }));
        std::int64_t bytes = 0;
        for (const storage::Place& place : chain) {
            TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(place.root));
            TRY_ASSIGN(const std::int64_t allocated, storage->allocated_bytes(place.path));
            bytes += allocated;
        }
        all.push_back(std::min(bytes, volume.size));
    }
    return all;
}

}  // namespace

void register_clone_saga(workflow::Engine& engine, lifecycle::Parts& parts) {
    engine.add_kind("clone-vm", [&parts](const Job& job) { return build_saga(parts, job); });
}

Result<JobId> clone_vm(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message) {
    TRY(lifecycle::check_nic_powers(parts, message.vm_nic_params));
    TRY_ASSIGN(const CheckedClone checked,
               store::read(parts.database(), [&](Transaction& transaction) { return check(transaction, request, message); }));
    TRY_ASSIGN(const std::vector<placement::StorageFacts> storages, lifecycle::storage_facts(parts));
    TRY_ASSIGN(const std::vector<std::int64_t> bytes, allocated_bytes(parts, checked));
    TRY_ASSIGN(const ClonePlan plan, make_plan(checked, message, storages, bytes));
    const lifecycle::JobOrder order{"clone-vm", "CloneVmInstance", message.vm_instance_uuid.text(), "{}"};
    return lifecycle::submit(parts, request, order, [&](Transaction& transaction, Job& job) {
        return reserve(transaction, request, message, checked, plan, parts.now(), job);
    });
}

}  // namespace ramet::clone
