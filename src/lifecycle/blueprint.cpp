// Rows of VMs to be made, and the rules for NIC parameters.
#include <fmt/format.h>
#include <algorithm>
#include <set>

#include "lifecycle/create_vm.hpp"
#include "lifecycle/rows.hpp"
#include "network/addresses.hpp"

namespace ramet::lifecycle {
namespace {

constexpr std::string_view kStaticIpTag = "staticIp::";
constexpr std::string_view kCustomMacTag = "customMac::";

Result<void> check_nic_param(const api::VmNicParam& param, const std::string& place, std::size_t vm_count) {
    const auto invalid = [&](std::string_view field, const std::string& why) {
        return fail(ErrorCode::invalid_argument, fmt::format("{}.{}: {}", place, field, why));
    };
    if (vm_count > 1 && param.ip)
        return invalid("ip", fmt::format("one address cannot be given to {} VM instances; leave it out, or ask for one name", vm_count));
    if (vm_count > 1 && param.mac)
        return invalid("mac", fmt::format("one MAC cannot be given to {} VM instances; leave it out, or ask for one name", vm_count));
    if (param.ip6 || param.prefix6 || param.gateway6) return invalid("ip6", "IPv6 is not supported; use ip");
    if (!param.sg_uuids.empty()) return invalid("sgUuids", "security groups are not supported; leave it empty");
    if (param.vm_nic_type && *param.vm_nic_type != "VNIC") return invalid("VmNicType", "must be VNIC");
    if (param.mac) TRY(network::checked_mac(*param.mac, place + ".mac"));
    if ((param.netmask || param.gateway) && !param.ip) return invalid(param.netmask ? "netmask" : "gateway", "needs ip beside it");
    return {};
}

}  // namespace

Result<void> check_nic_params(const std::vector<api::VmNicParam>& params, const std::vector<L3NetworkId>& networks, std::size_t vm_count) {
    std::set<std::string> seen, ips, macs;
    std::size_t defaults = 0;
    for (std::size_t i = 0; i < params.size(); ++i) {
        const api::VmNicParam& param = params[i];
        const std::string place = fmt::format("vmNicParams[{}]", i);
        if (std::ranges::find(networks, param.l3_network_uuid) == networks.end()) {
            return fail(ErrorCode::invalid_argument,
                        fmt::format("{}.l3NetworkUuid: the VM instance has no NIC on L3 network {}", place, param.l3_network_uuid.text()));
        }
        if (!seen.insert(param.l3_network_uuid.text()).second)
            return fail(ErrorCode::invalid_argument, fmt::format("{}.l3NetworkUuid: given twice", place));
        TRY(check_nic_param(param, place, vm_count));
        if (param.ip && !ips.insert(*param.ip).second) return fail(ErrorCode::invalid_argument, place + ".ip: given twice");
        if (param.mac && !macs.insert(*param.mac).second) return fail(ErrorCode::invalid_argument, place + ".mac: given twice");
        if (param.is_default_nic.value_or(false) && ++defaults > 1)
            return fail(ErrorCode::invalid_argument, place + ".isDefaultNic: only one NIC can be the default");
    }
    return {};
}

Result<void> check_nic_powers(const Parts& parts, const std::vector<api::VmNicParam>& params) {
    if (parts.shared.plumbing.privileged()) return {};
    for (std::size_t i = 0; i < params.size(); ++i) {
        std::string_view field;
        if (params[i].outbound_bandwidth) field = "outboundBandwidth";
        if (params[i].inbound_bandwidth) field = "inboundBandwidth";
        if (params[i].multi_queue_num.value_or(1) > 1) field = "multiQueueNum";
        if (field.empty()) continue;
        return fail(
            ErrorCode::invalid_argument,
            fmt::format("vmNicParams[{}].{}: this server uses QEMU user networking, which has none; run rametd as root, or leave it out", i, field));
    }
    return {};
}

NicBlueprint nic_blueprint(const VmId& vm, const L3NetworkId& l3, std::int64_t device_id, Timestamp now) {
    NicBlueprint blueprint;
    blueprint.nic.uuid = NicId::derived(vm.text(), "nic/" + std::to_string(device_id));
    blueprint.nic.vm_instance_uuid = vm;
    blueprint.nic.l3_network_uuid = l3;
    blueprint.nic.device_id = device_id;
    blueprint.nic.internal_name = network::tap_name(blueprint.nic.uuid);
    blueprint.nic.create_date = blueprint.nic.last_op_date = now;
    return blueprint;
}

void apply_nic_param(NicBlueprint& nic, const api::VmNicParam& param, std::size_t index) {
    nic.ip_field = fmt::format("vmNicParams[{}].ip", index);
    nic.mac_field = fmt::format("vmNicParams[{}].mac", index);
    nic.wanted_ip = param.ip;
    nic.wanted_mac = param.mac;
    nic.wanted_netmask = param.netmask;
    nic.wanted_gateway = param.gateway;
    if (param.driver_type) nic.nic.driver_type = *param.driver_type;
    if (param.meta_data) nic.nic.meta_data = param.meta_data;
    if (param.state) nic.nic.state = *param.state == "disable" ? NicState::disable : NicState::enable;
    if (param.outbound_bandwidth) nic.nic.outbound_bandwidth = param.outbound_bandwidth;
    if (param.inbound_bandwidth) nic.nic.inbound_bandwidth = param.inbound_bandwidth;
    if (param.multi_queue_num) nic.nic.multi_queue_num = param.multi_queue_num;
}

bool asks_for_mac(const std::vector<api::VmNicParam>& params, const std::vector<std::string>& system_tags) {
    return std::ranges::any_of(params, [](const api::VmNicParam& param) { return param.mac.has_value(); }) ||
           std::ranges::any_of(system_tags, [](const std::string& tag) { return tag.starts_with(kCustomMacTag); });
}

Result<void> apply_address_tags(std::vector<NicBlueprint>& nics, const std::vector<std::string>& system_tags) {
    for (const std::string& tag : system_tags) {
        const bool is_ip = tag.starts_with(kStaticIpTag);
        if (!is_ip && !tag.starts_with(kCustomMacTag)) continue;
        const std::string_view l3_and_value = std::string_view(tag).substr(is_ip ? kStaticIpTag.size() : kCustomMacTag.size());
        const std::string_view l3 = l3_and_value.substr(0, l3_and_value.find("::"));
        const std::string value(l3_and_value.substr(std::min(l3.size() + 2, l3_and_value.size())));
        const auto nic = std::ranges::find_if(nics, [&](const NicBlueprint& candidate) { return candidate.nic.l3_network_uuid.text() == l3; });
        if (nic == nics.end())
            return fail(ErrorCode::invalid_argument, fmt::format("systemTags: '{}' names an L3 network that the VM instance is not on", tag));
        std::optional<std::string>& wanted = is_ip ? nic->wanted_ip : nic->wanted_mac;
        if (wanted && *wanted != value)
            return fail(ErrorCode::invalid_argument, fmt::format("systemTags: '{}' and '{}' were both asked for; leave one out", *wanted, value));
        if (!wanted) (is_ip ? nic->ip_field : nic->mac_field) = "systemTags";
        wanted = value;
    }
    return {};
}

Volume volume_row(const VolumeId& uuid, const VmInstance& vm, VolumeType type, std::int64_t device_id, std::int64_t size, Timestamp now) {
    Volume volume;
    volume.uuid = uuid;
    volume.name = (type == VolumeType::root ? "ROOT-for-" : "DATA-for-") + vm.name;
    volume.vm_instance_uuid = vm.uuid;
    volume.type = type;
    volume.size = size;
    volume.device_id = device_id;
    volume.create_date = volume.last_op_date = now;
    if (type == VolumeType::data) volume.last_attach_date = now;
    return volume;
}

Layer first_layer(Volume& volume, const PrimaryStorage& storage, const AccountId& account, const std::optional<LayerId>& parent, Timestamp now) {
    Layer layer;
    layer.uuid = LayerId::derived(volume.uuid.text(), "layer/0");
    layer.primary_storage_uuid = storage.uuid;
    layer.path = first_layer_path(volume, account);
    layer.size = volume.size;
    layer.parent_uuid = parent;
    layer.volume_uuid = volume.uuid;
    layer.untouched = parent.has_value();
    layer.create_date = now;
    volume.primary_storage_uuid = storage.uuid;
    volume.top_layer_uuid = layer.uuid;
    volume.install_path = storage.url + "/" + layer.path;
    return layer;
}

}  // namespace ramet::lifecycle
