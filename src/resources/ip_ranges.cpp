#include "resources/ip_ranges.hpp"

#include <set>

#include "network/ipv4.hpp"
#include "resources/sync_reply.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

using network::Ipv4;
using network::parse_ipv4;

Ipv4 address_of(const std::string& text) { return parse_ipv4(text).value_or(Ipv4{}); }

std::unexpected<Error> wrong(std::string_view field, const std::string& what) {
    return fail(ErrorCode::invalid_argument, std::string(field) + ": " + what);
}

Result<Ipv4> address_in(std::string_view field, std::string_view text) {
    const std::optional<Ipv4> address = parse_ipv4(text);
    if (!address) return wrong(field, "'" + std::string(text.substr(0, 64)) + "' is not an IPv4 address such as 10.0.0.1");
    return *address;
}

// Which field is at fault; what is left for range_from_ends concerns the network as a whole, which is where the range starts.
Result<void> check_ends(const api::AddIpRange& request, const std::string& gateway_text) {
    TRY_ASSIGN(const Ipv4 start, address_in("startIp", request.start_ip));
    TRY_ASSIGN(const Ipv4 end, address_in("endIp", request.end_ip));
    TRY_ASSIGN(const Ipv4 netmask, address_in("netmask", request.netmask));
    const std::optional<int> length = network::prefix_length_of(netmask);
    if (!length) return wrong("netmask", network::format(netmask) + " has a gap in its ones; use one such as 255.255.255.0");
    const network::Cidr subnet{start, *length};
    if (end < start) return wrong("endIp", network::format(end) + " lies before startIp " + network::format(start) + "; swap them");
    if (!network::contains(subnet, end)) {
        return wrong("endIp", network::format(end) + " is outside of the network " + network::format(subnet) +
                                  " that startIp and netmask make; choose an address of it, or another netmask");
    }
    TRY_ASSIGN(const Ipv4 gateway, address_in("gateway", gateway_text));
    if (network::contains(subnet, gateway)) return {};
    return wrong("gateway", network::format(gateway) + " is outside of the network " + network::format(subnet) + "; choose an address of it");
}

// The ranges of one network share its bridge and DHCP server: one subnet, one gateway, no address twice. `field` said where the range lies.
Result<void> check_fits(const std::vector<IpRange>& present, const network::RangePlan& plan, std::string_view field) {
    for (const IpRange& other : present) {
        const bool apart = address_of(plan.end_ip) < address_of(other.start_ip) || address_of(other.end_ip) < address_of(plan.start_ip);
        if (!apart) {
            return wrong(field, "the range " + plan.start_ip + "-" + plan.end_ip + " overlaps with range '" + other.name + "' (" + other.start_ip +
                                    "-" + other.end_ip + "); choose addresses outside of it");
        }
        if (other.network_cidr != plan.network_cidr) {
            return wrong(field, "the range is in " + plan.network_cidr + ", and the ranges of one L3 network share one subnet, here " +
                                    other.network_cidr + "; choose addresses of it, or make another L3 network");
        }
        if (other.gateway != plan.gateway) {
            return wrong("gateway", "the ranges of one L3 network share one gateway, here " + other.gateway + ", not " + plan.gateway +
                                        "; leave it out or name that one");
        }
    }
    return {};
}

struct Wanted {
    L3NetworkId l3;
    std::string name;
    std::optional<std::string> description;
    std::optional<IpRangeId> uuid;
    std::string_view field;
};

Result<std::string> add_range(Parts& parts, const identity::Caller& caller, const Wanted& wanted, const network::RangePlan& plan) {
    IpRange range;
    TRY_ASSIGN(range.uuid, id_or_new(wanted.uuid));
    range.l3_network_uuid = wanted.l3;
    range.name = wanted.name;
    range.description = wanted.description;
    range.start_ip = plan.start_ip;
    range.end_ip = plan.end_ip;
    range.netmask = plan.netmask;
    range.gateway = plan.gateway;
    range.network_cidr = plan.network_cidr;
    range.prefix_len = plan.prefix_length;
    range.create_date = range.last_op_date = parts.clock.now();
    const auto work = [&](store::Transaction& transaction) -> Result<void> {
        TRY(store::get<L3Network>(transaction, wanted.l3.text()));
        TRY_ASSIGN(const std::vector<IpRange> present, store::list<IpRange>(transaction, {{"l3NetworkUuid", wanted.l3.text()}}));
        TRY(check_fits(present, plan, wanted.field));
        return insert_owned(transaction, caller, range, {}, {}, range.create_date);
    };
    TRY(parts.database.write(work));
    return parts.inventory.reply<IpRange>(range.uuid.text());
}

struct Addresses {
    std::vector<IpRange> ranges;
    std::set<Ipv4> taken;  // gateways included
};

