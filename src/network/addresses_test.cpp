#include "network/addresses.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "model/vm.hpp"
#include "network/ipv4.hpp"
#include "store/sqlite/database.hpp"
#include "store/table.hpp"

namespace ramet::network {

namespace {

constexpr Timestamp kNow{1'700'000'000'000};

// One L3 network with its range, and a VM whose NICs the test makes.
class Addresses : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "ramet-network-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        Result<std::unique_ptr<store::Database>> opened = store::open_sqlite(folder_ + "/state.db");
        ASSERT_TRUE(opened.has_value()) << opened.error().message;
        database_ = std::move(*opened);
        write([&](store::Transaction& transaction) -> Result<void> {
            Zone zone;
            zone.uuid = zone_;
            zone.name = "zone";
            TRY(store::insert(transaction, zone));
            L2Network l2;
            l2.uuid = l2_;
            l2.name = "l2";
            l2.zone_uuid = zone_;
            TRY(store::insert(transaction, l2));
            VmInstance vm;
            vm.uuid = vm_;
            vm.name = "vm";
            vm.zone_uuid = zone_;
            return store::insert(transaction, vm);
        });
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    template <class Function>
    void write(const Function& work) {
        const Result<void> done = database_->write(work);
        EXPECT_TRUE(done.has_value()) << done.error().message << " / " << done.error().detail;
    }
    L3NetworkId make_l3(const std::vector<RangePlan>& plans) {
        L3Network l3;
        l3.uuid = L3NetworkId::random();
        l3.name = "l3";
        l3.zone_uuid = zone_;
        l3.l2_network_uuid = l2_;
        write([&](store::Transaction& transaction) -> Result<void> {
            TRY(store::insert(transaction, l3));
            for (const RangePlan& plan : plans) {
                IpRange range;
                range.uuid = IpRangeId::random();
                range.l3_network_uuid = l3.uuid;
                range.name = plan.start_ip;
                range.start_ip = plan.start_ip;
                range.end_ip = plan.end_ip;
                range.netmask = plan.netmask;
                range.gateway = plan.gateway;
                range.network_cidr = plan.network_cidr;
                range.prefix_len = plan.prefix_length;
                TRY(store::insert(transaction, range));
            }
            return {};
        });
        return l3.uuid;
    }
    Result<void> add_nic(store::Transaction& transaction, const L3NetworkId& l3, const NicId& uuid, const std::string& mac) {
        VmNic nic;
        nic.uuid = uuid;
        nic.vm_instance_uuid = vm_;
        nic.l3_network_uuid = l3;
        nic.mac = mac;
        nic.internal_name = tap_name(uuid);
        return store::insert(transaction, nic);
    }
    // Allocates for new NICs and commits.
    Result<std::vector<UsedIp>> allocate(const L3NetworkId& l3, const std::vector<std::optional<std::string>>& wanted) {
        return store::write(*database_, [&](store::Transaction& transaction) -> Result<std::vector<UsedIp>> {
            TRY_ASSIGN(const std::vector<std::string> macs, allocate_macs(transaction, std::vector<MacRequest>(wanted.size())));
            std::vector<IpRequest> requests;
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                requests.push_back({l3, NicId::random(), wanted[i], "staticIp"});
                TRY(add_nic(transaction, l3, requests.back().nic, macs[i]));
            }
            return allocate_ips(transaction, requests, kNow);
        });
    }
    std::string folder_;
    std::unique_ptr<store::Database> database_;
    ZoneId zone_ = ZoneId::random();
    L2NetworkId l2_ = L2NetworkId::random();
    VmId vm_ = VmId::random();
};

RangePlan cidr(const char* text) { return range_from_cidr(text, std::nullopt, "networkCidr").value(); }
RangePlan ends(const char* start, const char* end, const char* gateway) {
    return range_from_ends(start, end, gateway, "255.255.255.0", "startIp").value();
}

}  // namespace

TEST_F(Addresses, HandsOutEveryAddressOnceAndThenSaysHowManyAreUsed) {
    const L3NetworkId l3 = make_l3({cidr("10.0.0.0/28")});  // .1 is the gateway, .15 the broadcast
    std::set<std::string> seen;
    for (int i = 0; i < 13; ++i) {
        const Result<std::vector<UsedIp>> rows = allocate(l3, {std::nullopt});
        ASSERT_TRUE(rows.has_value()) << rows.error().message;
        EXPECT_TRUE(seen.insert(rows->front().ip).second) << rows->front().ip;
        EXPECT_EQ(rows->front().gateway, "10.0.0.1");
        EXPECT_EQ(rows->front().netmask, "255.255.255.240");
        EXPECT_EQ(rows->front().ip_in_long, parse_ipv4(rows->front().ip)->value);
    }
    for (const char* never : {"10.0.0.0", "10.0.0.1", "10.0.0.15"}) EXPECT_FALSE(seen.contains(never));
    const Result<std::vector<UsedIp>> none = allocate(l3, {std::nullopt});
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().code, ErrorCode::no_address);
    EXPECT_NE(none.error().message.find("13 of 13"), std::string::npos) << none.error().message;
}

