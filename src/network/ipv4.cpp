#include "network/ipv4.hpp"

#include <bit>
#include <charconv>

namespace ramet::network {

namespace {

constexpr int kRangePrefixMin = 8;   // 16 million addresses: more is a typing error
constexpr int kRangePrefixMax = 30;  // two hosts: one for the gateway, one for a guest

std::unexpected<Error> wrong(std::string_view field, const std::string& reason) {
    return fail(ErrorCode::invalid_argument, "field '" + std::string(field) + "': " + reason);
}

Result<Ipv4> address_from(std::string_view text, std::string_view what, std::string_view field) {
    const std::optional<Ipv4> address = parse_ipv4(text);
    if (!address) return wrong(field, std::string(what) + " '" + std::string(text.substr(0, 64)) + "' is not an IPv4 address such as 10.0.0.1");
    return *address;
}

RangePlan plan_of(Cidr cidr, Ipv4 start, Ipv4 end, Ipv4 gateway) {
    return RangePlan{format(start), format(end), format(gateway), format(netmask_of(cidr.prefix_length)), format(cidr), cidr.prefix_length};
}

}  // namespace

std::optional<Ipv4> parse_ipv4(std::string_view text) {
    std::uint32_t value = 0;
    for (int part = 0; part < 4; ++part) {
        if (part > 0) {
            if (text.empty() || text.front() != '.') return std::nullopt;
            text.remove_prefix(1);
        }
        unsigned octet = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), octet);
        const auto digits = static_cast<std::size_t>(end - text.data());
        if (error != std::errc{} || octet > 255 || digits > 3 || (digits > 1 && text.front() == '0')) return std::nullopt;
        text.remove_prefix(digits);
        value = value << 8 | octet;
    }
    if (!text.empty()) return std::nullopt;
    return Ipv4{value};
}

std::string format(Ipv4 address) {
    const std::uint32_t value = address.value;
    return std::to_string(value >> 24) + "." + std::to_string(value >> 16 & 255) + "." + std::to_string(value >> 8 & 255) + "." +
           std::to_string(value & 255);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const std::optional<Ipv4> address = parse_ipv4(text.substr(0, slash));
    const std::string_view digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    const bool whole =
        error == std::errc{} && end == digits.data() + digits.size() && digits.size() <= 2 && (digits.size() == 1 || digits.front() != '0');
    if (!address || !whole || length > 32) return std::nullopt;
    return Cidr{*address, static_cast<int>(length)};
}

std::string format(Cidr cidr) { return format(network_of(cidr)) + "/" + std::to_string(cidr.prefix_length); }

Ipv4 netmask_of(int prefix_length) { return Ipv4{prefix_length == 0 ? 0U : ~0U << (32 - prefix_length)}; }

std::optional<int> prefix_length_of(Ipv4 netmask) {
    const int ones = std::countl_one(netmask.value);
    if (netmask_of(ones) != netmask) return std::nullopt;
    return ones;
}

Ipv4 network_of(Cidr cidr) { return Ipv4{cidr.address.value & netmask_of(cidr.prefix_length).value}; }

Ipv4 broadcast_of(Cidr cidr) { return Ipv4{cidr.address.value | ~netmask_of(cidr.prefix_length).value}; }

bool contains(Cidr cidr, Ipv4 address) { return network_of(cidr) == network_of(Cidr{address, cidr.prefix_length}); }

bool is_guest_unicast(Ipv4 address) {
    const std::uint32_t first = address.value >> 24;
    return first != 0 && first != 127 && first < 224;
}

Result<RangePlan> range_from_cidr(std::string_view text, std::optional<std::string_view> wanted_gateway, std::string_view field) {
    const std::optional<Cidr> cidr = parse_cidr(text);
    if (!cidr) return wrong(field, "'" + std::string(text.substr(0, 64)) + "' is not a network such as 10.0.0.0/24");
    if (cidr->prefix_length < kRangePrefixMin || cidr->prefix_length > kRangePrefixMax) {
        return wrong(field, "the prefix length of '" + std::string(text) + "' must be between " + std::to_string(kRangePrefixMin) + " and " +
                                std::to_string(kRangePrefixMax));
    }
    const Ipv4 network = network_of(*cidr);
    const Ipv4 broadcast = broadcast_of(*cidr);
    if (!is_guest_unicast(network) || !is_guest_unicast(broadcast))
        return wrong(field, "'" + std::string(text) + "' is no network for guests: choose for example one inside 10.0.0.0/8");
    Ipv4 start{network.value + 1};
    Ipv4 end{broadcast.value - 1};
    Ipv4 gateway = start;
    if (wanted_gateway) { TRY_ASSIGN(gateway, address_from(*wanted_gateway, "the gateway", field)); }
    if (!contains(*cidr, gateway) || gateway == network || gateway == broadcast) {
        return wrong(field, "the gateway " + format(gateway) + " must be a host address of " + format(*cidr));
    }
    if (gateway == start)
        ++start.value;
    else if (gateway == end)
        --end.value;
    return plan_of(*cidr, start, end, gateway);
}

Result<RangePlan> range_from_ends(std::string_view start_text, std::string_view end_text, std::string_view gateway_text,
                                  std::string_view netmask_text, std::string_view field) {
    TRY_ASSIGN(const Ipv4 start, address_from(start_text, "the start", field));
    TRY_ASSIGN(const Ipv4 end, address_from(end_text, "the end", field));
    TRY_ASSIGN(const Ipv4 gateway, address_from(gateway_text, "the gateway", field));
    TRY_ASSIGN(const Ipv4 netmask, address_from(netmask_text, "the netmask", field));
    const std::optional<int> length = prefix_length_of(netmask);
    if (!length || *length < kRangePrefixMin || *length > kRangePrefixMax) {
        return wrong(field, "the netmask " + format(netmask) + " must be one of 255.0.0.0 to 255.255.255.252, its ones without a gap");
    }
    const Cidr cidr{start, *length};
    if (end < start) return wrong(field, "the start " + format(start) + " lies after the end " + format(end) + "; swap them");
    if (!contains(cidr, end))
        return wrong(field, "start " + format(start) + " and end " + format(end) + " are not in one network of netmask " + format(netmask));
    if (!contains(cidr, gateway)) return wrong(field, "the gateway " + format(gateway) + " is outside the network " + format(cidr));
    if (!is_guest_unicast(start) || !is_guest_unicast(end))
        return wrong(field, format(cidr) + " is no network for guests: choose for example one inside 10.0.0.0/8");
    return plan_of(cidr, start, end, gateway);
}

}  // namespace ramet::network
