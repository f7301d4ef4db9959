// A database of its own, whose reads run twice, with a small inventory: two accounts, one zone, a host, a storage, a network, an image, two VM instances.
#pragma once

#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "identity/caller.hpp"
#include "model/account.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"
#include "store/sqlite/database.hpp"
#include "store/table.hpp"
#include "support/reads_twice.hpp"

namespace ramet::test {

// 32 digits that end in `number`, and are a v4 UUID.
inline std::string uuid_text(int number) {
    std::string digits = std::to_string(number);
    return "00000000000040008000" + std::string(12 - digits.size(), '0') + digits;
}

// A folder in memory where there is one: tests that commit a lot need not wait for a disk.
class MemoryFolder {
public:
    MemoryFolder() {
        std::string name =
            std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/ramet-pool-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
        path_ = name;
    }
    ~MemoryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    MemoryFolder(const MemoryFolder&) = delete;
    MemoryFolder& operator=(const MemoryFolder&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

class TestDatabase {
public:
    TestDatabase() {
        Result<std::unique_ptr<store::Database>> opened = store::open_sqlite(folder_.path() + "/ramet.db");
        if (!opened.has_value()) throw std::runtime_error(opened.error().message + " " + opened.error().detail);
        database_ = std::make_unique<ReadsTwice>(std::move(*opened));
        add_account(admin);
        add_account(alice);
        add_account(bob);
    }
    store::Database& operator*() { return *database_; }
    std::filesystem::path folder() const { return folder_.path(); }

    template <class Row>
    void add(const Row& row) {
        must(database_->write([&](store::Transaction& transaction) { return store::insert(transaction, row); }));
    }
    template <class Row>
    void add_owned(const Row& row, const identity::Caller& owner) {
        must(database_->write([&](store::Transaction& transaction) -> Result<void> {
            TRY(store::insert(transaction, row));
            return identity::own(transaction, owner, row.uuid.text(), describe<Row>().vo_type);
        }));
    }
    template <class Row>
    std::vector<Row> rows(const store::Matches& matches = {}) {
        std::vector<Row> found;
        must(database_->read([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(found, store::list<Row>(transaction, matches));
            return {};
        }));
        return found;
    }
    static void must(const Result<void>& result) {
        if (!result.has_value()) throw std::runtime_error(result.error().message + " " + result.error().detail);
    }

    const identity::Caller admin{AccountId::trusted(uuid_text(1)), "admin", true};
    const identity::Caller alice{AccountId::trusted(uuid_text(2)), "alice", false};
    const identity::Caller bob{AccountId::trusted(uuid_text(3)), "bob", false};

private:
    void add_account(const identity::Caller& caller) {
        Account account;
        account.uuid = caller.account;
        account.name = caller.account_name;
        account.type = caller.admin ? "SystemAdmin" : "Normal";
        add(account);
    }
    MemoryFolder folder_;
    std::unique_ptr<store::Database> database_;
};

// alice owns VM "web01" (Running, 2 CPUs) with one NIC and a root volume; bob owns "db01" (Stopped, 4 CPUs); the admin owns the rest.
struct SmallPool : TestDatabase {
    SmallPool() {
        zone.uuid = ZoneId::trusted(uuid_text(10));
        zone.name = "zone1";
        add_owned(zone, admin);
        cluster.uuid = ClusterId::trusted(uuid_text(11));
        cluster.name = "cluster1";
        cluster.zone_uuid = zone.uuid;
        add_owned(cluster, admin);
        host.uuid = HostId::trusted(uuid_text(12));
        host.name = "host1";
        host.zone_uuid = zone.uuid;
        host.cluster_uuid = cluster.uuid;
        host.total_cpu_capacity = 20;
        host.total_memory_capacity = 8LL << 30;
        add_owned(host, admin);
        storage.uuid = PrimaryStorageId::trusted(uuid_text(13));
        storage.name = "local";
        storage.zone_uuid = zone.uuid;
        storage.url = "/srv/primary";
        add_owned(storage, admin);
        add(PrimaryStorageClusterRef{"ref1", storage.uuid, cluster.uuid});
        image.uuid = ImageId::trusted(uuid_text(14));
        image.name = "debian";
        image.status = ImageStatus::ready;
        add_owned(image, admin);
        l2.uuid = L2NetworkId::trusted(uuid_text(15));
        l2.name = "l2";
        l2.zone_uuid = zone.uuid;
        add_owned(l2, admin);
        add(L2NetworkClusterRef{"ref2", l2.uuid, cluster.uuid});
        l3.uuid = L3NetworkId::trusted(uuid_text(16));
        l3.name = "default";
        l3.zone_uuid = zone.uuid;
        l3.l2_network_uuid = l2.uuid;
        add_owned(l3, admin);
        range.uuid = IpRangeId::trusted(uuid_text(17));
        range.l3_network_uuid = l3.uuid;
        range.name = "range";
        range.start_ip = "10.0.0.10";
        range.end_ip = "10.0.0.20";
        range.netmask = "255.255.255.0";
        range.gateway = "10.0.0.1";
        range.network_cidr = "10.0.0.0/24";
        add_owned(range, admin);
        web = add_vm(20, "web01", VmState::running, 2, alice);
        db = add_vm(30, "db01", VmState::stopped, 4, bob);
    }

    // Rows number .. number + 4: VM, NIC, address, volume, layer.
    VmInstance add_vm(int number, const std::string& name, VmState state, std::int64_t cpus, const identity::Caller& owner) {
        VmInstance vm;
        vm.uuid = VmId::trusted(uuid_text(number));
        vm.name = name;
        vm.zone_uuid = zone.uuid;
        vm.cluster_uuid = cluster.uuid;
        vm.image_uuid = image.uuid;
        vm.default_l3_network_uuid = l3.uuid;
        vm.cpu_num = cpus;
        vm.memory_size = cpus << 28;
        vm.state = state;
        if (state == VmState::running) vm.host_uuid = host.uuid;
        vm.root_volume_uuid = VolumeId::trusted(uuid_text(number + 3));
        vm.create_date = Timestamp{1'700'000'000'000 + number};
        add_owned(vm, owner);
        VmNic nic;
        nic.uuid = NicId::trusted(uuid_text(number + 1));
        nic.vm_instance_uuid = vm.uuid;
        nic.l3_network_uuid = l3.uuid;
        nic.ip = "10.0.0." + std::to_string(number);
        nic.mac = "fa:00:00:00:00:" + std::to_string(number);
        nic.internal_name = "tap" + std::to_string(number);
        add(nic);
        UsedIp address;
        address.uuid = UsedIpId::trusted(uuid_text(number + 2));
        address.ip_range_uuid = range.uuid;
        address.l3_network_uuid = l3.uuid;
        address.ip = *nic.ip;
        address.netmask = range.netmask;
        address.gateway = range.gateway;
        address.vm_nic_uuid = nic.uuid;
        add(address);
        Layer layer;
        layer.uuid = LayerId::trusted(uuid_text(number + 4));
        layer.primary_storage_uuid = storage.uuid;
        layer.path = name + ".qcow2";
        layer.volume_uuid = vm.root_volume_uuid;
        add(layer);
        Volume volume;
        volume.uuid = *vm.root_volume_uuid;
        volume.name = "ROOT-for-" + name;
        volume.primary_storage_uuid = storage.uuid;
        volume.vm_instance_uuid = vm.uuid;
        volume.root_image_uuid = image.uuid;
        volume.device_id = 0;
        volume.status = VolumeStatus::ready;
        volume.top_layer_uuid = layer.uuid;
        add_owned(volume, owner);
        return vm;
    }

    void add_tag(const std::string& resource, const std::string& text, const std::string& type = "VmInstanceVO") {
        SystemTag tag;
        tag.uuid = TagId::random();
        tag.resource_uuid = resource;
        tag.resource_type = type;
        tag.tag = text;
        add(tag);
    }

    Zone zone;
    Cluster cluster;
    Host host;
    PrimaryStorage storage;
    Image image;
    L2Network l2;
    L3Network l3;
    IpRange range;
    VmInstance web, db;
};

}  // namespace ramet::test
