#include "lifecycle/create_vm.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/image_cache.hpp"
#include "lifecycle/new_disks.hpp"
#include "lifecycle/placing.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/vm_names.hpp"
#include "resources/tag_patterns.hpp"
#include "resources/use_case.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

struct PlannedDisk {
    LayerMode mode = LayerMode::overlay;
    bool thick = false;
};

// What the saga is built from; everything else is in the reserved rows.
struct CreateVmPlan {
    VmId vm;
    Strategy strategy = Strategy::instant_start;
    std::optional<ImageId> image;  // to be cached on `storage` first
    PrimaryStorageId storage;
    std::vector<PlannedDisk> disks;  // the root volume first
};

}  // namespace ramet::lifecycle

namespace ramet {

template <> const TypeInfo& describe<lifecycle::PlannedDisk>() {
    using lifecycle::PlannedDisk;
    static const TypeInfo info = object<PlannedDisk>("PlannedDisk", "A volume of a VM that a job makes.", field<&PlannedDisk::mode>("mode", ""),
                                                     field<&PlannedDisk::thick>("thick", ""));
    return info;
}

template <> const TypeInfo& describe<lifecycle::CreateVmPlan>() {
    using lifecycle::CreateVmPlan;
    static const TypeInfo info = object<CreateVmPlan>("CreateVmPlan", "The plan of a job that makes a VM.", field<&CreateVmPlan::vm>("vm", ""),
                                                      field<&CreateVmPlan::strategy>("strategy", ""), field<&CreateVmPlan::image>("image", ""),
                                                      field<&CreateVmPlan::storage>("storage", ""), field<&CreateVmPlan::disks>("disks", ""));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;

namespace {

// Two kinds, for their pace alone: what has bytes to copy takes as long as there are bytes, and keeps no other job waiting for its thread.
constexpr std::string_view kLinkedVm = "create-vm";
constexpr std::string_view kCopiedVm = "create-vm-by-copy";

VolumeId volume_uuid(const VmId& vm, std::size_t index) { return VolumeId::derived(vm.text(), "volume/" + std::to_string(index)); }

Result<Saga> create_vm_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const CreateVmPlan plan, api::from_json<CreateVmPlan>(job.plan));
    std::vector<VolumeRecipe> recipes;
    for (std::size_t i = 0; i < plan.disks.size(); ++i) {
        const VolumeId volume = volume_uuid(plan.vm, i);
        recipes.push_back({volume, LayerId::derived(volume.text(), "layer/0"), plan.disks[i].mode, plan.disks[i].thick, nullptr});
    }
    Saga saga(job.kind, job.uuid);
    if (plan.image) saga.add<FillImageCache>(parts, *plan.image, plan.storage);
    saga.add<Materialize>(parts, plan.vm, std::move(recipes), plan.strategy);
    if (plan.strategy == Strategy::instant_start) saga.add<Boot>(parts, plan.vm);
    saga.abandon([&parts, id = job.uuid](const Error&) { return demolish_vms_of_job(parts, id); });
    saga.report(inventory_report<VmInstance>(parts, plan.vm.text()));
    return saga;
}

// Everything the request names, read and checked.
struct Checked {
    NewDisks disks;
    std::optional<InstanceOffering> offering;
    std::int64_t cpu_num = 1, memory_size = 0;
    ZoneId zone;
    std::vector<std::string> system_tags;  // with the boot mode of what it is made from
};

Result<void> check_size(const api::CreateVmInstance& message, Transaction& transaction, Checked& checked) {
    if (message.instance_offering_uuid) {
        TRY_ASSIGN(checked.offering, store::get<InstanceOffering>(transaction, message.instance_offering_uuid->text()));
        if (checked.offering->state != Enablement::enabled)
            return fail(ErrorCode::operation_failed, "instanceOfferingUuid names an offering that is Disabled; enable it or choose another");
        checked.cpu_num = checked.offering->cpu_num;
        checked.memory_size = checked.offering->memory_size;
        return {};
    }
    checked.cpu_num = message.cpu_num.value_or(0);
    checked.memory_size = message.memory_size.value_or(0);
    if (checked.cpu_num < 1) return fail(ErrorCode::invalid_argument, "cpuNum must be at least 1 when no instanceOfferingUuid is given");
    if (checked.memory_size < limits::kMemoryBytesMin) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("memorySize must be at least {} bytes when no instanceOfferingUuid is given", limits::kMemoryBytesMin));
    }
    return {};
}

