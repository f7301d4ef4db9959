#include "clone/check.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>

#include "clone/kept_source.hpp"
#include "clone/memory_capture.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/vm_names.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/global_configs.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;

namespace {

constexpr std::string_view kProvisioningTag = "volumeProvisioningStrategy::";

Result<void> check_volumes(Transaction& transaction, lifecycle::VmRows& source, bool full) {
    if (!full) std::erase_if(source.volumes, [](const Volume& volume) { return volume.type != VolumeType::root; });
    if (source.volumes.empty() || source.volumes.front().type != VolumeType::root)
        return fail(ErrorCode::operation_failed, "the VM instance has no root volume to clone");
    if (source.volumes.size() > 1) {
        TRY_ASSIGN(const std::int64_t most, resources::data_volumes_max(transaction));
        if (std::ssize(source.volumes) - 1 > most)
            return fail(ErrorCode::operation_failed,
                        fmt::format("full: the VM instance has more than {} data volumes (kvm.dataVolume.maxNum); detach some first", most));
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

// Each clone gets a NIC on every network of the source.
Result<std::vector<L3NetworkId>> networks_of_clones(Transaction& transaction, const std::vector<VmNic>& nics) {
    std::vector<L3NetworkId> networks;
    networks.reserve(nics.size());
    for (const VmNic& nic : nics) {
        TRY_ASSIGN(const L3Network network, store::get<L3Network>(transaction, nic.l3_network_uuid.text()));
        if (network.state != Enablement::enabled) {
            return fail(ErrorCode::operation_failed,
                        fmt::format("the VM instance has a NIC on L3 network '{}', which is Disabled, and so would its clones; enable it first",
                                    network.name));
        }
        networks.push_back(network.uuid);
    }
    return networks;
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

// The tags of a resource as it is now, or as it was when it was kept.
Result<std::vector<std::string>> tags_of(Transaction& transaction, const std::string& resource, const std::optional<lifecycle::KeptVm>& kept) {
    std::vector<std::string> tags;
    if (kept) return kept->tags.contains(resource) ? kept->tags.at(resource) : tags;
    TRY_ASSIGN(const std::vector<SystemTag> rows, store::list<SystemTag>(transaction, {{"resourceUuid", resource}}));
    for (const SystemTag& row : rows) tags.push_back(row.tag);
    return tags;
}

std::vector<std::string> inherited_tags(const std::vector<std::string>& present, const std::vector<std::string>& requested) {
    std::vector<std::string> tags = requested;
    for (const std::string& tag : present) {
        const bool replaced = tag.starts_with(kProvisioningTag) || std::ranges::find(requested, tag) != requested.end();
        if (!replaced && resources::is_cloneable_tag(tag) && !belongs_to_one_vm(tag)) tags.push_back(tag);
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

Result<void> check_wait_for(const api::CloneVmInstance& message) {
    const bool waits_for_guest = message.wait_for == "agent" || message.wait_for == "ip";
    if (!waits_for_guest || message.strategy == "InstantStart") return {};
    return fail(ErrorCode::invalid_argument, fmt::format("waitFor '{}' needs strategy InstantStart: a clone that is not started never answers; leave "
                                                         "waitFor out, or start the clones",
                                                         message.wait_for));
}

}  // namespace

Result<void> check_names(Transaction& transaction, const std::vector<std::string>& names) {
    std::vector<lifecycle::WantedName> wanted;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].find_first_not_of(" \t\r\n") == std::string::npos)
            return fail(ErrorCode::invalid_argument, fmt::format("names[{}] is empty; every clone needs a name", i));
        wanted.push_back({fmt::format("names[{}]", i), names[i]});
    }
    return lifecycle::require_unique_names(transaction, wanted);
}

Result<CheckedClone> check(Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message) {
    CheckedClone checked;
    TRY(check_wait_for(message));
    TRY(check_names(transaction, message.names));
    TRY_ASSIGN(const std::optional<lifecycle::KeptVm> kept, kept_source(transaction, message));
    checked.kept = kept.has_value();
    if (kept) {
        checked.source = kept->rows;
        if (message.memory) { TRY_ASSIGN(checked.kept_memory, kept_memory(transaction, *kept)); }
    } else {
        TRY_ASSIGN(checked.source, lifecycle::load_vm(transaction, message.vm_instance_uuid));
        TRY(lifecycle::require_state(ErrorCode::operation_failed, checked.source.vm, "CloneVmInstance",
                                     {VmState::running, VmState::paused, VmState::stopped}, request.job));
    }
    TRY_ASSIGN(const std::vector<std::string> source_tags, tags_of(transaction, checked.source.vm.uuid.text(), kept));
    TRY_ASSIGN(checked.tpm_policy, lifecycle::tpm_policy(source_tags, message.system_tags));
    if (message.volume_snapshot_group_uuid && checked.tpm_policy == "copy")
        return fail(ErrorCode::operation_failed,
                    "systemTags: tpmPolicy::copy: snapshots are of disks alone, the TPM's state of that instant was not kept; use tpmPolicy::new, or "
                    "clone a checkpoint, which keeps it");
    if (message.memory) TRY(check_memory(checked.source, message, checked.tpm_policy));
    TRY(check_volumes(transaction, checked.source, message.full));
    TRY_ASSIGN(checked.cluster, check_placement(transaction, checked.source.vm, message));
    TRY(check_tags(request, message));
    TRY_ASSIGN(const std::vector<L3NetworkId> networks, networks_of_clones(transaction, checked.source.nics));
    TRY(lifecycle::check_nic_params(message.vm_nic_params, networks, message.names.size()));
    for (const api::VmNicParam& param : message.vm_nic_params) {
        if (message.identity == "keep" && param.state == "enable")
            return fail(ErrorCode::invalid_argument,
                        "vmNicParams: with identity 'keep' every link starts down; enable it later with ChangeVmNicState");
    }
    checked.vm_tags = inherited_tags(source_tags, message.system_tags);
    for (const Volume& volume : checked.source.volumes) {
        const auto& requested = volume.type == VolumeType::root ? message.root_volume_system_tags : message.data_volume_system_tags;
        TRY_ASSIGN(const std::vector<std::string> tags, tags_of(transaction, volume.uuid.text(), kept));
        checked.volume_tags.push_back(inherited_tags(tags, requested));
    }
    return checked;
}

}  // namespace ramet::clone
