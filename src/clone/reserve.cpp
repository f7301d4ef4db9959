#include "clone/reserve.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "clone/choose.hpp"
#include "clone/kept_source.hpp"
#include "clone/report.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/placing.hpp"
#include "network/addresses.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using lifecycle::LayerMode;
using lifecycle::Strategy;
using lifecycle::VmBlueprint;
using store::Transaction;

namespace {

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
    const auto mode = enum_from<IdentityMode>(message.identity).value_or(IdentityMode::reset);
    blueprint.identity = lifecycle::identity_of_clone(checked.source, blueprint.vm.uuid, mode);
    for (const VmNic& source : checked.source.nics) {
        lifecycle::NicBlueprint nic = lifecycle::nic_blueprint(blueprint.vm.uuid, source.l3_network_uuid, source.device_id, now);
        // Asked again, with the same rows, the answer is the same: that is what a dry run tells.
        nic.choice_seed = fmt::format("{}/{}/{}", checked.source.vm.uuid.text(), plan.clones[index].name, source.device_id);
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
        if (mode == IdentityMode::keep) nic.nic.state = NicState::disable;  // two machines that are one must not meet
        blueprint.nics.push_back(std::move(nic));
    }
    TRY(lifecycle::apply_address_tags(blueprint.nics, message.system_tags));
    for (std::size_t k = 0; k < plan.volumes.size(); ++k) {
        const Volume& source = checked.source.volumes[k];
        lifecycle::VolumeBlueprint volume;
        volume.volume =
            lifecycle::volume_row(clone_volume_uuid(blueprint.vm.uuid, k), blueprint.vm, source.type, source.device_id.value_or(0), source.size, now);
        volume.volume.root_image_uuid = source.root_image_uuid;
        volume.volume.disk_offering_uuid = source.disk_offering_uuid;
        TRY_ASSIGN(const PrimaryStorage storage, store::get<PrimaryStorage>(transaction, plan.volumes[k].storage.text()));
        const std::optional<LayerId> parent = plan.kept ? source.top_layer_uuid : std::nullopt;  // else it comes with the capture
        volume.layer = lifecycle::first_layer(volume.volume, storage, request.caller.account, parent, now);
        volume.layer->untouched = plan.volumes[k].mode == LayerMode::overlay;
        if (promises_bytes(plan.volumes[k])) volume.volume.actual_size = plan.volumes[k].file_bytes;
        volume.system_tags = checked.volume_tags[k];
        volume.tags_field = tags_field(source.type);
        blueprint.volumes.push_back(std::move(volume));
    }
    blueprint.system_tags = checked.vm_tags;
    blueprint.user_tags = message.user_tags;
    return blueprint;
}

// The clone goes on in a process that waits, if it can have that one's NICs: all of them, and none was asked to be another.
Result<void> take_ready_nics(Transaction& transaction, const hypervisor::ReadyMachine& ready, std::vector<lifecycle::NicBlueprint>& nics) {
    for (const lifecycle::NicBlueprint& nic : nics) {
        const auto given = std::ranges::find(ready.nics, nic.nic.device_id, &hypervisor::ReadyNic::device_id);
        if (nic.wanted_mac || given == ready.nics.end()) return {};
        TRY_ASSIGN(const std::int64_t same, store::count<VmNic>(transaction, {{"mac", given->mac}}));
        if (same > 0) return {};
    }
    for (lifecycle::NicBlueprint& nic : nics) {
        const auto given = std::ranges::find(ready.nics, nic.nic.device_id, &hypervisor::ReadyNic::device_id);
        nic.wanted_mac = given->mac;
        nic.nic.internal_name = given->tap;
    }
    return {};
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

Result<std::vector<HostId>> place_clones(Transaction& transaction, const CheckedClone& checked, ClonePlan& plan,
                                         const api::CloneVmInstance& message) {
    std::vector<HostId> hosts(plan.clones.size());
    if (plan.strategy == Strategy::just_create) return hosts;
    placement::VmNeeds needs = needs_of(checked, plan, message);
    std::vector<L3NetworkId> networks;
    networks.reserve(checked.source.nics.size());
    for (const VmNic& nic : checked.source.nics) networks.push_back(nic.l3_network_uuid);
    TRY_ASSIGN(needs.l2_networks, lifecycle::l2_networks_of(transaction, networks));
    TRY_ASSIGN(std::vector<placement::HostFacts> facts, lifecycle::host_facts(transaction));
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        const Result<std::vector<placement::Decision>> decisions = placement::place_vms(facts, needs, 1);
        if (!decisions.has_value()) {
            if (plan.atomic) return std::unexpected(error_of_clone(plan.clones[i].name, decisions.error()));
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

// Where addresses run out, the first names are served. Where there is none at all, the call as a whole says so.
Result<void> refuse_without_address(Transaction& transaction, const CheckedClone& checked, ClonePlan& plan) {
    if (plan.clones.size() < 2) return {};
    std::optional<std::int64_t> most;
    std::string scarce;
    for (const VmNic& nic : checked.source.nics) {
        TRY_ASSIGN(const std::optional<std::int64_t> free, network::count_free_ips(transaction, nic.l3_network_uuid));
        if (!free || (most && *most <= *free)) continue;
        most = free;
        scarce = nic.l3_network_uuid.text();
    }
    if (!most || *most <= 0) return {};
    for (PlannedClone& clone : plan.clones) {
        if (clone.refusal || (*most)-- > 0) continue;
        const std::string why = "the L3 network " + scarce + " has no free IP left; add an IP range or destroy VMs";
        if (plan.atomic) return std::unexpected(error_of_clone(clone.name, Error{ErrorCode::no_address, why, {}, nullptr, {}}));
        clone.refusal = why;
    }
    return {};
}

}  // namespace

Result<Reserved> reserve(Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message,
                         const CheckedClone& checked, ClonePlan plan, Timestamp now, const std::vector<hypervisor::ReadyMachine>& ready) {
    TRY(check_names(transaction, message.names));
    if (plan.kept) TRY(require_kept_layers(transaction, checked.source.volumes));
    Reserved reserved{std::move(plan), {}};
    TRY_ASSIGN(const std::vector<HostId> hosts, place_clones(transaction, checked, reserved.plan, message));
    TRY(refuse_without_address(transaction, checked, reserved.plan));
    for (std::size_t i = 0; i < reserved.plan.clones.size(); ++i) {
        if (reserved.plan.clones[i].refusal) continue;
        TRY_ASSIGN(VmBlueprint blueprint, blueprint_of(transaction, checked, reserved.plan, request, message, i, now));
        if (reserved.vms.size() < ready.size()) TRY(take_ready_nics(transaction, ready[reserved.vms.size()], blueprint.nics));
        if (!hosts[i].empty()) blueprint.vm.last_host_uuid = hosts[i];
        if (reserved.plan.strategy == Strategy::instant_start) blueprint.vm.host_uuid = hosts[i];
        reserved.vms.push_back(std::move(blueprint));
    }
    TRY(lifecycle::reserve_vms(transaction, request.caller, reserved.vms, now));
    for (const VmBlueprint& blueprint : reserved.vms) {
        if (reserved.plan.memory_image) TRY(lifecycle::reserve_memory_user(transaction, blueprint.vm.uuid, *reserved.plan.memory_image));
    }
    return reserved;
}

}  // namespace ramet::clone
