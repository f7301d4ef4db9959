#include "storage/address_policy.hpp"

#include <netinet/in.h>
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace ramet::storage {

namespace {

struct Range4 {
    std::uint32_t network;
    int bits;
};

// IANA's special-purpose registry.
constexpr std::array kClosed4{
    Range4{0x00000000, 8},   // this network
    Range4{0x0a000000, 8},   // private
    Range4{0x64400000, 10},  // shared with a carrier
    Range4{0x7f000000, 8},   // loopback
    Range4{0xa9fe0000, 16},  // link-local, cloud metadata
    Range4{0xac100000, 12},  // private
    Range4{0xc0000000, 24},  // protocol assignments
    Range4{0xc0000200, 24},  // documentation
    Range4{0xc0586300, 24},  // 6to4 relays
    Range4{0xc0a80000, 16},  // private
    Range4{0xc6120000, 15},  // benchmarks
    Range4{0xc6336400, 24},  // documentation
    Range4{0xcb007100, 24},  // documentation
    Range4{0xe0000000, 3},   // multicast, reserved, broadcast
};

bool is_public4(std::uint32_t address) {
    return std::none_of(kClosed4.begin(), kClosed4.end(),
                        [address](const Range4& range) { return (address ^ range.network) >> (32 - range.bits) == 0; });
}

std::uint32_t four(const std::uint8_t* bytes) {
    return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 | static_cast<std::uint32_t>(bytes[2]) << 8 |
           bytes[3];
}

bool is_public6(const std::uint8_t* bytes) {
    const auto begins = [bytes](std::initializer_list<std::uint8_t> prefix) { return std::equal(prefix.begin(), prefix.end(), bytes); };
    if (begins({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return is_public4(four(bytes + 12));     // IPv4-mapped
    if (begins({0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return is_public4(four(bytes + 12));  // NAT64
    if (begins({0x20, 0x02})) return is_public4(four(bytes + 2));                                    // 6to4
    if ((bytes[0] & 0xe0) != 0x20) return false;                                                     // only 2000::/3 is global unicast
    if (begins({0x20, 0x01}) && bytes[2] < 2) return false;                                          // 2001::/23: Teredo and other protocols
    return !begins({0x20, 0x01, 0x0d, 0xb8}) && !(begins({0x3f, 0xff}) && bytes[2] < 0x10);          // documentation
}

// Where no request of ours goes, whoever asks.
constexpr std::array kForbidden4{
    Range4{0x00000000, 8},   // this network
    Range4{0xa9fe0000, 16},  // link-local, cloud metadata
    Range4{0x646464c8, 32},  // metadata of a large cloud
    Range4{0xa83f8110, 32},  // metadata of another
    Range4{0xe0000000, 3},   // multicast, reserved, broadcast
};

bool is_forbidden4(std::uint32_t address) {
    return std::any_of(kForbidden4.begin(), kForbidden4.end(),
                       [address](const Range4& range) { return static_cast<std::uint64_t>(address ^ range.network) >> (32 - range.bits) == 0; });
}

bool is_forbidden6(const std::uint8_t* bytes) {
    const auto begins = [bytes](std::initializer_list<std::uint8_t> prefix) { return std::equal(prefix.begin(), prefix.end(), bytes); };
    if (begins({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return is_forbidden4(four(bytes + 12));     // IPv4-mapped
    if (begins({0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return is_forbidden4(four(bytes + 12));  // NAT64
    if (begins({0x20, 0x02})) return is_forbidden4(four(bytes + 2));                                    // 6to4
    if (bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)) return true;               // multicast, link-local
    if (begins({0xfd, 0x00, 0x0e, 0xc2})) return true;                                                  // metadata of a large cloud
    return std::all_of(bytes, bytes + 16, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

bool is_public_address(const sockaddr* address, socklen_t length) {
    if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof v4);
        return is_public4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address, sizeof v6);
        return is_public6(v6.sin6_addr.s6_addr);
    }
    return false;
}

bool is_forbidden_address(const sockaddr* address, socklen_t length) {
    if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof v4);
        return is_forbidden4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address, sizeof v6);
        return is_forbidden6(v6.sin6_addr.s6_addr);
    }
    return true;
}

}  // namespace ramet::storage
