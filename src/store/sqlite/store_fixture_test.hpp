// What the store's tests share: a database in a folder of its own, and one complete VM with all that it refers to.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "model/account.hpp"
#include "model/vm.hpp"
#include "store/sqlite/database.hpp"
#include "store/table.hpp"

namespace ramet::store {

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ramet-store-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string file() const { return (path_ / "state.db").string(); }

private:
    std::filesystem::path path_;
};

class StoreTest : public testing::Test {
protected:
    void SetUp() override { open(); }
    void open() {
        Result<std::unique_ptr<Database>> opened = open_sqlite(folder_.file());
        ASSERT_TRUE(opened.has_value()) << opened.error().message << " / " << opened.error().detail;
        database_ = std::move(*opened);
    }
    template <class Row>
    Result<void> insert_row(const Row& row) {
        return database_->write([&](Transaction& transaction) { return insert(transaction, row); });
    }
    template <class Row>
    std::int64_t count_rows(const Matches& matches = {}) {
        const Result<std::int64_t> counted = read(*database_, [&](Transaction& transaction) { return count<Row>(transaction, matches); });
        EXPECT_TRUE(counted.has_value());
        return counted.value_or(-1);
    }

    TemporaryFolder folder_;
    std::unique_ptr<Database> database_;
};

inline UserTag make_tag(const std::string& text) {
    UserTag tag;
    tag.uuid = TagId::random();
    tag.resource_uuid = "r";
    tag.resource_type = "VmInstanceVO";
    tag.tag = text;
    return tag;
}

struct Pool {
    Zone zone;
    Cluster cluster;
    Host host;
    PrimaryStorage storage;
    L2Network l2;
    L3Network l3;
    IpRange range;
    VmInstance vm;
    VmNic nic;
    UsedIp ip;
    Layer layer;
    Volume volume;
};

inline Pool make_pool() {
    Pool pool;
    pool.zone.uuid = ZoneId::random();
    pool.zone.name = "zone";
    pool.cluster.uuid = ClusterId::random();
    pool.cluster.name = "cluster";
    pool.cluster.zone_uuid = pool.zone.uuid;
    pool.host.uuid = HostId::random();
    pool.host.zone_uuid = pool.zone.uuid;
    pool.host.cluster_uuid = pool.cluster.uuid;
    pool.storage.uuid = PrimaryStorageId::random();
    pool.storage.zone_uuid = pool.zone.uuid;
    pool.l2.uuid = L2NetworkId::random();
    pool.l2.zone_uuid = pool.zone.uuid;
    pool.l3.uuid = L3NetworkId::random();
    pool.l3.zone_uuid = pool.zone.uuid;
    pool.l3.l2_network_uuid = pool.l2.uuid;
    pool.range.uuid = IpRangeId::random();
    pool.range.l3_network_uuid = pool.l3.uuid;
    pool.vm.uuid = VmId::random();
    pool.vm.name = "Web";
    pool.vm.zone_uuid = pool.zone.uuid;
    pool.vm.cluster_uuid = pool.cluster.uuid;
    pool.vm.host_uuid = pool.host.uuid;
    pool.nic.uuid = NicId::random();
    pool.nic.vm_instance_uuid = pool.vm.uuid;
    pool.nic.l3_network_uuid = pool.l3.uuid;
    pool.nic.mac = "fa:00:00:00:00:01";
    pool.nic.internal_name = "vnic1.0";
    pool.ip.uuid = UsedIpId::random();
    pool.ip.ip_range_uuid = pool.range.uuid;
    pool.ip.l3_network_uuid = pool.l3.uuid;
    pool.ip.ip = "10.0.0.2";
    pool.ip.vm_nic_uuid = pool.nic.uuid;
    pool.layer.uuid = LayerId::random();
    pool.layer.primary_storage_uuid = pool.storage.uuid;
    pool.layer.path = "layers/one.qcow2";
    pool.volume.uuid = VolumeId::random();
    pool.volume.vm_instance_uuid = pool.vm.uuid;
    pool.volume.primary_storage_uuid = pool.storage.uuid;
    pool.volume.top_layer_uuid = pool.layer.uuid;
    pool.volume.device_id = 0;
    pool.vm.root_volume_uuid = pool.volume.uuid;
    return pool;
}

// Children first: references are checked at the end of the transaction only.
inline Result<void> insert_pool(Transaction& transaction, const Pool& pool) {
    TRY(insert(transaction, pool.volume));
    TRY(insert(transaction, pool.layer));
    TRY(insert(transaction, pool.ip));
    TRY(insert(transaction, pool.nic));
    TRY(insert(transaction, pool.vm));
    TRY(insert(transaction, pool.range));
    TRY(insert(transaction, pool.l3));
    TRY(insert(transaction, pool.l2));
    TRY(insert(transaction, pool.storage));
    TRY(insert(transaction, pool.host));
    TRY(insert(transaction, pool.cluster));
    return insert(transaction, pool.zone);
}

}  // namespace ramet::store
