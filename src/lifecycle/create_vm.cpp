#include "lifecycle/create_vm.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/image_cache.hpp"
#include "lifecycle/placing.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

// What the saga is built from; everything else is in the reserved rows.
struct CreateVmPlan {
    VmId vm;
    Strategy strategy = Strategy::instant_start;
    ImageId image;
    PrimaryStorageId storage;
    bool root_thick = false;
    bool data_thick = false;
    std::int64_t data_volumes = 0;
};

}  // namespace ramet::lifecycle

namespace ramet {

template <> const TypeInfo& describe<lifecycle::CreateVmPlan>() {
    using lifecycle::CreateVmPlan;
    static const TypeInfo info = object<CreateVmPlan>(
        "CreateVmPlan", "The plan of a create-vm job.", field<&CreateVmPlan::vm>("vm", ""), field<&CreateVmPlan::strategy>("strategy", ""),
        field<&CreateVmPlan::image>("image", ""), field<&CreateVmPlan::storage>("storage", ""), field<&CreateVmPlan::root_thick>("rootThick", ""),
        field<&CreateVmPlan::data_thick>("dataThick", ""), field<&CreateVmPlan::data_volumes>("dataVolumes", ""));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Saga;

namespace {

VolumeId data_volume_uuid(const VmId& vm, std::int64_t index) { return VolumeId::derived(vm.text(), "volume/" + std::to_string(index)); }

VolumeRecipe recipe_of(const VolumeId& volume, LayerMode mode, bool thick) {
    return VolumeRecipe{volume, LayerId::derived(volume.text(), "layer/0"), mode, thick, nullptr};
}

Result<Saga> create_vm_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const CreateVmPlan plan, api::from_json<CreateVmPlan>(job.plan));
    std::vector<VolumeRecipe> recipes;
    recipes.push_back(recipe_of(data_volume_uuid(plan.vm, 0), plan.root_thick ? LayerMode::copy : LayerMode::overlay, plan.root_thick));
    for (std::int64_t i = 1; i <= plan.data_volumes; ++i)
        recipes.push_back(recipe_of(data_volume_uuid(plan.vm, i), LayerMode::empty, plan.data_thick));
    Saga saga(job.kind, job.uuid);
    saga.add<FillImageCache>(parts, plan.image, plan.storage);
    saga.add<Materialize>(parts, plan.vm, std::move(recipes), plan.strategy);
    if (plan.strategy == Strategy::instant_start) saga.add<Boot>(parts, plan.vm);
    saga.abandon([&parts, id = job.uuid](const Error&) { return demolish_vms_of_job(parts, id); });
    saga.report(inventory_report<VmInstance>(parts, plan.vm.text()));
    return saga;
}

// Everything the request names, read and checked.
struct Checked {
    Image image;
    std::optional<InstanceOffering> offering;
    std::int64_t cpu_num = 1, memory_size = 0, root_size = 0;
    std::vector<std::int64_t> data_sizes;
    std::vector<std::optional<DiskOfferingId>> data_offerings;
    ZoneId zone;
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

Result<void> check_disks(const api::CreateVmInstance& message, Transaction& transaction, Checked& checked) {
    if (!message.image_uuid) return fail(ErrorCode::invalid_argument, "imageUuid is missing; name the image the VM boots from");
    TRY_ASSIGN(checked.image, store::get<Image>(transaction, message.image_uuid->text()));
    if (checked.image.status != ImageStatus::ready || checked.image.state != Enablement::enabled) {
        return fail(ErrorCode::operation_failed, fmt::format("imageUuid names an image that is {} and {}; it must be Ready and Enabled",
                                                             name_of(checked.image.status), name_of(checked.image.state)));
    }
    checked.root_size = checked.image.size;
    std::int64_t wanted = message.root_disk_size.value_or(0);
    if (message.root_disk_offering_uuid) {
        TRY_ASSIGN(const DiskOffering offering, store::get<DiskOffering>(transaction, message.root_disk_offering_uuid->text()));
        wanted = offering.disk_size;
    }
    if (wanted != 0 && wanted < checked.root_size) {
        return fail(
            ErrorCode::invalid_argument,
            fmt::format("rootDiskSize {} is less than the image's {} bytes; a disk cannot be smaller than its image", wanted, checked.root_size));
    }
    checked.root_size = std::max(wanted, checked.root_size);
    for (const std::int64_t size : message.data_disk_sizes) {
        checked.data_sizes.push_back(size);
        checked.data_offerings.emplace_back();
    }
    for (const DiskOfferingId& uuid : message.data_disk_offering_uuids) {
        TRY_ASSIGN(const DiskOffering offering, store::get<DiskOffering>(transaction, uuid.text()));
        checked.data_sizes.push_back(offering.disk_size);
        checked.data_offerings.emplace_back(uuid);
    }
    return {};
}

// The zone the VM belongs to, from the most exact of what the request names.
Result<ZoneId> zone_of(const api::CreateVmInstance& message, Transaction& transaction) {
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

// Host and storage are chosen here; the host is kept by the row, so that its capacity is held.
Result<VmInstance> place_vm(Transaction& transaction, const api::CreateVmInstance& message, const Checked& checked, const PrimaryStorageId& storage,
                            const VmId& uuid, const JobId& job, Timestamp now) {
    VmInstance vm;
    vm.uuid = uuid;
    vm.name = message.name;
    vm.description = message.description;
    vm.zone_uuid = checked.zone;
    vm.cluster_uuid = message.cluster_uuid;
    vm.image_uuid = checked.image.uuid;
    vm.instance_offering_uuid = message.instance_offering_uuid;
    vm.root_volume_uuid = data_volume_uuid(uuid, 0);
    vm.platform = message.platform.value_or(checked.image.platform);
    vm.guest_os_type = message.guest_os_type ? message.guest_os_type : checked.image.guest_os_type;
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
    placement::VmNeeds needs{checked.cpu_num,      checked.memory_size, {},           {storage}, checked.zone,
                             message.cluster_uuid, message.host_uuid,   std::nullopt, {}};
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

Result<VmBlueprint> blueprint_of(Transaction& transaction, const Request& request, const api::CreateVmInstance& message, const Checked& checked,
                                 const CreateVmPlan& plan, Timestamp now) {
    VmBlueprint blueprint;
    TRY_ASSIGN(blueprint.vm, place_vm(transaction, message, checked, plan.storage, plan.vm, request.job, now));
    TRY_ASSIGN(const PrimaryStorage storage, store::get<PrimaryStorage>(transaction, plan.storage.text()));
    for (std::size_t i = 0; i < message.l3_network_uuids.size(); ++i) {
        NicBlueprint nic = nic_blueprint(plan.vm, message.l3_network_uuids[i], static_cast<std::int64_t>(i), now);
        for (std::size_t p = 0; p < message.vm_nic_params.size(); ++p) {
            if (message.vm_nic_params[p].l3_network_uuid == nic.nic.l3_network_uuid) apply_nic_param(nic, message.vm_nic_params[p], p);
        }
        blueprint.nics.push_back(std::move(nic));
    }
    VolumeBlueprint root{volume_row(data_volume_uuid(plan.vm, 0), blueprint.vm, VolumeType::root, 0, checked.root_size, now),
                         {},
                         message.root_volume_system_tags,
                         "rootVolumeSystemTags"};
    root.volume.root_image_uuid = checked.image.uuid;
    root.layer = first_layer(root.volume, storage, request.caller.account, cache_layer_uuid(checked.image.uuid, plan.storage), now);
    blueprint.volumes.push_back(std::move(root));
    for (std::size_t i = 0; i < checked.data_sizes.size(); ++i) {
        const auto slot = static_cast<std::int64_t>(i) + 1;
        VolumeBlueprint data{volume_row(data_volume_uuid(plan.vm, slot), blueprint.vm, VolumeType::data, slot, checked.data_sizes[i], now),
                             {},
                             message.data_volume_system_tags,
                             "dataVolumeSystemTags"};
        data.volume.disk_offering_uuid = checked.data_offerings[i];
        data.layer = first_layer(data.volume, storage, request.caller.account, std::nullopt, now);
        blueprint.volumes.push_back(std::move(data));
    }
    TRY_ASSIGN(blueprint.system_tags, with_boot_mode_of(transaction, checked.image.uuid, message.system_tags));
    blueprint.user_tags = message.user_tags;
    return blueprint;
}

}  // namespace

void register_create_saga(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("create-vm", [&parts](const Job& job) { return create_vm_saga(parts, job); });
}

Result<JobId> create_vm(Parts& parts, const Request& request, const api::CreateVmInstance& message) {
    TRY(check_networks(message));
    TRY(check_nic_powers(parts, message.vm_nic_params));
    for (const std::string& tag : message.system_tags) TRY(resources::check_system_tag("VmInstanceVO", tag, "systemTags", request.caller.admin));
    CreateVmPlan plan;
    plan.vm = message.resource_uuid.value_or(VmId::derived(request.job.text(), "vm/0"));
    if (!is_uuid_text(plan.vm.text())) return fail(ErrorCode::invalid_argument, "resourceUuid must be 32 lower-case hex digits");
    plan.strategy = enum_from<Strategy>(message.strategy).value_or(Strategy::instant_start);
    TRY_ASSIGN(plan.root_thick, wants_thick(message.root_volume_system_tags, "rootVolumeSystemTags"));
    TRY_ASSIGN(plan.data_thick, wants_thick(message.data_volume_system_tags, "dataVolumeSystemTags"));
    TRY_ASSIGN(const Checked checked, store::read(parts.database(), [&](Transaction& transaction) -> Result<Checked> {
                   Checked found;
                   TRY(check_size(message, transaction, found));
                   TRY(check_disks(message, transaction, found));
                   TRY_ASSIGN(found.zone, zone_of(message, transaction));
                   TRY_ASSIGN(const std::vector<std::string> tags, with_boot_mode_of(transaction, found.image.uuid, message.system_tags));
                   TRY(check_firmware_tags(parts.hypervisor.capabilities(), tags, found.memory_size, "systemTags"));
                   return found;
               }));
    plan.image = checked.image.uuid;
    plan.data_volumes = static_cast<std::int64_t>(checked.data_sizes.size());
    TRY_ASSIGN(const std::vector<placement::StorageFacts> storages, storage_facts(parts));
    const std::int64_t bytes = checked.image.actual_size + (plan.root_thick ? checked.root_size : 0);
    TRY_ASSIGN(const placement::StorageDecision storage,
               placement::choose_primary_storage(storages, bytes, message.primary_storage_uuid_for_root_volume, message.cluster_uuid));
    plan.storage = storage.storage;
    const JobOrder order{"create-vm", "CreateVmInstance", plan.vm.text(), api::to_json(plan, api::Audience::storage)};
    return submit(parts, request, order, [&](Transaction& transaction, Job&) -> Result<void> {
        const Timestamp now = parts.now();
        TRY(reserve_cache_layer(transaction, checked.image, plan.storage, now));
        TRY_ASSIGN(VmBlueprint blueprint, blueprint_of(transaction, request, message, checked, plan, now));
        std::vector<VmBlueprint> blueprints;
        blueprints.push_back(std::move(blueprint));
        return reserve_vms(transaction, request.caller, blueprints, now);
    });
}

}  // namespace ramet::lifecycle
