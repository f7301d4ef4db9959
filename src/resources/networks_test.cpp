#include "resources/networks.hpp"

#include "resources/ip_ranges.hpp"
#include "resources/pool_fixture_test.hpp"

namespace ramet::resources {
namespace {

class Networks : public PoolTest {
protected:
    L3NetworkId new_l3() {
        api::CreateL2NoVlanNetwork l2;
        l2.name = "lab";
        l2.zone_uuid = uuid_of<Zone>("zone1");
        l2.physical_interface = "br-lab";
        l2_uuid = L2NetworkId::trusted(member(create_l2_no_vlan_network(parts, pool.admin, l2), "uuid"));
        api::CreateL3Network l3;
        l3.name = "lab";
        l3.l2_network_uuid = l2_uuid;
        l3.dns_domain = "lab.internal";
        return L3NetworkId::trusted(member(create_l3_network(parts, pool.admin, l3), "uuid"));
    }
    Result<std::string> add(const L3NetworkId& l3, const std::string& start, const std::string& end,
                            std::optional<std::string> gateway = "192.168.9.1", const std::string& netmask = "255.255.255.0") {
        api::AddIpRange request;
        request.l3_network_uuid = l3;
        request.name = "range";
        request.start_ip = start;
        request.end_ip = end;
        request.netmask = netmask;
        request.gateway = std::move(gateway);
        return add_ip_range(parts, pool.admin, request);
    }
    void use(const L3NetworkId& l3, const std::string& ip) {
        VmInstance vm;
        vm.uuid = VmId::random();
        vm.name = "vm";
        vm.zone_uuid = uuid_of<Zone>("zone1");
        vm.cluster_uuid = uuid_of<Cluster>("cluster1");
        pool.add_owned(vm, pool.admin);
        VmNic nic;
        nic.uuid = NicId::random();
        nic.vm_instance_uuid = vm.uuid;
        nic.l3_network_uuid = l3;
        nic.ip = ip;
        nic.mac = "fa:00:00:00:00:01";
        nic.internal_name = "tap0";
        pool.add(nic);
        UsedIp address;
        address.uuid = UsedIpId::random();
        address.l3_network_uuid = l3;
        address.ip_range_uuid = pool.rows<IpRange>({{"l3NetworkUuid", l3.text()}}).at(0).uuid;
        address.ip = ip;
        address.vm_nic_uuid = nic.uuid;
        pool.add(address);
    }
    L2NetworkId l2_uuid;
};

TEST_F(Networks, AnL3NetworkIsInTheZoneOfItsL2Network) {
    const L3NetworkId l3 = new_l3();
    const std::vector<L3Network> rows = pool.rows<L3Network>({{"uuid", l3.text()}});
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].zone_uuid, uuid_of<Zone>("zone1"));
    EXPECT_EQ(rows[0].dns_domain, "lab.internal");
}

TEST_F(Networks, RefusesNamesThatAreNone) {
    api::CreateL2NoVlanNetwork l2;
    l2.name = "lab";
    l2.zone_uuid = uuid_of<Zone>("zone1");
    for (const char* interface : {"br 0", "../x", "..", "br;reboot", "br\n"}) {
        l2.physical_interface = interface;
        expect_refusal(create_l2_no_vlan_network(parts, pool.admin, l2), ErrorCode::invalid_argument, "physicalInterface");
    }
    api::CreateL3Network l3;
    l3.name = "x";
    l3.l2_network_uuid = uuid_of<L2Network>("default");
    l3.dns_domain = "not a domain";
    expect_refusal(create_l3_network(parts, pool.admin, l3), ErrorCode::invalid_argument, "dnsDomain");
    l3.dns_domain.reset();
    l3.ip_version = 6;
    expect_refusal(create_l3_network(parts, pool.admin, l3), ErrorCode::unsupported, "ipVersion");
}

TEST_F(Networks, ARangeIsAddedByItsEnds) {
    const Result<std::string> made = add(new_l3(), "192.168.9.10", "192.168.9.250");
    EXPECT_EQ(member(made, "networkCidr"), "192.168.9.0/24");
    EXPECT_EQ(member(made, "prefixLen"), "24");
    EXPECT_EQ(member(made, "gateway"), "192.168.9.1");
}

TEST_F(Networks, ARangeWithoutGatewayTakesTheFirstAddress) {
    EXPECT_EQ(member(add(new_l3(), "192.168.9.10", "192.168.9.250", std::nullopt), "gateway"), "192.168.9.1");
}

