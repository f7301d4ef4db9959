#include "clone/check.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <set>

#include "base/limits.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/global_configs.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;

namespace {

constexpr std::string_view kProvisioningTag = "volumeProvisioningStrategy::";

Result<void> check_names(Transaction& transaction, const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].find_first_not_of(" \t\r\n") == std::string::npos)
            return fail(ErrorCode::invalid_argument, fmt::format("names[{}] is empty; every clone needs a name", i));
    }
    TRY_ASSIGN(const std::string unique, resources::global_config(transaction, "vm", "uniqueVmName"));
    if (unique != "true") return {};
    std::set<std::string> seen;
    for (std::size_t i = 0; i < names.size(); ++i) {
        TRY_ASSIGN(const std::int64_t taken, store::count<VmInstance>(transaction, {{"name", names[i]}}));
        if (taken > 0 || !seen.insert(names[i]).second)
            return fail(ErrorCode::invalid_argument, fmt::format("names[{}] '{}' is taken; vm.uniqueVmName asks for distinct names", i, names[i]));
    }
    return {};
}

Result<void> check_volumes(lifecycle::VmRows& source, bool full) {
    if (!full) std::erase_if(source.volumes, [](const Volume& volume) { return volume.type != VolumeType::root; });
    if (source.volumes.empty() || source.volumes.front().type != VolumeType::root)
        return fail(ErrorCode::operation_failed, "the VM instance has no root volume to clone");
    if (std::ssize(source.volumes) - 1 > limits::kDataVolumesPerVmMax) {
        return fail(ErrorCode::operation_failed,
                    fmt::format("full: the VM instance has more than {} data volumes; detach some first", limits::kDataVolumesPerVmMax));
    }
    for (const Volume& volume : source.volumes) {
        if (volume.is_shareable)
            return fail(
                ErrorCode::operation_failed,
                fmt::format("full: volume '{}' is shareable and cannot be captured at one instant with the others; detach it first", volume.name));
        if (volume.status != VolumeStatus::ready || !volume.top_layer_uuid) {
            return fail(ErrorCode::operation_failed,
                        fmt::format("volume '{}' is {}; it must be Ready to be cloned", volume.name, name_of(volume.status)));
        }
    }
    return {};
}

// The cluster the clones are restricted to, after checking that host and cluster fit each other and the source.
Result<std::optional<ClusterId>> check_placement(Transaction& transaction, const VmInstance& source, const api::CloneVmInstance& message) {
    std::optional<ClusterId> cluster = message.cluster_uuid;
    if (message.host_uuid) {
        TRY_ASSIGN(const Host host, store::get<Host>(transaction, message.host_uuid->text()));
        if (cluster && host.cluster_uuid != *cluster)
            return fail(ErrorCode::invalid_argument, "hostUuid names a host of another cluster than clusterUuid; leave one of them out");
        cluster = host.cluster_uuid;
    }
    if (!cluster) return source.cluster_uuid;
    TRY_ASSIGN(const Cluster row, store::get<Cluster>(transaction, cluster->text()));
    if (row.zone_uuid != source.zone_uuid) {
        return fail(ErrorCode::invalid_argument, fmt::format("{} is in another zone than the VM instance; choose one in zone {}",
                                                             message.host_uuid ? "hostUuid" : "clusterUuid", source.zone_uuid.text()));
    }
    return cluster;
}

bool belongs_to_one_vm(std::string_view tag) {  // identity, not configuration
    return tag.starts_with("hostname::") || tag.starts_with("staticIp::") || tag.starts_with("customMac::") || tag.starts_with("customNicUuid::") ||
           tag.starts_with("ipv4Gateway::") || tag.starts_with("ipv4Netmask::") || tag.starts_with("vmSystemSerialNumber::");
}

Result<std::vector<std::string>> inherited_tags(Transaction& transaction, std::string_view resource, const std::vector<std::string>& requested) {
    TRY_ASSIGN(const std::vector<SystemTag> rows, store::list<SystemTag>(transaction, {{"resourceUuid", std::string(resource)}}));
    std::vector<std::string> tags = requested;
    for (const SystemTag& row : rows) {
        const bool replaced = row.tag.starts_with(kProvisioningTag) || std::ranges::find(requested, row.tag) != requested.end();
        if (!replaced && resources::is_cloneable_tag(row.tag) && !belongs_to_one_vm(row.tag)) tags.push_back(row.tag);
    }
    return tags;
}

Result<void> check_tags(const lifecycle::Request& request, const api::CloneVmInstance& message) {
    for (const std::string& tag : message.system_tags) TRY(resources::check_system_tag("VmInstanceVO", tag, "systemTags", request.caller.admin));
    for (const std::string& tag : message.root_volume_system_tags)
        TRY(resources::check_system_tag("VolumeVO", tag, "rootVolumeSystemTags", request.caller.admin));
    for (const std::string& tag : message.data_volume_system_tags)
        TRY(resources::check_system_tag("VolumeVO", tag, "dataVolumeSystemTags", request.caller.admin));
    for (const std::string& tag : message.user_tags) {
        if (tag.empty()) return fail(ErrorCode::invalid_argument, "userTags: a tag is empty; leave it out");
    }
    if (message.names.size() > 1) {
        for (const std::string& tag : message.system_tags) {
            if (belongs_to_one_vm(tag))
                return fail(ErrorCode::invalid_argument, fmt::format("systemTags: '{}' can be given to one clone only; ask for one name", tag));
        }
    }
    return {};
}

