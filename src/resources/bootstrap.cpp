#include "resources/bootstrap.hpp"

#include "base/limits.hpp"
#include "network/ipv4.hpp"
#include "resources/backup_storages.hpp"
#include "resources/directories.hpp"
#include "resources/global_configs.hpp"
#include "resources/networks.hpp"
#include "resources/primary_storages.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

using store::Transaction;

constexpr std::uint32_t kFirstGuestHost = 10;  // below: the gateway, and room for what an operator puts there
constexpr std::uint32_t kLastGuestHost = 250;  // of the last 256 addresses

// Inserts rows that belong to the admin, all with one date.
class Founder {
public:
    Founder(Transaction& transaction, const identity::Caller& admin, Timestamp now) : transaction_(transaction), admin_(admin), now_(now) {}
    Transaction& transaction() { return transaction_; }
    template <class Row>
    Result<void> add(Row& row) {
        row.uuid = decltype(row.uuid)::random();
        return add_known(row);
    }
    template <class Row>
    Result<void> add_known(Row& row) {
        row.create_date = row.last_op_date = now_;
        return insert_owned(transaction_, admin_, row, {}, {}, now_);
    }

private:
    Transaction& transaction_;
    const identity::Caller& admin_;
    Timestamp now_;
};

struct Places {
    Zone zone;
    Cluster cluster;
};

Result<Places> add_places(Transaction& transaction, Founder& founder, const MachineFacts& machine) {
    Places places;
    places.zone.name = kDefaultZoneName;
    places.zone.is_default = true;
    TRY(founder.add(places.zone));
    places.cluster.name = kDefaultClusterName;
    places.cluster.zone_uuid = places.zone.uuid;
    TRY(founder.add(places.cluster));
    Host host;
    host.uuid = local_host_uuid();
    host.zone_uuid = places.zone.uuid;
    host.cluster_uuid = places.cluster.uuid;
    host.name = machine.host_name;
    host.architecture = machine.architecture;
    TRY(take_machine_facts(transaction, host, machine));
    TRY(founder.add_known(host));
    return places;
}

Result<void> add_storages(Founder& founder, const Places& places, const std::string& primary_url, const std::string& backup_url) {
    PrimaryStorage primary;
    primary.zone_uuid = places.zone.uuid;
    primary.name = kDefaultPrimaryStorageName;
    primary.url = primary_url;
    primary.mount_path = primary_url;
    primary.status = Connection::connected;
    TRY(founder.add(primary));
    TRY(store::insert(founder.transaction(), cluster_ref(primary.uuid, places.cluster.uuid)));
    BackupStorage backup;
    backup.name = kDefaultBackupStorageName;
    backup.url = backup_url;
    TRY(founder.add(backup));
    return store::insert(founder.transaction(), zone_ref(backup.uuid, places.zone.uuid));
}

Result<void> add_range(Founder& founder, const L3Network& network, const std::string& cidr_text) {
    const std::optional<network::Cidr> cidr = network::parse_cidr(cidr_text);
    if (!cidr) return {};  // every private network is taken: the operator adds a range of another kind
    const std::uint32_t first = network::network_of(*cidr).value;
    const std::uint32_t last = network::broadcast_of(*cidr).value;
    IpRange range;
    range.l3_network_uuid = network.uuid;
    range.name = kDefaultNetworkName;
    range.start_ip = network::format(network::Ipv4{first + kFirstGuestHost});
    range.end_ip = network::format(network::Ipv4{(last & ~0xFFU) + kLastGuestHost});
    range.gateway = network::format(network::Ipv4{first + 1});
    range.netmask = network::format(network::netmask_of(cidr->prefix_length));
    range.network_cidr = cidr_text;
    range.prefix_len = cidr->prefix_length;
    return founder.add(range);
}

Result<void> add_network(Founder& founder, const Places& places, const MachineFacts& machine) {
    L2Network l2;
    l2.name = kDefaultNetworkName;
    l2.description = "bridge of our own, with NAT to the outside";
    l2.zone_uuid = places.zone.uuid;
    l2.physical_interface = "ramet-nat";
    TRY(founder.add(l2));
    TRY(store::insert(founder.transaction(), cluster_ref(l2.uuid, places.cluster.uuid)));
    L3Network l3;
    l3.name = kDefaultNetworkName;
    l3.zone_uuid = places.zone.uuid;
    l3.l2_network_uuid = l2.uuid;
    l3.dns = machine.dns_servers;
    TRY(founder.add(l3));
    return add_range(founder, l3, pick_free_network(machine.used_networks));
}

Result<void> add_offerings(Founder& founder) {
    struct Size {
        std::string_view name;
        std::int64_t cpus;
        std::int64_t memory_bytes;
    };
    for (const Size& size : {Size{"tiny", 1, 128 * limits::kMiB}, Size{"small", 1, 512 * limits::kMiB}, Size{"medium", 2, 2 * limits::kGiB}}) {
        InstanceOffering offering;
        offering.name = size.name;
        offering.cpu_num = size.cpus;
        offering.memory_size = size.memory_bytes;
        TRY(founder.add(offering));
    }
    DiskOffering disk;
    disk.name = "1G";
    disk.disk_size = limits::kGiB;
    return founder.add(disk);
}

Result<void> refresh(Transaction& transaction, Host host, const MachineFacts& machine, Timestamp now) {
    host.architecture = machine.architecture;
    TRY(take_machine_facts(transaction, host, machine));
    host.last_op_date = now;
    return store::update(transaction, host);
}

}  // namespace

HostId local_host_uuid() { return HostId::derived("ramet", "this machine"); }

Result<void> take_machine_facts(Transaction& transaction, Host& host, const MachineFacts& machine) {
    host.status = Connection::connected;
    host.cpu_num = machine.cpu_num;
    TRY_ASSIGN(host.total_cpu_capacity, cpu_capacity(transaction, machine.cpu_num));
    host.total_memory_capacity = machine.memory_bytes;
    if (machine.accelerator.empty()) return {};  // measured without asking the hypervisor: its words stand
    host.accelerator = machine.accelerator;
    host.accelerator_reason = machine.accelerator_reason;
    host.hypervisor_version = machine.hypervisor_version;
    return {};
}

Result<void> bootstrap(Parts& parts, const identity::Caller& admin, const MachineFacts& machine) {
    const std::string backup_url = parts.data_dir + "/images";
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> primary, parts.storages.open(parts.data_dir + "/primary"));
    TRY(make_writable_directory(backup_url));
    const Timestamp now = parts.clock.now();
    const auto work = [&](Transaction& transaction) -> Result<void> {
        TRY(seed_global_configs(transaction));
        TRY_ASSIGN(std::optional<Host> host, store::find<Host>(transaction, {{"uuid", local_host_uuid().text()}}));
        if (host) return refresh(transaction, std::move(*host), machine, now);
        Founder founder(transaction, admin, now);
        TRY_ASSIGN(const Places places, add_places(transaction, founder, machine));
        TRY(add_storages(founder, places, primary->root(), backup_url));
        TRY(add_network(founder, places, machine));
        return add_offerings(founder);
    };
    return parts.database.write(work);
}

}  // namespace ramet::resources