TEST_F(Networks, ARangeIsAddedByItsCidr) {
    api::AddIpRangeByNetworkCidr request;
    request.l3_network_uuid = new_l3();
    request.name = "all";
    request.network_cidr = "192.168.9.0/28";
    const Result<std::string> made = add_ip_range_by_network_cidr(parts, pool.admin, request);
    EXPECT_EQ(member(made, "gateway"), "192.168.9.1");
    EXPECT_EQ(member(made, "startIp"), "192.168.9.2");
    EXPECT_EQ(member(made, "endIp"), "192.168.9.14");
    request.network_cidr = "192.168.9.0/99";
    expect_refusal(add_ip_range_by_network_cidr(parts, pool.admin, request), ErrorCode::invalid_argument, "networkCidr");
}

TEST_F(Networks, RefusesRangesThatCannotBe) {
    const L3NetworkId l3 = new_l3();
    const auto refuses = [](const Result<std::string>& made, const std::string& words) { expect_refusal(made, ErrorCode::invalid_argument, words); };
    refuses(add(l3, "192.168.9.20", "192.168.9.10"), "endIp: 192.168.9.10 lies before startIp 192.168.9.20");
    refuses(add(l3, "192.168.9.10", "192.168.10.20"), "endIp: 192.168.10.20 is outside of the network 192.168.9.0/24");
    refuses(add(l3, "192.168.9.10", "192.168.9.20", "10.0.0.1"), "gateway: 10.0.0.1 is outside of the network 192.168.9.0/24");
    refuses(add(l3, "192.168.9.10", "192.168.9.20", "192.168.9.1", "255.0.255.0"), "netmask: 255.0.255.0 has a gap");
    refuses(add(l3, "192.168.9.10", "192.168.9.20", "192.168.9.1", "nonsense"), "netmask: 'nonsense'");
    refuses(add(l3, "nonsense", "192.168.9.20"), "startIp: 'nonsense'");
    refuses(add(l3, "192.168.9.10", "nonsense"), "endIp: 'nonsense'");
    refuses(add(l3, "192.168.9.10", "192.168.9.20", "nonsense"), "gateway: 'nonsense'");
    refuses(add(l3, "192.168.9.10", "192.168.9.20", "192.168.9.1", "255.255.255.255"), "endIp: 192.168.9.20 is outside of the network");
    refuses(add(l3, "240.0.0.10", "240.0.0.20", "240.0.0.1"), "startIp");
    expect_refusal(add(L3NetworkId::trusted(test::uuid_text(999)), "192.168.9.10", "192.168.9.20"), ErrorCode::not_found, "L3Network");
}

TEST_F(Networks, RangesOfOneNetworkDoNotOverlapAndShareTheirSubnet) {
    const L3NetworkId l3 = new_l3();
    ASSERT_TRUE(add(l3, "192.168.9.10", "192.168.9.50").has_value());
    expect_refusal(add(l3, "192.168.9.50", "192.168.9.60"), ErrorCode::invalid_argument, "startIp: the range 192.168.9.50-192.168.9.60 overlaps");
    EXPECT_TRUE(add(l3, "192.168.9.51", "192.168.9.60").has_value());
    expect_refusal(add(l3, "172.16.0.10", "172.16.0.20", "172.16.0.1"), ErrorCode::invalid_argument, "startIp: the range is in 172.16.0.0/24");
    expect_refusal(add(l3, "192.168.9.70", "192.168.9.80", "192.168.9.2"), ErrorCode::invalid_argument,
                   "gateway: the ranges of one L3 network share");
    api::AddIpRangeByNetworkCidr all;
    all.l3_network_uuid = l3;
    all.name = "all";
    all.network_cidr = "192.168.9.0/24";
    expect_refusal(add_ip_range_by_network_cidr(parts, pool.admin, all), ErrorCode::invalid_argument, "networkCidr: the range 192.168.9.2");
    all.gateway = "10.0.0.1";
    expect_refusal(add_ip_range_by_network_cidr(parts, pool.admin, all), ErrorCode::invalid_argument, "gateway: 10.0.0.1 is outside");
}