// What is described already and not built yet is refused, never ignored.
Result<void> check_options(const api::CloneVmInstance& message) {
    const auto refused = [](std::string_view field) {
        return fail(ErrorCode::invalid_argument, fmt::format("{} is not supported by this version; leave it out", field));
    };
    if (message.memory) return refused("memory");
    if (message.copy != "auto") return refused("copy");
    if (message.quiesce == "require") return refused("quiesce 'require'");
    if (message.identity != "reset") return refused("identity");
    if (message.atomic) return refused("atomic");
    if (message.dry_run) return refused("dryRun");
    if (message.wait_for != "running") return refused("waitFor");
    if (message.bandwidth) return refused("bandwidth");
    return {};
}

}  // namespace

Result<CheckedClone> check(Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message) {
    CheckedClone checked;
    TRY(check_options(message));
    TRY(check_names(transaction, message.names));
    TRY_ASSIGN(checked.source, lifecycle::load_vm(transaction, message.vm_instance_uuid));
    TRY(lifecycle::require_state(ErrorCode::operation_failed, checked.source.vm, "CloneVmInstance",
                                 {VmState::running, VmState::paused, VmState::stopped}, request.job));
    TRY(check_volumes(checked.source, message.full));
    TRY_ASSIGN(checked.cluster, check_placement(transaction, checked.source.vm, message));
    TRY(check_tags(request, message));
    std::vector<L3NetworkId> networks;
    for (const VmNic& nic : checked.source.nics) networks.push_back(nic.l3_network_uuid);
    TRY(lifecycle::check_nic_params(message.vm_nic_params, networks, message.names.size()));
    TRY_ASSIGN(checked.vm_tags, inherited_tags(transaction, checked.source.vm.uuid.text(), message.system_tags));
    for (const Volume& volume : checked.source.volumes) {
        const auto& requested = volume.type == VolumeType::root ? message.root_volume_system_tags : message.data_volume_system_tags;
        TRY_ASSIGN(std::vector<std::string> tags, inherited_tags(transaction, volume.uuid.text(), requested));
        checked.volume_tags.push_back(std::move(tags));
    }
    return checked;
}

namespace {

std::string_view storage_field(VolumeType type) {
    return type == VolumeType::root ? "primaryStorageUuidForRootVolume" : "primaryStorageUuidForDataVolume";
}

Result<PlannedVolume> plan_volume(const Volume& volume, const api::CloneVmInstance& message) {
    PlannedVolume planned{volume.uuid,
                          volume.type,
                          lifecycle::LayerMode::overlay,
                          false,
                          *volume.primary_storage_uuid,
                          "linked: the clone shares the source's blocks until it writes"};
    const bool root = volume.type == VolumeType::root;
    const auto& wanted = root ? message.primary_storage_uuid_for_root_volume : message.primary_storage_uuid_for_data_volume;
    const auto& tags = root ? message.root_volume_system_tags : message.data_volume_system_tags;
    TRY_ASSIGN(planned.thick, lifecycle::wants_thick(tags, root ? "rootVolumeSystemTags" : "dataVolumeSystemTags"));
    if (wanted && *wanted != planned.storage) {
        planned.mode = lifecycle::LayerMode::copy;
        planned.storage = *wanted;
        planned.reason = "copy: another primary storage was asked for";
    } else if (planned.thick) {
        planned.mode = lifecycle::LayerMode::copy;
        planned.reason = "copy: thick provisioning shares no blocks";
    }
    return planned;
}

}  // namespace

Result<ClonePlan> make_plan(const CheckedClone& checked, const api::CloneVmInstance& message, const std::vector<placement::StorageFacts>& storages,
                            const std::vector<std::int64_t>& allocated_bytes) {
    ClonePlan plan;
    plan.source = message.vm_instance_uuid;
    plan.strategy = enum_from<lifecycle::Strategy>(message.strategy).value_or(lifecycle::Strategy::instant_start);
    std::map<std::string, std::int64_t> bytes_on;
    const auto clones = static_cast<std::int64_t>(message.names.size());
    for (std::size_t i = 0; i < checked.source.volumes.size(); ++i) {
        TRY_ASSIGN(PlannedVolume planned, plan_volume(checked.source.volumes[i], message));
        const std::int64_t each =
            planned.mode == lifecycle::LayerMode::overlay ? 64 * limits::kKiB : (planned.thick ? checked.source.volumes[i].size : allocated_bytes[i]);
        std::int64_t& bytes = bytes_on[planned.storage.text()];
        bytes += clones * each;
        const Result<placement::StorageDecision> fits = placement::choose_primary_storage(storages, bytes, planned.storage, checked.cluster);
        if (!fits.has_value()) return failed(std::string(storage_field(planned.type)), fits.error());
        plan.volumes.push_back(std::move(planned));
    }
    for (const auto& wanted : {message.primary_storage_uuid_for_root_volume, message.primary_storage_uuid_for_data_volume}) {
        if (!wanted) continue;  // also one that no volume of this clone uses must be one that could be used
        const Result<placement::StorageDecision> fits = placement::choose_primary_storage(storages, 0, wanted, checked.cluster);
        if (!fits.has_value()) return failed("primary storage " + wanted->text(), fits.error());
    }
    for (const std::string& name : message.names) plan.clones.push_back({name, std::nullopt});
    return plan;
}

}  // namespace ramet::clone
