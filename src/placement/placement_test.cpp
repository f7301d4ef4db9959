#include "placement/placement.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "base/limits.hpp"

namespace ramet::placement {

namespace {

using limits::kGiB;
using limits::kMiB;

const ZoneId kZone = ZoneId::derived("zone", "1");
const ClusterId kCluster = ClusterId::derived("cluster", "1");
const PrimaryStorageId kStorage = PrimaryStorageId::derived("storage", "1");
const L2NetworkId kNetwork = L2NetworkId::derived("l2", "1");

HostFacts make_host(const std::string& name) {
    HostFacts facts;
    facts.host.uuid = HostId::trusted(std::string(31, '0') + name.back());
    facts.host.name = name;
    facts.host.zone_uuid = kZone;
    facts.host.cluster_uuid = kCluster;
    facts.host.status = Connection::connected;
    facts.host.cpu_num = 4;
    facts.host.total_cpu_capacity = 40;
    facts.host.total_memory_capacity = 16 * kGiB;
    facts.storages = {kStorage};
    facts.l2_networks = {kNetwork};
    return facts;
}

VmNeeds make_needs() {
    VmNeeds needs;
    needs.cpu = 2;
    needs.memory = kGiB;
    needs.storages = {kStorage};
    needs.l2_networks = {kNetwork};
    return needs;
}

StorageFacts make_storage(const std::string& name, std::int64_t available) {
    StorageFacts facts;
    facts.storage.uuid = PrimaryStorageId::trusted(std::string(31, '0') + name.back());
    facts.storage.name = name;
    facts.storage.status = Connection::connected;
    facts.storage.attached_cluster_uuids = {kCluster};
    facts.available = available;
    return facts;
}

}  // namespace

TEST(Placement, ReservesMemoryForTheHost) {
    struct Case {
        std::int64_t total, expected;
    };
    for (const Case& each : {Case{16 * kGiB, 15 * kGiB}, Case{8 * kGiB, 7 * kGiB}, Case{4000 * kMiB, 3600 * kMiB}, Case{0, 0}}) {
        Host host;
        host.total_memory_capacity = each.total;
        EXPECT_EQ(memory_capacity(host), each.expected);
    }
}

TEST(Placement, EachFilterRefusesItsHostAndSaysWhy) {
    struct Case {
        const char* reason;
        std::function<void(HostFacts&, VmNeeds&)> spoil;
    };
    const std::vector<Case> cases{
        {"L2 network", [](HostFacts& facts, VmNeeds&) { facts.l2_networks.clear(); }},
        {"another zone", [](HostFacts&, VmNeeds& needs) { needs.zone = ZoneId::random(); }},
        {"another cluster", [](HostFacts&, VmNeeds& needs) { needs.cluster = ClusterId::random(); }},
        {"another host", [](HostFacts&, VmNeeds& needs) { needs.host = HostId::random(); }},
        {"primary storage", [](HostFacts& facts, VmNeeds&) { facts.storages.clear(); }},
        {"it is disabled", [](HostFacts& facts, VmNeeds&) { facts.host.state = Enablement::disabled; }},
        {"cluster is disabled", [](HostFacts& facts, VmNeeds&) { facts.cluster_enabled = false; }},
        {"zone is disabled", [](HostFacts& facts, VmNeeds&) { facts.zone_enabled = false; }},
        {"Connecting", [](HostFacts& facts, VmNeeds&) { facts.host.status = Connection::connecting; }},
        {"Disconnected", [](HostFacts& facts, VmNeeds&) { facts.host.status = Connection::disconnected; }},
        {"avoided", [](HostFacts& facts, VmNeeds& needs) { needs.avoid = {facts.host.uuid}; }},
        {"2 vCPUs needed, 1 free", [](HostFacts& facts, VmNeeds&) { facts.used_cpu = 39; }},
        {"1024 MiB of memory needed, 1023 MiB free", [](HostFacts& facts, VmNeeds&) { facts.used_memory = 15 * kGiB - 1023 * kMiB; }},
    };
    for (const Case& each : cases) {
        HostFacts facts = make_host("host-1");
        VmNeeds needs = make_needs();
        ASSERT_TRUE(place_vms(std::vector{facts}, needs, 1).has_value());
        each.spoil(facts, needs);
        const Result<std::vector<Decision>> placed = place_vms(std::vector{facts}, needs, 1);
        ASSERT_FALSE(placed.has_value()) << each.reason;
        EXPECT_EQ(placed.error().code, ErrorCode::no_host);
        EXPECT_NE(placed.error().message.find("'host-1'"), std::string::npos);
        EXPECT_NE(placed.error().message.find(each.reason), std::string::npos) << placed.error().message;
    }
    EXPECT_EQ(place_vms({}, make_needs(), 1).error().code, ErrorCode::no_host);
}

TEST(Placement, FillsToTheLastVcpuAndByte) {
    HostFacts facts = make_host("host-1");
    VmNeeds needs = make_needs();
    facts.used_cpu = 38;
    facts.used_memory = 14 * kGiB;
    EXPECT_TRUE(place_vms(std::vector{facts}, needs, 1).has_value());
    const Result<std::vector<Decision>> two = place_vms(std::vector{facts}, needs, 2);
    ASSERT_FALSE(two.has_value());
    EXPECT_NE(two.error().message.find("VM 2 of 2"), std::string::npos) << two.error().message;
}

TEST(Placement, GivesAwayMoreMemoryThanThereIsWhereThatIsWantedAndNeverToOneVm) {
    HostFacts facts = make_host("host-1");
    facts.memory_ratio = 1.5;
    VmNeeds needs = make_needs();
    needs.memory = 15 * kGiB;
    EXPECT_TRUE(place_vms(std::vector{facts}, needs, 1).has_value());
    facts.used_memory = 15 * kGiB;
    needs.memory = 7 * kGiB + 512 * kMiB;
    EXPECT_TRUE(place_vms(std::vector{facts}, needs, 1).has_value());
    needs.memory += kMiB;
    EXPECT_FALSE(place_vms(std::vector{facts}, needs, 1).has_value());
    facts.used_memory = 0;
    needs.memory = 16 * kGiB;
    const Result<std::vector<Decision>> one = place_vms(std::vector{facts}, needs, 1);
    ASSERT_FALSE(one.has_value());
    EXPECT_NE(one.error().message.find("needed by one VM"), std::string::npos) << one.error().message;
}

TEST(Placement, SpreadsOverTheHostsWithTheFewestVms) {
    std::vector<HostFacts> hosts{make_host("host-1"), make_host("host-2"), make_host("host-3")};
    hosts[0].vm_count = 2;
    hosts[1].vm_count = 1;
    const Result<std::vector<Decision>> placed = place_vms(hosts, make_needs(), 6);
    ASSERT_TRUE(placed.has_value());
    std::string order;
    for (const Decision& decision : *placed) order += decision.host.text().back();
    EXPECT_EQ(order, "323123");
    EXPECT_EQ(placed->front().reason, "fewest VMs (0)");
}

TEST(Placement, PrefersTheLastHostWhileItHasRoom) {
    std::vector<HostFacts> hosts{make_host("host-1"), make_host("host-2")};
    hosts[1].vm_count = 9;
    hosts[1].used_memory = 14 * kGiB;
    VmNeeds needs = make_needs();
    needs.last_host = hosts[1].host.uuid;
    const Result<std::vector<Decision>> placed = place_vms(hosts, needs, 2);
    ASSERT_TRUE(placed.has_value());
    EXPECT_EQ((*placed)[0].host, hosts[1].host.uuid);
    EXPECT_EQ((*placed)[0].reason, "the last host");
    EXPECT_EQ((*placed)[1].host, hosts[0].host.uuid);
    EXPECT_EQ((*placed)[1].reason, "the only fit host");
}

TEST(Placement, TheHostAskedForIsTakenOrNone) {
    std::vector<HostFacts> hosts{make_host("host-1"), make_host("host-2")};
    hosts[1].vm_count = 9;
    VmNeeds needs = make_needs();
    needs.host = hosts[1].host.uuid;
    EXPECT_EQ(place_vms(hosts, needs, 1)->front().host, hosts[1].host.uuid);
    hosts[1].host.state = Enablement::disabled;
    EXPECT_FALSE(place_vms(hosts, needs, 1).has_value());
}

TEST(PrimaryStorageChoice, TakesTheOneWithTheMostRoomAndKeepsTheReserve) {
    const std::vector<StorageFacts> storages{make_storage("ps-1", 10 * kGiB), make_storage("ps-2", 20 * kGiB)};
    EXPECT_EQ(choose_primary_storage(storages, kGiB, std::nullopt, kCluster)->storage, storages[1].storage.uuid);
    EXPECT_TRUE(choose_primary_storage(storages, 19 * kGiB, std::nullopt, std::nullopt).has_value());
    const Result<StorageDecision> full = choose_primary_storage(storages, 19 * kGiB + 1, std::nullopt, std::nullopt);
    ASSERT_FALSE(full.has_value());
    EXPECT_EQ(full.error().code, ErrorCode::storage_full);
    EXPECT_NE(full.error().message.find("add a primary storage"), std::string::npos) << full.error().message;
    EXPECT_NE(full.error().message.find(std::to_string(19 * kGiB + 1) + " bytes required, " + std::to_string(19 * kGiB) + " available"),
              std::string::npos)
        << full.error().message;
}

TEST(PrimaryStorageChoice, RefusesWhatCannotBeUsed) {
    struct Case {
        const char* reason;
        std::function<void(StorageFacts&)> spoil;
    };
    for (const Case& each : {Case{"not attached", [](StorageFacts& facts) { facts.storage.attached_cluster_uuids.clear(); }},
                             Case{"disabled", [](StorageFacts& facts) { facts.storage.state = Enablement::disabled; }},
                             Case{"Disconnected", [](StorageFacts& facts) { facts.storage.status = Connection::disconnected; }}}) {
        std::vector<StorageFacts> storages{make_storage("ps-1", 10 * kGiB)};
        each.spoil(storages[0]);
        const Result<StorageDecision> refused = choose_primary_storage(storages, kGiB, storages[0].storage.uuid, kCluster);
        ASSERT_FALSE(refused.has_value()) << each.reason;
        EXPECT_EQ(refused.error().code, ErrorCode::storage_full);
        EXPECT_NE(refused.error().message.find(each.reason), std::string::npos) << refused.error().message;
    }
    const std::vector<StorageFacts> storages{make_storage("ps-1", 10 * kGiB), make_storage("ps-2", 5 * kGiB)};
    EXPECT_EQ(choose_primary_storage(storages, kGiB, storages[1].storage.uuid, kCluster)->reason, "the storage asked for");
    EXPECT_FALSE(choose_primary_storage(storages, kGiB, PrimaryStorageId::random(), kCluster).has_value());
    EXPECT_FALSE(choose_primary_storage({}, kGiB, std::nullopt, kCluster).has_value());
}

}  // namespace ramet::placement