Result<Addresses> read_addresses(Parts& parts, const L3NetworkId& l3) {
    return store::read(parts.database, [&](store::Transaction& transaction) -> Result<Addresses> {
        TRY(store::get<L3Network>(transaction, l3.text()));
        Addresses found;
        TRY_ASSIGN(found.ranges, store::list<IpRange>(transaction, {{"l3NetworkUuid", l3.text()}}));
        TRY_ASSIGN(const std::vector<UsedIp> used, store::list<UsedIp>(transaction, {{"l3NetworkUuid", l3.text()}}));
        for (const UsedIp& address : used) found.taken.insert(address_of(address.ip));
        for (const IpRange& range : found.ranges) found.taken.insert(address_of(range.gateway));
        return found;
    });
}

std::string first_host_of(std::string_view start_ip, std::string_view netmask) {
    const std::optional<Ipv4> start = parse_ipv4(start_ip);
    const std::optional<Ipv4> mask = parse_ipv4(netmask);
    if (!start || !mask) return {};  // range_from_ends says what is wrong
    return network::format(Ipv4{(start->value & mask->value) + 1});
}

}  // namespace

Result<std::string> add_ip_range(Parts& parts, const identity::Caller& caller, const api::AddIpRange& request) {
    const std::string gateway = request.gateway && !request.gateway->empty() ? *request.gateway : first_host_of(request.start_ip, request.netmask);
    TRY(check_ends(request, gateway));
    TRY_ASSIGN(const network::RangePlan plan, network::range_from_ends(request.start_ip, request.end_ip, gateway, request.netmask, "startIp"));
    return add_range(parts, caller, {request.l3_network_uuid, request.name, request.description, request.resource_uuid, "startIp"}, plan);
}

Result<std::string> add_ip_range_by_network_cidr(Parts& parts, const identity::Caller& caller, const api::AddIpRangeByNetworkCidr& request) {
    std::optional<std::string_view> gateway;
    if (request.gateway && !request.gateway->empty()) {
        gateway = *request.gateway;
        TRY_ASSIGN(const Ipv4 address, address_in("gateway", *gateway));
        const std::optional<network::Cidr> subnet = network::parse_cidr(request.network_cidr);
        if (subnet && !network::contains(*subnet, address))
            return wrong("gateway",
                         network::format(address) + " is outside of the network " + network::format(*subnet) + "; choose an address of it");
    }
    TRY_ASSIGN(const network::RangePlan plan, network::range_from_cidr(request.network_cidr, gateway, "networkCidr"));
    return add_range(parts, caller, {request.l3_network_uuid, request.name, request.description, request.resource_uuid, "networkCidr"}, plan);
}

Result<std::string> update_ip_range(Parts& parts, const identity::Caller&, const api::UpdateIpRange& request) {
    return rename<IpRange>(parts, request);
}

Result<std::string> delete_ip_range(Parts& parts, const identity::Caller&, const api::DeleteIpRange& request) {
    return remove<IpRange>(parts, request.uuid, [](const IpRange& range, store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::vector<UsedIp> used, store::list<UsedIp>(transaction, {{"ipRangeUuid", range.uuid.text()}}));
        std::vector<std::string> names;
        names.reserve(used.size());
        for (const UsedIp& address : used) names.push_back(address.ip);
        Dependants dependants(transaction);
        dependants.add("used address", "used addresses", names);
        return dependants.none("IP range", range.name);
    });
}

Result<std::string> get_free_ip(Parts& parts, const identity::Caller&, const api::GetFreeIp& request) {
    std::optional<Ipv4> from;
    if (request.start) {
        from = parse_ipv4(*request.start);
        if (!from) return fail(ErrorCode::invalid_argument, "start: '" + request.start->substr(0, 64) + "' is not an IPv4 address");
    }
    TRY_ASSIGN(const Addresses addresses, read_addresses(parts, request.l3_network_uuid));
    std::string body = "{\"inventories\":[";
    std::int64_t found = 0;
    for (const IpRange& range : addresses.ranges) {
        const Ipv4 last = address_of(range.end_ip);
        Ipv4 address = address_of(range.start_ip);
        if (from && *from > address) address = *from;
        for (; address <= last && found < request.limit; ++address.value) {
            if (addresses.taken.contains(address)) continue;
            const api::FreeIp free{range.uuid, network::format(address), range.netmask, range.gateway};
            body += (found++ == 0 ? "" : ",") + api::to_json(free);
        }
    }
    return body + "]}";
}

Result<std::string> check_ip_availability(Parts& parts, const identity::Caller&, const api::CheckIpAvailability& request) {
    const std::optional<Ipv4> address = parse_ipv4(request.ip);
    if (!address) return fail(ErrorCode::invalid_argument, "ip: '" + request.ip.substr(0, 64) + "' is not an IPv4 address");
    TRY_ASSIGN(const Addresses addresses, read_addresses(parts, request.l3_network_uuid));
    bool gateway = false;
    bool inside = false;
    for (const IpRange& range : addresses.ranges) {
        gateway = gateway || address_of(range.gateway) == *address;
        inside = inside || (address_of(range.start_ip) <= *address && *address <= address_of(range.end_ip));
    }
    api::CheckIpAvailabilityReply reply;
    reply.available = inside && !addresses.taken.contains(*address);
    if (!reply.available) reply.reason = gateway ? "GATEWAY" : inside ? "USED" : "NO_SUCH_IP_RANGE";
    return sync_reply(reply);
}

}  // namespace ramet::resources
