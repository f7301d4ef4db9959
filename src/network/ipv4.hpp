// IPv4 arithmetic. Addresses are host-order numbers, so that ranges are plain integer ranges. Pure; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ramet::network {

struct Ipv4 {
    std::uint32_t value = 0;
    auto operator<=>(const Ipv4&) const = default;
};

// Four decimal numbers without signs, spaces or leading zeros (a leading zero means octal to some readers).
std::optional<Ipv4> parse_ipv4(std::string_view text);
std::string format(Ipv4 address);

// A prefix of addresses; `address` may have host bits set.
struct Cidr {
    Ipv4 address;
    int prefix_length = 0;  // 0..32
    bool operator==(const Cidr&) const = default;
};

std::optional<Cidr> parse_cidr(std::string_view text);  // "10.0.0.0/24"
std::string format(Cidr cidr);                          // with the host bits cleared
Ipv4 netmask_of(int prefix_length);
std::optional<int> prefix_length_of(Ipv4 netmask);  // nothing when the ones are not contiguous
Ipv4 network_of(Cidr cidr);
Ipv4 broadcast_of(Cidr cidr);
bool contains(Cidr cidr, Ipv4 address);

// Unicast addresses a guest may have: not 0/8, loopback, multicast or reserved.
bool is_guest_unicast(Ipv4 address);

// What a range of one L3 network needs, all texts checked and normalised.
struct RangePlan {
    std::string start_ip, end_ip, gateway, netmask, network_cidr;
    std::int64_t prefix_length = 0;
};

// By CIDR: the whole network but its first (network) and last (broadcast) address. The gateway is the first host address unless
// given; a gateway that is first or last in the range is left out of it. Prefixes 8..30. Errors: invalid_argument naming `field`.
Result<RangePlan> range_from_cidr(std::string_view cidr, std::optional<std::string_view> gateway, std::string_view field);

// By ends: start and end, gateway and netmask must lie in one network of prefix 8..30, start not after end.
// Errors: invalid_argument naming `field`.
Result<RangePlan> range_from_ends(std::string_view start_ip, std::string_view end_ip, std::string_view gateway, std::string_view netmask,
                                  std::string_view field);

}  // namespace ramet::network