// The zone the VM belongs to, from the most exact of what the request names.
Result<ZoneId> zone_of(const api::CreateVmInstance& message, Transaction& transaction, const NewDisks& disks) {
    if (message.host_uuid) {
        TRY_ASSIGN(const Host host, store::get<Host>(transaction, message.host_uuid->text()));
        return host.zone_uuid;
    }
    if (message.cluster_uuid) {
        TRY_ASSIGN(const Cluster cluster, store::get<Cluster>(transaction, message.cluster_uuid->text()));
        return cluster.zone_uuid;
    }
    if (message.zone_uuid) return *message.zone_uuid;
    if (!message.l3_network_uuids.empty()) {
        TRY_ASSIGN(const L3Network network, store::get<L3Network>(transaction, message.l3_network_uuids.front().text()));
        return network.zone_uuid;
    }
    if (disks.zone) return *disks.zone;
    return fail(ErrorCode::invalid_argument,
                "l3NetworkUuids, zoneUuid, clusterUuid or hostUuid must be given: one of them tells where the VM instance goes");
}

Result<void> check_networks(const api::CreateVmInstance& message) {
    for (std::size_t i = 0; i < message.l3_network_uuids.size(); ++i) {
        if (std::count(message.l3_network_uuids.begin(), message.l3_network_uuids.end(), message.l3_network_uuids[i]) > 1) {
            return fail(ErrorCode::invalid_argument, fmt::format("l3NetworkUuids[{}]: given twice; a VM instance has one NIC per L3 network", i));
        }
    }
    if (message.l3_network_uuids.size() > 1 && !message.default_l3_network_uuid) {
        return fail(ErrorCode::invalid_argument, "defaultL3NetworkUuid must be given when there are several l3NetworkUuids");
    }
    if (message.default_l3_network_uuid &&
        std::ranges::find(message.l3_network_uuids, *message.default_l3_network_uuid) == message.l3_network_uuids.end()) {
        return fail(ErrorCode::invalid_argument, "defaultL3NetworkUuid must be one of l3NetworkUuids");
    }
    return check_nic_params(message.vm_nic_params, message.l3_network_uuids, 1);
}

// A network that is Disabled takes no new NIC.
Result<void> check_networks_enabled(Transaction& transaction, const std::vector<L3NetworkId>& networks) {
    for (std::size_t i = 0; i < networks.size(); ++i) {
        TRY_ASSIGN(const L3Network network, store::get<L3Network>(transaction, networks[i].text()));
        if (network.state != Enablement::enabled) {
            return fail(ErrorCode::operation_failed,
                        fmt::format("l3NetworkUuids[{}] names an L3 network that is Disabled; enable it or choose another", i));
        }
    }
    return {};
}