TEST_F(Networks, FreeAddressesLeaveOutUsedOnesAndTheGateway) {
    const L3NetworkId l3 = new_l3();
    ASSERT_TRUE(add(l3, "192.168.9.10", "192.168.9.13").has_value());
    use(l3, "192.168.9.11");
    api::GetFreeIp request;
    request.l3_network_uuid = l3;
    const std::string body = get_free_ip(parts, pool.alice, request).value_or("");
    EXPECT_NE(body.find("192.168.9.10"), std::string::npos);
    EXPECT_EQ(body.find("192.168.9.11\""), std::string::npos);
    request.limit = 1;
    request.start = "192.168.9.12";
    EXPECT_EQ(get_free_ip(parts, pool.alice, request).value_or("").find("192.168.9.13"), std::string::npos);
    const auto available = [&](const std::string& ip) { return member(check_ip_availability(parts, pool.alice, {l3, ip}), "available"); };
    EXPECT_EQ(available("192.168.9.10"), "true");
    EXPECT_EQ(available("192.168.9.11"), "false");
    EXPECT_EQ(member(check_ip_availability(parts, pool.alice, {l3, "192.168.9.11"}), "reason"), "USED");
    EXPECT_EQ(member(check_ip_availability(parts, pool.alice, {l3, "192.168.9.99"}), "reason"), "NO_SUCH_IP_RANGE");
    EXPECT_EQ(member(check_ip_availability(parts, pool.alice, {l3, "192.168.9.1"}), "reason"), "GATEWAY");
}

TEST_F(Networks, WhatIsUsedIsNotDeleted) {
    const L3NetworkId l3 = new_l3();
    ASSERT_TRUE(add(l3, "192.168.9.10", "192.168.9.13").has_value());
    use(l3, "192.168.9.11");
    expect_refusal(delete_l3_network(parts, pool.admin, {l3}), ErrorCode::operation_failed, "1 NIC (192.168.9.11)");
    expect_refusal(delete_ip_range(parts, pool.admin, {pool.rows<IpRange>({{"l3NetworkUuid", l3.text()}}).at(0).uuid}), ErrorCode::operation_failed,
                   "1 used address");
    expect_refusal(delete_l2_network(parts, pool.admin, {l2_uuid}), ErrorCode::operation_failed, "1 L3 network (lab)");
    EXPECT_TRUE(plumbing.calls().empty());
}

TEST_F(Networks, ADeletedNetworkTakesItsRangesAndItsBridgeAlong) {
    const L3NetworkId l3 = new_l3();
    ASSERT_TRUE(add(l3, "192.168.9.10", "192.168.9.13").has_value());
    EXPECT_EQ(delete_l3_network(parts, pool.admin, {l3}).value_or("?"), "{}");
    EXPECT_EQ(plumbing.calls(), std::vector<std::string>{"remove_network " + l3.text()});
    EXPECT_TRUE(pool.rows<IpRange>({{"l3NetworkUuid", l3.text()}}).empty());
    EXPECT_EQ(delete_l2_network(parts, pool.admin, {l2_uuid}).value_or("?"), "{}");
}

TEST_F(Networks, AttachesAndDetachesAnL2Network) {
    new_l3();
    const ClusterId cluster = uuid_of<Cluster>("cluster1");
    EXPECT_EQ(member(attach_l2_network_to_cluster(parts, pool.admin, {l2_uuid, cluster}), "attachedClusterUuids"), "[\"" + cluster.text() + "\"]");
    expect_refusal(attach_l2_network_to_cluster(parts, pool.admin, {l2_uuid, cluster}), ErrorCode::operation_failed, "already");
    EXPECT_EQ(member(detach_l2_network_from_cluster(parts, pool.admin, {l2_uuid, cluster}), "attachedClusterUuids"), "[]");
}

TEST_F(Networks, AnL2NetworkInUseStaysAttached) {
    const L3NetworkId l3 = uuid_of<L3Network>("default");
    use(l3, "10.77.0.10");
    expect_refusal(detach_l2_network_from_cluster(parts, pool.admin, {uuid_of<L2Network>("default"), uuid_of<Cluster>("cluster1")}),
                   ErrorCode::operation_failed, "1 VM instance (vm)");
}

TEST_F(Networks, DnsServersAreAddedOnceAndRemoved) {
    const L3NetworkId l3 = new_l3();
    EXPECT_EQ(member(add_dns_to_l3_network(parts, pool.admin, {l3, "9.9.9.9"}), "dns"), "[\"9.9.9.9\"]");
    expect_refusal(add_dns_to_l3_network(parts, pool.admin, {l3, "9.9.9.9"}), ErrorCode::operation_failed, "already");
    expect_refusal(add_dns_to_l3_network(parts, pool.admin, {l3, "nonsense"}), ErrorCode::invalid_argument, "dns");
    EXPECT_EQ(member(remove_dns_from_l3_network(parts, pool.admin, {l3, "9.9.9.9"}), "dns"), "[]");
}

}  // namespace
}  // namespace ramet::resources
