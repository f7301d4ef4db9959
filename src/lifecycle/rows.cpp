#include "lifecycle/rows.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "store/table.hpp"

namespace ramet::lifecycle {
namespace {

constexpr std::size_t kHostNameCharactersMax = 63;  // RFC 1123
constexpr std::size_t kChainDepthMax = 512;         // a longer chain is a loop or a bug

// The root volume first, the others by device id.
bool by_device(const Volume& left, const Volume& right) {
    return std::pair(left.type != VolumeType::root, left.device_id.value_or(0)) <
           std::pair(right.type != VolumeType::root, right.device_id.value_or(0));
}

// A guest has one default route. A VM whose default network has no NIC any more takes that of the first.
bool has_default_route(const VmRows& rows, const VmNic& nic) {
    const bool there = std::ranges::any_of(rows.nics, [&](const VmNic& one) { return one.l3_network_uuid == rows.vm.default_l3_network_uuid; });
    return nic.l3_network_uuid == (there ? *rows.vm.default_l3_network_uuid : rows.nics.front().l3_network_uuid);
}

// A guest uses no more queues than it has CPUs, and only virtio has several.
std::int64_t queues_of(const VmInstance& vm, const VmNic& nic) {
    return nic.driver_type == "virtio" ? std::max<std::int64_t>(1, std::min(nic.multi_queue_num.value_or(1), vm.cpu_num)) : 1;
}

}  // namespace

Result<std::vector<std::string>> system_tags_of(store::Transaction& transaction, const std::string& resource) {
    TRY_ASSIGN(const std::vector<SystemTag> rows, store::list<SystemTag>(transaction, {{"resourceUuid", resource}}));
    std::vector<std::string> tags;
    tags.reserve(rows.size());
    for (const SystemTag& row : rows) tags.push_back(row.tag);
    return tags;
}

Result<VmRows> load_vm(store::Transaction& transaction, const VmId& vm) {
    VmRows rows;
    TRY_ASSIGN(rows.vm, store::get<VmInstance>(transaction, vm.text()));
    TRY_ASSIGN(rows.nics, store::list<VmNic>(transaction, {{"vmInstanceUuid", vm.text()}}, "deviceId"));
    TRY_ASSIGN(rows.volumes, store::list<Volume>(transaction, {{"vmInstanceUuid", vm.text()}}));
    std::ranges::sort(rows.volumes, by_device);
    TRY_ASSIGN(rows.identity, guest::find_identity(transaction, vm));
    rows.host_name = rows.identity && rows.identity->host_name ? *rows.identity->host_name : host_name_from(rows.vm.name, vm);
    TRY_ASSIGN(const std::vector<SystemTag> tags, store::list<SystemTag>(transaction, {{"resourceUuid", vm.text()}}));
    constexpr std::string_view kHostNameTag = "hostname::";
    for (const SystemTag& tag : tags) {
        if (tag.tag.starts_with(kHostNameTag)) rows.host_name = tag.tag.substr(kHostNameTag.size());
    }
    return rows;
}

Result<storage::Place> place_of(store::Transaction& transaction, const Layer& layer) {
    TRY_ASSIGN(const PrimaryStorage storage, store::get<PrimaryStorage>(transaction, layer.primary_storage_uuid.text()));
    return storage::Place{storage.url, layer.path, layer.format};
}

Result<std::vector<storage::Place>> chain_of(store::Transaction& transaction, const LayerId& top) {
    std::vector<storage::Place> chain;
    std::optional<LayerId> next = top;
    while (next) {
        if (chain.size() == kChainDepthMax) return fail(ErrorCode::internal, "a volume's chain of layers is too long", "layer " + top.text());
        TRY_ASSIGN(const Layer layer, store::get<Layer>(transaction, next->text()));
        TRY_ASSIGN(storage::Place place, place_of(transaction, layer));
        chain.push_back(std::move(place));
        next = layer.parent_uuid;
    }
    return chain;
}

Result<hypervisor::DiskSpec> disk_spec(store::Transaction& transaction, const Volume& volume) {
    if (!volume.top_layer_uuid)
        return fail(ErrorCode::operation_failed, "volume '" + volume.uuid.text() + "' has no disk yet; delete it or attach it to a VM first");
    hypervisor::DiskSpec disk{volume.uuid, volume.device_id.value_or(0), {}};
    TRY_ASSIGN(disk.chain_top_first, chain_of(transaction, *volume.top_layer_uuid));
    return disk;
}

Result<hypervisor::DomainSpec> domain_spec(store::Transaction& transaction, const VmRows& rows, const std::string& seed_image, bool taps) {
    hypervisor::DomainSpec spec;
    spec.vm = rows.vm.uuid;
    spec.cpu_num = rows.vm.cpu_num;
    spec.memory_bytes = rows.vm.memory_size;
    spec.seed_image = seed_image;
    spec.machine_serial = rows.vm.uuid.text();
    spec.generation = rows.generation();
    for (const Volume& volume : rows.volumes) {
        TRY_ASSIGN(hypervisor::DiskSpec disk, disk_spec(transaction, volume));
        spec.disks.push_back(std::move(disk));
    }
    for (const VmNic& nic : rows.nics) {
        hypervisor::NicSpec device;
        device.nic = nic.uuid;
        device.device_id = nic.device_id;
        device.mac = nic.mac;
        device.tap = taps ? nic.internal_name : std::string{};
        device.ip = nic.ip.value_or("");
        device.netmask = nic.netmask.value_or("");
        device.gateway = nic.gateway.value_or("");
        device.host_name = rows.host_name;
        device.driver = nic.driver_type;
        device.link_up = nic.state == NicState::enable;
        device.queues = queues_of(rows.vm, nic);
        spec.nics.push_back(std::move(device));
    }
    return spec;
}

Result<hypervisor::NetworkSpec> network_spec(store::Transaction& transaction, const L3NetworkId& l3) {
    TRY_ASSIGN(const L3Network network, store::get<L3Network>(transaction, l3.text()));
    TRY_ASSIGN(const L2Network l2, store::get<L2Network>(transaction, network.l2_network_uuid.text()));
    TRY_ASSIGN(const std::vector<IpRange> ranges, store::list<IpRange>(transaction, {{"l3NetworkUuid", l3.text()}}, "createDate"));
    hypervisor::NetworkSpec spec;
    spec.l3 = l3;
    spec.l2 = l2.uuid;
    spec.physical_interface = l2.physical_interface;
    spec.dns = network.dns;
    spec.dns_domain = network.dns_domain.value_or("");
    if (!ranges.empty()) {
        spec.gateway = ranges.front().gateway;
        spec.netmask = ranges.front().netmask;
        spec.prefix_length = ranges.front().prefix_len;
        spec.network_cidr = ranges.front().network_cidr;
    }
    spec.dhcp = !ranges.empty();
    return spec;
}

hypervisor::PortSpec port_spec(const VmRows& rows, const VmNic& nic) {
    return hypervisor::PortSpec{.nic = nic.uuid,
                                .l3 = nic.l3_network_uuid,
                                .tap = nic.internal_name,
                                .mac = nic.mac,
                                .ip = nic.ip.value_or(""),
                                .host_name = rows.host_name,
                                .enabled = nic.state == NicState::enable,
                                .sent_bits_max = nic.outbound_bandwidth.value_or(0),
                                .received_bits_max = nic.inbound_bandwidth.value_or(0),
                                .queues = queues_of(rows.vm, nic),
                                .default_route = rows.nics.empty() || has_default_route(rows, nic)};
}

std::string host_name_from(const std::string& vm_name, const VmId& vm) {
    std::string name;
    for (const char character : vm_name) {
        const bool upper = character >= 'A' && character <= 'Z';
        const bool kept = (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
        const char mapped = upper ? static_cast<char>(character - 'A' + 'a') : (kept ? character : '-');
        if (mapped == '-' && (name.empty() || name.back() == '-')) continue;
        name += mapped;
    }
    name = name.substr(0, kHostNameCharactersMax);
    while (!name.empty() && name.back() == '-') name.pop_back();
    return name.empty() ? "vm-" + vm.text().substr(0, 8) : name;
}

Error wrong_state(ErrorCode outer, const VmInstance& vm, std::string_view message, std::initializer_list<VmState> allowed) {
    std::string states;
    for (const VmState state : allowed) states += (states.empty() ? "" : ", ") + std::string(name_of(state));
    Error inner{
        ErrorCode::wrong_state,
        fmt::format("VM instance '{}' (uuid {}) is {}; {} needs it to be one of [{}]", vm.name, vm.uuid.text(), name_of(vm.state), message, states),
        {},
        nullptr,
        {}};
    Error error{outer, inner.message, {}, nullptr, {}};
    error.cause = std::make_shared<const Error>(std::move(inner));
    return error;
}

Result<void> require_state(ErrorCode outer, const VmInstance& vm, std::string_view message, std::initializer_list<VmState> allowed,
                           const JobId& job) {
    if (vm.owner_job_uuid && *vm.owner_job_uuid != job) {
        return Error{outer,
                     fmt::format("VM instance '{}' is still being made by job {}; wait for that job", vm.name, vm.owner_job_uuid->text()),
                     {},
                     nullptr,
                     {}};
    }
    if (std::ranges::find(allowed, vm.state) == allowed.end()) return wrong_state(outer, vm, message, allowed);
    return {};
}

Result<void> set_vm_state(store::Transaction& transaction, VmInstance vm, VmState state, Timestamp now) {
    vm.state = state;
    vm.last_op_date = now;
    return store::update(transaction, vm);
}

std::string seed_path(const std::string& data_dir, const VmId& vm) { return data_dir + "/seeds/" + vm.text() + ".iso"; }

std::string first_layer_path(const Volume& volume, const AccountId& account) {
    const std::string_view kind = volume.type == VolumeType::root ? "rootVolumes" : "dataVolumes";
    return fmt::format("{}/acct-{}/vol-{}/{}.qcow2", kind, account.text(), volume.uuid.text(), volume.uuid.text());
}

std::string later_layer_path(const Layer& first_or_any, const LayerId& layer) {
    return first_or_any.path.substr(0, first_or_any.path.rfind('/') + 1) + layer.text() + ".qcow2";
}

}  // namespace ramet::lifecycle