// Host and storage are chosen here; the host is kept by the row, so that its capacity is held.
Result<VmInstance> place_vm(Transaction& transaction, const api::CreateVmInstance& message, const Checked& checked, const VmId& uuid,
                            const JobId& job, Timestamp now) {
    const std::optional<Image>& image = checked.disks.image;
    const std::optional<VmInstance>& source = checked.disks.source;
    VmInstance vm;
    vm.uuid = uuid;
    vm.name = message.name;
    vm.description = message.description;
    vm.zone_uuid = checked.zone;
    vm.cluster_uuid = message.cluster_uuid;
    vm.image_uuid = checked.disks.disks.front().root_image;
    vm.instance_offering_uuid = message.instance_offering_uuid;
    vm.root_volume_uuid = volume_uuid(uuid, 0);
    if (image) vm.platform = image->platform;
    if (source) vm.platform = source->platform;
    if (message.platform) vm.platform = *message.platform;
    if (image) vm.guest_os_type = image->guest_os_type;
    if (source) vm.guest_os_type = source->guest_os_type;
    if (message.guest_os_type) vm.guest_os_type = message.guest_os_type;
    vm.cpu_num = checked.cpu_num;
    vm.memory_size = checked.memory_size;
    vm.reserved_memory_size = message.reserved_memory_size.value_or(0);
    if (checked.offering) vm.allocator_strategy = checked.offering->allocator_strategy;
    if (message.default_l3_network_uuid)
        vm.default_l3_network_uuid = message.default_l3_network_uuid;
    else if (!message.l3_network_uuids.empty())
        vm.default_l3_network_uuid = message.l3_network_uuids.front();
    vm.identity_state = IdentityState::pending;
    vm.owner_job_uuid = job;
    vm.create_date = vm.last_op_date = now;
    if (message.strategy == "JustCreate") return vm;
    placement::VmNeeds needs{checked.cpu_num, checked.memory_size, {}, {}, checked.zone, message.cluster_uuid, message.host_uuid, std::nullopt, {}};
    for (const NewDisk& disk : checked.disks.disks) needs.storages.push_back(disk.storage);
    TRY_ASSIGN(needs.l2_networks, l2_networks_of(transaction, message.l3_network_uuids));
    TRY_ASSIGN(const std::vector<placement::HostFacts> hosts, host_facts(transaction));
    TRY_ASSIGN(const std::vector<placement::Decision> decisions, placement::place_vms(hosts, needs, 1));
    vm.last_host_uuid = decisions.front().host;
    if (message.strategy == "InstantStart") vm.host_uuid = decisions.front().host;
    for (const placement::HostFacts& facts : hosts) {
        if (facts.host.uuid == decisions.front().host) vm.cluster_uuid = facts.host.cluster_uuid;
    }
    return vm;
}

Result<VolumeBlueprint> volume_blueprint(Transaction& transaction, const Request& request, const api::CreateVmInstance& message, const VmInstance& vm,
                                         const NewDisk& disk, std::size_t index, Timestamp now) {
    const bool root = disk.type == VolumeType::root;
    VolumeBlueprint volume{volume_row(volume_uuid(vm.uuid, index), vm, disk.type, static_cast<std::int64_t>(index), disk.size, now),
                           {},
                           root ? message.root_volume_system_tags : message.data_volume_system_tags,
                           root ? "rootVolumeSystemTags" : "dataVolumeSystemTags"};
    volume.volume.root_image_uuid = disk.root_image;
    volume.volume.disk_offering_uuid = disk.disk_offering;
    TRY_ASSIGN(const PrimaryStorage storage, store::get<PrimaryStorage>(transaction, disk.storage.text()));
    volume.layer = first_layer(volume.volume, storage, request.caller.account, disk.content, now);
    volume.layer->untouched = disk.mode == LayerMode::overlay;
    volume.volume.actual_size = bytes_at_once(disk);
    return volume;
}

Result<VmBlueprint> blueprint_of(Transaction& transaction, const Request& request, const api::CreateVmInstance& message, const Checked& checked,
                                 const VmId& vm, Timestamp now) {
    VmBlueprint blueprint;
    TRY_ASSIGN(blueprint.vm, place_vm(transaction, message, checked, vm, request.job, now));
    for (std::size_t i = 0; i < message.l3_network_uuids.size(); ++i) {
        NicBlueprint nic = nic_blueprint(vm, message.l3_network_uuids[i], static_cast<std::int64_t>(i), now);
        for (std::size_t p = 0; p < message.vm_nic_params.size(); ++p) {
            if (message.vm_nic_params[p].l3_network_uuid == nic.nic.l3_network_uuid) apply_nic_param(nic, message.vm_nic_params[p], p);
        }
        blueprint.nics.push_back(std::move(nic));
    }
    TRY(apply_address_tags(blueprint.nics, message.system_tags));
    for (std::size_t i = 0; i < checked.disks.disks.size(); ++i) {
        const NewDisk& disk = checked.disks.disks[i];
        TRY_ASSIGN(VolumeBlueprint volume, volume_blueprint(transaction, request, message, blueprint.vm, disk, i, now));
        blueprint.volumes.push_back(std::move(volume));
    }
    blueprint.system_tags = checked.system_tags;
    blueprint.user_tags = message.user_tags;
    return blueprint;
}