TEST_F(Addresses, NeverGivesAGatewayNetworkOrBroadcastAddressThatLiesInsideARange) {
    const L3NetworkId l3 = make_l3({ends("10.0.0.0", "10.0.0.3", "10.0.0.2"), ends("10.0.0.254", "10.0.0.255", "10.0.0.2")});
    const Result<std::vector<UsedIp>> rows = allocate(l3, {std::nullopt, std::nullopt, std::nullopt});
    ASSERT_TRUE(rows.has_value()) << rows.error().message;
    std::set<std::string> seen;
    for (const UsedIp& row : *rows) seen.insert(row.ip);
    EXPECT_EQ(seen, (std::set<std::string>{"10.0.0.1", "10.0.0.3", "10.0.0.254"}));
    EXPECT_FALSE(allocate(l3, {std::nullopt}).has_value());
}

TEST_F(Addresses, WantedAddressesAreTakenBeforeRandomOnes) {
    const L3NetworkId l3 = make_l3({cidr("10.0.0.0/29")});  // .2 to .6
    const Result<std::vector<UsedIp>> rows = allocate(l3, {std::nullopt, std::nullopt, "10.0.0.4", std::nullopt, "10.0.0.2"});
    ASSERT_TRUE(rows.has_value()) << rows.error().message;
    EXPECT_EQ((*rows)[2].ip, "10.0.0.4");
    EXPECT_EQ((*rows)[4].ip, "10.0.0.2");
    std::set<std::string> seen;
    for (const UsedIp& row : *rows) seen.insert(row.ip);
    EXPECT_EQ(seen.size(), 5U);
}

TEST_F(Addresses, AWantedAddressThatCannotBeIsRefusedWithItsFieldAndTheRanges) {
    const L3NetworkId l3 = make_l3({ends("10.0.0.1", "10.0.0.9", "10.0.0.1"), ends("10.0.0.100", "10.0.0.109", "10.0.0.1")});
    for (const char* wanted : {"10.0.0.50", "10.0.1.2", "10.0.0.1", "banana", "10.0.0.02", ""}) {
        const Result<std::vector<UsedIp>> rows = allocate(l3, {wanted});
        ASSERT_FALSE(rows.has_value()) << wanted;
        EXPECT_EQ(rows.error().code, ErrorCode::invalid_argument) << wanted;
        EXPECT_NE(rows.error().message.find("staticIp"), std::string::npos);
        EXPECT_NE(rows.error().message.find("10.0.0.100-10.0.0.109"), std::string::npos);
    }
    ASSERT_TRUE(allocate(l3, {"10.0.0.5"}).has_value());
    EXPECT_EQ(allocate(l3, {"10.0.0.5"}).error().code, ErrorCode::no_address);
    EXPECT_EQ(allocate(l3, {"10.0.0.6", "10.0.0.6"}).error().code, ErrorCode::no_address);
    EXPECT_TRUE(allocate(l3, {"10.0.0.6"}).has_value()) << "the failed call kept nothing";
    EXPECT_EQ(allocate(make_l3({}), {std::nullopt}).error().code, ErrorCode::no_address);
}

TEST_F(Addresses, AReleasedAddressCanBeTakenAgain) {
    const L3NetworkId l3 = make_l3({cidr("10.0.0.0/30")});
    const Result<std::vector<UsedIp>> first = allocate(l3, {std::nullopt});
    ASSERT_TRUE(first.has_value());
    EXPECT_FALSE(allocate(l3, {std::nullopt}).has_value());
    for (int i = 0; i < 2; ++i) write([&](store::Transaction& transaction) { return release_ips(transaction, first->front().vm_nic_uuid); });
    EXPECT_EQ(allocate(l3, {std::nullopt})->front().ip, first->front().ip);
}

