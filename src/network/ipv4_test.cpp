#include "network/ipv4.hpp"

#include <gtest/gtest.h>

namespace ramet::network {

TEST(Ipv4, ReadsWhatItWrites) {
    for (const char* text : {"0.0.0.0", "10.0.0.1", "192.168.255.254", "255.255.255.255"}) {
        const std::optional<Ipv4> address = parse_ipv4(text);
        ASSERT_TRUE(address.has_value()) << text;
        EXPECT_EQ(format(*address), text);
    }
    EXPECT_EQ(parse_ipv4("1.2.3.4")->value, 0x01020304U);
}

TEST(Ipv4, RefusesWhatOtherReadersMayTakeDifferently) {
    for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "1.2.3.+4", "1..3.4", "0x1.2.3.4",
                             "1.2.3.4/24", "1.2.3.0004", "a.b.c.d", "::1"}) {
        EXPECT_FALSE(parse_ipv4(text).has_value()) << text;
    }
}

TEST(Ipv4, CidrArithmetic) {
    struct Case {
        const char* text;
        const char* network;
        const char* broadcast;
        const char* netmask;
    };
    for (const Case& each :
         {Case{"10.0.0.7/24", "10.0.0.0", "10.0.0.255", "255.255.255.0"}, Case{"10.1.2.3/8", "10.0.0.0", "10.255.255.255", "255.0.0.0"},
          Case{"172.16.5.9/30", "172.16.5.8", "172.16.5.11", "255.255.255.252"}, Case{"1.2.3.4/32", "1.2.3.4", "1.2.3.4", "255.255.255.255"},
          Case{"1.2.3.4/0", "0.0.0.0", "255.255.255.255", "0.0.0.0"}}) {
        const std::optional<Cidr> cidr = parse_cidr(each.text);
        ASSERT_TRUE(cidr.has_value()) << each.text;
        EXPECT_EQ(format(network_of(*cidr)), each.network);
        EXPECT_EQ(format(broadcast_of(*cidr)), each.broadcast);
        EXPECT_EQ(format(netmask_of(cidr->prefix_length)), each.netmask);
        EXPECT_TRUE(contains(*cidr, cidr->address));
    }
    EXPECT_FALSE(contains(*parse_cidr("10.0.0.0/24"), *parse_ipv4("10.0.1.0")));
    for (const char* text : {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/24/1", "10.0.0/24", "10.0.0.0/2a"}) {
        EXPECT_FALSE(parse_cidr(text).has_value()) << text;
    }
}

TEST(Ipv4, EveryPrefixLengthHasItsNetmaskAndBack) {
    for (int length = 0; length <= 32; ++length) EXPECT_EQ(prefix_length_of(netmask_of(length)), length);
    for (const char* text : {"255.0.255.0", "0.255.255.255", "255.255.255.1", "254.255.0.0"})
        EXPECT_FALSE(prefix_length_of(*parse_ipv4(text)).has_value()) << text;
}

TEST(Ipv4, ARangeByCidrLeavesOutNetworkBroadcastAndGateway) {
    const Result<RangePlan> plan = range_from_cidr("10.7.0.5/24", std::nullopt, "networkCidr");
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->network_cidr, "10.7.0.0/24");
    EXPECT_EQ(plan->gateway, "10.7.0.1");
    EXPECT_EQ(plan->start_ip, "10.7.0.2");
    EXPECT_EQ(plan->end_ip, "10.7.0.254");
    EXPECT_EQ(plan->netmask, "255.255.255.0");
    EXPECT_EQ(plan->prefix_length, 24);
    const Result<RangePlan> last = range_from_cidr("10.7.0.0/24", "10.7.0.254", "networkCidr");
    EXPECT_EQ(last->start_ip, "10.7.0.1");
    EXPECT_EQ(last->end_ip, "10.7.0.253");
    const Result<RangePlan> middle = range_from_cidr("10.7.0.0/24", "10.7.0.100", "networkCidr");
    EXPECT_EQ(middle->start_ip + "-" + middle->end_ip, "10.7.0.1-10.7.0.254");
    const Result<RangePlan> smallest = range_from_cidr("10.7.0.0/30", std::nullopt, "networkCidr");
    EXPECT_EQ(smallest->start_ip + "-" + smallest->end_ip, "10.7.0.2-10.7.0.2");
}

TEST(Ipv4, ARangeThatCannotBeIsRefusedByFieldName) {
    for (const char* text : {"", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/7", "127.0.0.0/24", "224.0.0.0/24", "0.0.0.0/8"}) {
        const Result<RangePlan> plan = range_from_cidr(text, std::nullopt, "networkCidr");
        ASSERT_FALSE(plan.has_value()) << text;
        EXPECT_EQ(plan.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(plan.error().message.find("networkCidr"), std::string::npos);
    }
    for (const char* gateway : {"10.0.1.1", "10.0.0.0", "10.0.0.255", "x"})
        EXPECT_FALSE(range_from_cidr("10.0.0.0/24", gateway, "gateway").has_value()) << gateway;
    struct Ends {
        const char* start;
        const char* end;
        const char* gateway;
        const char* netmask;
    };
    for (const Ends& ends : {Ends{"10.0.0.9", "10.0.0.2", "10.0.0.1", "255.255.255.0"}, Ends{"10.0.0.2", "10.0.1.9", "10.0.0.1", "255.255.255.0"},
                             Ends{"10.0.0.2", "10.0.0.9", "10.0.1.1", "255.255.255.0"}, Ends{"10.0.0.2", "10.0.0.9", "10.0.0.1", "255.0.255.0"},
                             Ends{"127.0.0.2", "127.0.0.9", "127.0.0.1", "255.255.255.0"}, Ends{"x", "10.0.0.9", "10.0.0.1", "255.255.255.0"}}) {
        EXPECT_FALSE(range_from_ends(ends.start, ends.end, ends.gateway, ends.netmask, "startIp").has_value()) << ends.start;
    }
    EXPECT_EQ(range_from_ends("10.0.0.2", "10.0.0.9", "10.0.0.1", "255.255.255.0", "startIp")->network_cidr, "10.0.0.0/24");
}

}  // namespace ramet::network