Result<Checked> check_request(Parts& parts, Transaction& transaction, const api::CreateVmInstance& message) {
    Checked checked;
    TRY(check_size(message, transaction, checked));
    TRY(check_networks_enabled(transaction, message.l3_network_uuids));
    TRY_ASSIGN(checked.disks, disks_of(transaction, message));
    TRY_ASSIGN(checked.zone, zone_of(message, transaction, checked.disks));
    checked.system_tags = message.system_tags;
    if (checked.disks.source) {
        TRY_ASSIGN(checked.system_tags, with_boot_mode_of(transaction, checked.disks.source->uuid.text(), std::move(checked.system_tags)));
    }
    if (const std::optional<ImageId>& image = checked.disks.disks.front().root_image) {
        TRY_ASSIGN(checked.system_tags, with_boot_mode_of(transaction, image->text(), std::move(checked.system_tags)));
    }
    TRY(check_firmware_tags(parts.hypervisor.capabilities(), checked.system_tags, checked.memory_size, "systemTags"));
    return checked;
}

std::string_view api_name_of(const api::CreateVmInstance& message) {
    if (message.volume_snapshot_group_uuid) return "CreateVmInstanceFromVolumeSnapshotGroup";
    return message.volume_snapshot_uuid ? "CreateVmInstanceFromVolumeSnapshot" : "CreateVmInstance";
}

}  // namespace

void register_create_saga(workflow::Engine& engine, Parts& parts) {
    const auto saga = [&parts](const Job& job) { return create_vm_saga(parts, job); };
    engine.add_kind(std::string(kLinkedVm), saga);
    engine.add_kind(std::string(kCopiedVm), saga, workflow::Pace::slow);
}

Result<JobId> create_vm(Parts& parts, const Request& request, const api::CreateVmInstance& message) {
    TRY(check_networks(message));
    TRY(check_nic_powers(parts, message.vm_nic_params));
    for (const std::string& tag : message.system_tags) TRY(resources::check_system_tag("VmInstanceVO", tag, "systemTags", request.caller.admin));
    CreateVmPlan plan;
    TRY_ASSIGN(plan.vm, resources::id_or_derived(message.resource_uuid, request.job, "vm/0"));
    plan.strategy = enum_from<Strategy>(message.strategy).value_or(Strategy::instant_start);
    TRY_ASSIGN(Checked checked, store::read(parts.database(), [&](Transaction& transaction) { return check_request(parts, transaction, message); }));
    TRY(place_disks(parts, message, checked.disks));
    plan.storage = checked.disks.disks.front().storage;
    if (checked.disks.image) plan.image = checked.disks.image->uuid;
    for (const NewDisk& disk : checked.disks.disks) plan.disks.push_back({disk.mode, disk.thick});
    const bool copies = std::ranges::any_of(plan.disks, [](const PlannedDisk& disk) { return disk.mode == LayerMode::copy; });
    const JobOrder order{std::string(kLinkedVm), std::string(api_name_of(message)), plan.vm.text(), api::to_json(plan, api::Audience::storage)};
    return submit(parts, request, order, [&](Transaction& transaction, Job& job) -> Result<void> {
        const Timestamp now = parts.now();
        TRY(require_unique_names(transaction, {{"name", message.name}}));
        TRY(require_room(transaction, checked.disks.room, wanted_room(checked.disks)));
        bool uncached = false;
        if (checked.disks.image) { TRY_ASSIGN(uncached, reserve_cache_layer(transaction, *checked.disks.image, plan.storage, now)); }
        if (copies || uncached) job.kind = kCopiedVm;
        for (const NewDisk& disk : checked.disks.disks) {
            if (disk.content) TRY(require_layer(transaction, disk.content));
        }
        TRY_ASSIGN(VmBlueprint blueprint, blueprint_of(transaction, request, message, checked, plan.vm, now));
        std::vector<VmBlueprint> blueprints;
        blueprints.push_back(std::move(blueprint));
        if (Result<void> reserved = reserve_vms(transaction, request.caller, blueprints, now); !reserved.has_value())
            return resources::explain_conflict(std::move(reserved.error()), "VmInstanceVO", plan.vm.text());
        return {};
    });
}

}  // namespace ramet::lifecycle