TEST_F(Addresses, AThousandClonesGetTheirAddressesOfABusyLargeRangeQuickly) {
    const L3NetworkId l3 = make_l3({cidr("10.0.0.0/16")});
    const std::vector<std::optional<std::string>> batch(1000);
    std::set<std::string> seen;
    std::chrono::steady_clock::duration spent{};
    for (int i = 0; i < 4; ++i) {
        const auto start = std::chrono::steady_clock::now();
        const Result<std::vector<UsedIp>> rows = allocate(l3, batch);
        spent = std::chrono::steady_clock::now() - start;
        ASSERT_TRUE(rows.has_value()) << rows.error().message;
        for (const UsedIp& row : *rows) EXPECT_TRUE(seen.insert(row.ip).second) << row.ip;
    }
    std::printf("1000 NIC rows with MAC and IP: %.1f ms\n", std::chrono::duration<double, std::milli>(spent).count());
    EXPECT_LT(spent, std::chrono::seconds(5));
}

TEST_F(Addresses, ASeedGivesTheSameChoiceAsLongAsNothingWasTakenAndAnotherOneAfterwards) {
    const L3NetworkId l3 = make_l3({cidr("10.0.0.0/24")});
    const auto choose = [&](const std::string& seed, bool keep) {
        std::pair<std::string, std::string> chosen;
        const Result<void> done = database_->write([&](store::Transaction& transaction) -> Result<void> {
            const NicId nic = NicId::random();
            TRY_ASSIGN(const std::vector<std::string> macs, allocate_macs(transaction, std::vector<MacRequest>{{std::nullopt, 0, "mac", seed}}));
            TRY(add_nic(transaction, l3, nic, macs.front()));
            TRY_ASSIGN(const std::vector<UsedIp> ips, allocate_ips(transaction, std::vector<IpRequest>{{l3, nic, std::nullopt, "ip", seed}}, kNow));
            chosen = {macs.front(), ips.front().ip};
            if (!keep) return fail(ErrorCode::cancelled, "rolled back");
            return {};
        });
        EXPECT_EQ(done.has_value(), keep);
        return chosen;
    };
    const auto told = choose("source/web-01/0", false);
    EXPECT_NE(told.first, choose("source/web-02/0", false).first);
    EXPECT_EQ(told, choose("source/web-01/0", true));
    for (int again = 0; again < 40; ++again) EXPECT_NE(told, choose("source/web-01/0", true));  // any number of NICs may bear one seed
}

TEST_F(Addresses, MacsOfOursEndWithTheDeviceId) {
    const Result<std::string> mac =
        store::write(*database_, [](store::Transaction& transaction) { return allocate_mac(transaction, std::nullopt, 10, "customMac"); });
    ASSERT_TRUE(mac.has_value());
    EXPECT_TRUE(mac->starts_with("fa:")) << *mac;
    EXPECT_TRUE(mac->ends_with(":0a")) << *mac;
    EXPECT_EQ(checked_mac(*mac, "mac").value(), *mac);
}

TEST_F(Addresses, AWantedMacIsLoweredAndMustBeFree) {
    const L3NetworkId l3 = make_l3({cidr("10.0.0.0/24")});
    const auto ask = [&](const std::vector<std::optional<std::string>>& wanted) {
        return store::write(*database_, [&](store::Transaction& transaction) {
            std::vector<MacRequest> requests;
            for (const std::optional<std::string>& mac : wanted) requests.push_back({mac, 0, "customMac"});
            return allocate_macs(transaction, requests);
        });
    };
    EXPECT_EQ(ask({"FA:16:3E:00:00:0A"})->front(), "fa:16:3e:00:00:0a");
    EXPECT_EQ(ask({"fa:16:3e:00:00:0a", "FA:16:3E:00:00:0A"}).error().code, ErrorCode::mac_taken);
    write([&](store::Transaction& transaction) { return add_nic(transaction, l3, NicId::random(), "fa:16:3e:00:00:0a"); });
    EXPECT_EQ(ask({"FA:16:3E:00:00:0A"}).error().code, ErrorCode::mac_taken);
    for (const char* bad : {"", "fa:16:3e:00:00", "fa-16-3e-00-00-0a", "fa:16:3e:00:00:0g", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff",
                            "00:00:00:00:00:00", "fa:16:3e:00:00:0a:0b", "fa163e00000a"}) {
        const Result<std::vector<std::string>> refused = ask({bad});
        ASSERT_FALSE(refused.has_value()) << bad;
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << bad;
        EXPECT_NE(refused.error().message.find("customMac"), std::string::npos);
    }
}

TEST_F(Addresses, TapNamesFitTheKernelAndRepeat) {
    const NicId nic = NicId::random();
    EXPECT_EQ(tap_name(nic), "rt" + nic.text().substr(0, 12));
    EXPECT_LE(tap_name(nic).size(), 15U);
}

}  // namespace ramet::network
