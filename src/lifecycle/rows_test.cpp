#include "lifecycle/rows.hpp"

#include <gtest/gtest.h>

namespace ramet::lifecycle {
namespace {

VmNic nic_on(const L3NetworkId& l3, std::int64_t device) {
    VmNic nic;
    nic.uuid = NicId::random();
    nic.l3_network_uuid = l3;
    nic.device_id = device;
    return nic;
}

TEST(Rows, OnlyNicsOfTheDefaultNetworkHaveTheDefaultRoute) {
    const L3NetworkId first = L3NetworkId::random(), second = L3NetworkId::random();
    VmRows rows;
    rows.nics = {nic_on(first, 0), nic_on(second, 1)};
    rows.vm.default_l3_network_uuid = second;
    EXPECT_FALSE(port_spec(rows, rows.nics[0]).default_route);
    EXPECT_TRUE(port_spec(rows, rows.nics[1]).default_route);
}

TEST(Rows, WithoutANicOnTheDefaultNetworkTheFirstHasTheDefaultRoute) {
    const L3NetworkId first = L3NetworkId::random(), second = L3NetworkId::random();
    VmRows rows;
    rows.nics = {nic_on(first, 0), nic_on(second, 1)};
    for (const std::optional<L3NetworkId>& gone : {std::optional<L3NetworkId>{}, std::optional(L3NetworkId::random())}) {
        rows.vm.default_l3_network_uuid = gone;
        EXPECT_TRUE(port_spec(rows, rows.nics[0]).default_route);
        EXPECT_FALSE(port_spec(rows, rows.nics[1]).default_route);
    }
}

}  // namespace
}  // namespace ramet::lifecycle
