#include "resources/bootstrap.hpp"

#include "network/ipv4.hpp"
#include "resources/global_configs.hpp"
#include "resources/pool_fixture_test.hpp"

namespace ramet::resources {
namespace {

class Bootstrap : public PoolTest {};

TEST_F(Bootstrap, FoundsAPoolThatCanRunVms) {
    const std::vector<Zone> zones = pool.rows<Zone>();
    ASSERT_EQ(zones.size(), 1U);
    EXPECT_TRUE(zones[0].is_default);
    const std::vector<Cluster> clusters = pool.rows<Cluster>();
    ASSERT_EQ(clusters.size(), 1U);
    EXPECT_EQ(clusters[0].zone_uuid, zones[0].uuid);
    const std::vector<Host> hosts = pool.rows<Host>();
    ASSERT_EQ(hosts.size(), 1U);
    EXPECT_EQ(hosts[0].name, "tester");
    EXPECT_EQ(hosts[0].total_cpu_capacity, 40);
    EXPECT_EQ(hosts[0].total_memory_capacity, 8LL << 30);
    EXPECT_EQ(hosts[0].accelerator, "tcg");
    EXPECT_EQ(pool.rows<PrimaryStorageClusterRef>().size(), 1U);
    EXPECT_EQ(pool.rows<BackupStorageZoneRef>().size(), 1U);
    EXPECT_EQ(pool.rows<L2NetworkClusterRef>().size(), 1U);
    EXPECT_EQ(pool.rows<InstanceOffering>().size(), 3U);
    EXPECT_EQ(pool.rows<DiskOffering>().size(), 1U);
    EXPECT_TRUE(std::filesystem::is_directory(parts.data_dir + "/images"));
}

TEST_F(Bootstrap, TheDefaultNetworkHasRoomForAThousandClones) {
    const std::vector<IpRange> ranges = pool.rows<IpRange>();
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].network_cidr, "10.77.0.0/20");
    EXPECT_EQ(ranges[0].gateway, "10.77.0.1");
    EXPECT_EQ(ranges[0].start_ip, "10.77.0.10");
    EXPECT_EQ(ranges[0].end_ip, "10.77.15.250");
    EXPECT_EQ(ranges[0].netmask, "255.255.240.0");
    EXPECT_EQ(pool.rows<L3Network>().at(0).dns, std::vector<std::string>{"9.9.9.9"});
}

TEST_F(Bootstrap, TheAdminOwnsEverything) {
    for (const AccountResourceRef& ref : pool.rows<AccountResourceRef>()) EXPECT_EQ(ref.account_uuid, pool.admin.account);
    EXPECT_EQ(pool.rows<AccountResourceRef>().size(), 12U);
}

TEST_F(Bootstrap, LaterStartsRefreshTheHostAndNothingElse) {
    const Zone zone = pool.rows<Zone>().at(0);
    const Host before = pool.rows<Host>().at(0);
    MachineFacts changed = machine();
    changed.cpu_num = 8;
    changed.accelerator = "kvm";
    changed.host_name = "renamed";
    ASSERT_TRUE(bootstrap(parts, pool.admin, changed).has_value());
    ASSERT_EQ(pool.rows<Zone>().size(), 1U);
    EXPECT_EQ(pool.rows<Zone>().at(0).uuid, zone.uuid);
    const std::vector<Host> hosts = pool.rows<Host>();
    ASSERT_EQ(hosts.size(), 1U);
    EXPECT_EQ(hosts[0].uuid, before.uuid);
    EXPECT_EQ(hosts[0].cpu_num, 8);
    EXPECT_EQ(hosts[0].accelerator, "kvm");
    EXPECT_EQ(hosts[0].name, "tester");  // the operator may have given it a name
    EXPECT_EQ(pool.rows<InstanceOffering>().size(), 3U);
}

TEST_F(Bootstrap, SeedsTheSettingsWithTheirDefaults) {
    const Result<std::string> policy =
        store::read(*pool, [](store::Transaction& transaction) { return global_config(transaction, "vm", "deletionPolicy"); });
    EXPECT_EQ(policy.value_or("?"), "Delay");
    EXPECT_GE(pool.rows<GlobalConfig>().size(), 5U);
}

TEST(FreeNetwork, EvadesWhatTheMachineUses) {
    EXPECT_EQ(pick_free_network({}), "10.77.0.0/20");
    EXPECT_EQ(pick_free_network({"10.77.0.0/24"}), "10.77.16.0/20");
    EXPECT_EQ(pick_free_network({"10.77.15.7/32", "10.77.16.0/20"}), "10.77.32.0/20");
    EXPECT_EQ(pick_free_network({"10.77.0.0/16"}), "10.78.0.0/20");
    EXPECT_EQ(pick_free_network({"10.64.0.0/10"}), "10.128.0.0/20");
    EXPECT_EQ(pick_free_network({"10.77.0.0/16", "10.78.0.0/15", "10.80.0.0/12", "10.96.0.0/11", "10.128.0.0/9"}), "10.0.0.0/20");
    EXPECT_EQ(pick_free_network({"10.0.0.0/8"}), "");
}

TEST(MeasureMachine, KnowsThisMachine) {
    const MachineFacts facts = measure_machine();
    EXPECT_GE(facts.cpu_num, 1);
    EXPECT_GT(facts.memory_bytes, 64LL << 20);
    EXPECT_FALSE(facts.host_name.empty());
    EXPECT_NE(std::find(facts.used_networks.begin(), facts.used_networks.end(), "127.0.0.0/8"), facts.used_networks.end());
    for (const std::string& network : facts.used_networks) EXPECT_TRUE(network::parse_cidr(network).has_value()) << network;
}

}  // namespace
}  // namespace ramet::resources
