#include "network/addresses.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "model/vm.hpp"
#include "network/ipv4.hpp"
#include "store/table.hpp"

namespace ramet::network {

namespace {

constexpr int kMacTriesMax = 64;        // of 2^32: a second try is already rare
constexpr int kSeededMacTriesMax = 32;  // then at random: many NICs may bear the same seed

struct Range {
    IpRange row;
    Ipv4 start, end;
};

// The addresses of one L3 network during one call. `taken` is sorted: used and reserved ones. A free one is then found by
// arithmetic over the gaps, so the cost follows the number of used addresses, not the size of the ranges.
struct Pool {
    std::vector<Range> ranges;
    std::vector<std::uint32_t> taken;
    std::set<std::uint32_t> reserved;
};

void take(Pool& pool, Ipv4 address) {
    const auto place = std::lower_bound(pool.taken.begin(), pool.taken.end(), address.value);
    if (place == pool.taken.end() || *place != address.value) pool.taken.insert(place, address.value);
}

bool is_taken(const Pool& pool, Ipv4 address) { return std::binary_search(pool.taken.begin(), pool.taken.end(), address.value); }

std::int64_t size_of(const Range& range) { return std::int64_t{range.end.value} - range.start.value + 1; }

std::pair<std::vector<std::uint32_t>::const_iterator, std::vector<std::uint32_t>::const_iterator> taken_in(const Pool& pool, const Range& range) {
    return {std::lower_bound(pool.taken.begin(), pool.taken.end(), range.start.value),
            std::upper_bound(pool.taken.begin(), pool.taken.end(), range.end.value)};
}

std::int64_t free_in(const Pool& pool, const Range& range) {
    const auto [first, last] = taken_in(pool, range);
    return size_of(range) - (last - first);
}

// The free address of the range with `skip` free ones before it.
Ipv4 free_at(const Pool& pool, const Range& range, std::int64_t skip) {
    const auto [first, last] = taken_in(pool, range);
    // taken[i] has (taken[i] - start - i) free addresses before it, which never falls: search for the last one not beyond `skip`.
    std::int64_t low = 0;
    std::int64_t high = last - first;
    while (low < high) {
        const std::int64_t middle = (low + high) / 2;
        const std::int64_t free_before = std::int64_t{first[middle]} - range.start.value - middle;
        if (free_before <= skip)
            low = middle + 1;
        else
            high = middle;
    }
    return Ipv4{static_cast<std::uint32_t>(range.start.value + skip + low)};
}

Result<Pool> open_pool(store::Transaction& transaction, const L3NetworkId& l3) {
    Pool pool;
    TRY_ASSIGN(std::vector<IpRange> rows, store::list<IpRange>(transaction, {{"l3NetworkUuid", store::Value{l3.text()}}}));
    for (IpRange& row : rows) {
        if (row.ip_version != 4) continue;
        const std::optional<Ipv4> start = parse_ipv4(row.start_ip);
        const std::optional<Ipv4> end = parse_ipv4(row.end_ip);
        if (!start || !end || *end < *start)
            return fail(ErrorCode::internal, "the IP range '" + row.name + "' is damaged; delete it and add it again", row.uuid.text());
        if (const std::optional<Ipv4> gateway = parse_ipv4(row.gateway)) pool.reserved.insert(gateway->value);
        if (const std::optional<Cidr> cidr = parse_cidr(row.network_cidr); cidr && cidr->prefix_length < 31) {
            pool.reserved.insert(network_of(*cidr).value);
            pool.reserved.insert(broadcast_of(*cidr).value);
        }
        pool.ranges.push_back({std::move(row), *start, *end});
    }
    if (pool.ranges.empty())
        return fail(ErrorCode::no_address, "the L3 network " + l3.text() + " has no IPv4 range; add one with addIpRange or addIpRangeByNetworkCidr");
    const std::string table(describe<UsedIp>().table);
    TRY_ASSIGN(const std::vector<store::Values> used,
               transaction.query("SELECT ipInLong FROM " + table + " WHERE l3NetworkUuid = $1", {store::Value{l3.text()}}));
    pool.taken.reserve(used.size() + pool.reserved.size());
    for (const store::Values& row : used) pool.taken.push_back(static_cast<std::uint32_t>(std::get<std::int64_t>(row.at(0))));
    pool.taken.insert(pool.taken.end(), pool.reserved.begin(), pool.reserved.end());
    std::sort(pool.taken.begin(), pool.taken.end());
    pool.taken.erase(std::unique(pool.taken.begin(), pool.taken.end()), pool.taken.end());
    return pool;
}

std::string ranges_text(const Pool& pool) {
    std::string text;
    for (const Range& range : pool.ranges) text += (text.empty() ? "" : ", ") + range.row.start_ip + "-" + range.row.end_ip;
    return text;
}

using Choice = std::pair<Ipv4, const Range*>;

Result<Choice> choose_wanted(const Pool& pool, const IpRequest& request) {
    const auto wrong = [&](const std::string& reason) {
        return fail(ErrorCode::invalid_argument, "field '" + request.field + "': " + reason + "; choose one of " + ranges_text(pool));
    };
    const std::string shown = request.wanted->substr(0, 64);
    const std::optional<Ipv4> address = parse_ipv4(*request.wanted);
    if (!address) return wrong("'" + shown + "' is not an IPv4 address");
    const auto range =
        std::find_if(pool.ranges.begin(), pool.ranges.end(), [&](const Range& each) { return each.start <= *address && *address <= each.end; });
    if (range == pool.ranges.end()) return wrong(shown + " is outside the ranges of the L3 network");
    if (pool.reserved.contains(address->value)) return wrong(shown + " is the network's gateway, network or broadcast address");
    if (is_taken(pool, *address))
        return fail(ErrorCode::no_address,
                    "field '" + request.field + "': the IP " + shown + " is in use by another NIC; choose another, or leave it out for a random one");
    return Choice{*address, &*range};
}

// A number that the seed determines.
std::uint64_t number_of(const std::string& seed, const std::string& use) {
    std::uint64_t number = 0;
    for (const char digit : derived_uuid_text(seed, use).substr(0, 8))
        number = number * 16 + static_cast<std::uint64_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    return number;
}

Result<Choice> choose_free(const Pool& pool, const L3NetworkId& l3, const std::string& seed) {
    std::int64_t free = 0;
    std::int64_t total = 0;
    for (const Range& range : pool.ranges) {
        free += free_in(pool, range);
        total += size_of(range);
    }
    if (free <= 0) {
        return fail(ErrorCode::no_address, "the L3 network " + l3.text() + " has no free IP: " + std::to_string(total) + " of " +
                                               std::to_string(total) + " addresses of " + ranges_text(pool) +
                                               " are used or reserved; add an IP range or destroy VMs");
    }
    std::int64_t skip = static_cast<std::int64_t>(free > UINT32_MAX ? randombytes_random() : randombytes_uniform(static_cast<std::uint32_t>(free)));
    if (!seed.empty()) skip = static_cast<std::int64_t>(number_of(seed, "ip") % static_cast<std::uint64_t>(free));
    for (const Range& range : pool.ranges) {
        const std::int64_t here = free_in(pool, range);
        if (skip < here) return Choice{free_at(pool, range, skip), &range};
        skip -= here;
    }
    return fail(ErrorCode::internal, "no IP was found though some are free", l3.text());
}

Result<UsedIp> record(store::Transaction& transaction, const IpRequest& request, const Choice& choice, Timestamp now) {
    const auto& [address, range] = choice;
    UsedIp row;
    row.uuid = UsedIpId::random();
    row.ip_range_uuid = range->row.uuid;
    row.l3_network_uuid = request.l3;
    row.ip = format(address);
    row.netmask = range->row.netmask;
    row.gateway = range->row.gateway;
    row.ip_in_long = address.value;
    row.vm_nic_uuid = request.nic;
    row.create_date = row.last_op_date = now;
    TRY(store::insert(transaction, row));
    return row;
}

Result<bool> mac_exists(store::Transaction& transaction, const std::string& mac) {
    TRY_ASSIGN(const std::int64_t rows, store::count<VmNic>(transaction, {{"mac", store::Value{mac}}}));
    return rows > 0;
}

std::string free_mac(std::int64_t device_id, const std::string& seed, int attempt) {
    std::array<unsigned char, 4> octets{};
    randombytes_buf(octets.data(), octets.size());
    if (!seed.empty() && attempt < kSeededMacTriesMax) {
        const std::uint64_t number = number_of(seed, "mac/" + std::to_string(attempt));
        for (std::size_t i = 0; i < octets.size(); ++i) octets.at(i) = static_cast<unsigned char>(number >> (8 * i) & 0xff);
    }
    std::array<char, 18> text{};
    std::snprintf(text.data(), text.size(), "fa:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2], octets[3],
                  static_cast<unsigned>(device_id & 0xff));
    return text.data();
}

}  // namespace

Result<std::vector<UsedIp>> allocate_ips(store::Transaction& transaction, std::span<const IpRequest> requests, Timestamp now) {
    std::map<L3NetworkId, Pool> pools;
    std::vector<UsedIp> rows(requests.size());
    for (const bool wanted : {true, false}) {
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const IpRequest& request = requests[i];
            if (request.wanted.has_value() != wanted) continue;
            auto pool = pools.find(request.l3);
            if (pool == pools.end()) {
                TRY_ASSIGN(Pool opened, open_pool(transaction, request.l3));
                pool = pools.emplace(request.l3, std::move(opened)).first;
            }
            TRY_ASSIGN(const Choice choice, wanted ? choose_wanted(pool->second, request) : choose_free(pool->second, request.l3, request.seed));
            TRY_ASSIGN(rows[i], record(transaction, request, choice, now));
            take(pool->second, choice.first);
        }
    }
    return rows;
}

Result<UsedIp> allocate_ip(store::Transaction& transaction, const L3NetworkId& l3, const NicId& nic, const std::optional<std::string>& wanted,
                           std::string_view field, Timestamp now) {
    const std::array<IpRequest, 1> request{IpRequest{l3, nic, wanted, std::string(field), {}}};
    TRY_ASSIGN(std::vector<UsedIp> rows, allocate_ips(transaction, request, now));
    return std::move(rows.front());
}

Result<std::optional<std::int64_t>> count_free_ips(store::Transaction& transaction, const L3NetworkId& l3) {
    TRY_ASSIGN(const std::int64_t ranges, store::count<IpRange>(transaction, {{"l3NetworkUuid", l3.text()}}));
    if (ranges == 0) return std::optional<std::int64_t>{};
    TRY_ASSIGN(const Pool pool, open_pool(transaction, l3));
    std::int64_t free = 0;
    for (const Range& range : pool.ranges) free += free_in(pool, range);
    return std::optional(free);
}

Result<void> release_ips(store::Transaction& transaction, const NicId& nic) {
    TRY(store::erase<UsedIp>(transaction, {{"vmNicUuid", store::Value{nic.text()}}}));
    return {};
}

Result<std::string> checked_mac(std::string_view text, std::string_view field) {
    const auto wrong = [&](const std::string& reason) {
        return fail(ErrorCode::invalid_argument, "field '" + std::string(field) + "': the MAC '" + std::string(text.substr(0, 64)) + "' " + reason);
    };
    std::string mac(text);
    for (char& c : mac) {
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    bool well_formed = mac.size() == 17;
    for (std::size_t i = 0; well_formed && i < mac.size(); ++i) {
        const bool hex = (mac[i] >= '0' && mac[i] <= '9') || (mac[i] >= 'a' && mac[i] <= 'f');
        well_formed = i % 3 == 2 ? mac[i] == ':' : hex;
    }
    if (!well_formed) return wrong("is not six hex octets such as fa:16:3e:00:00:01");
    if (std::string_view("13579bdf").find(mac[1]) != std::string_view::npos) return wrong("is a multicast address; its first octet must be even");
    if (mac == "00:00:00:00:00:00") return wrong("is all zero; leave it out for a random one");
    return mac;
}

Result<std::vector<std::string>> allocate_macs(store::Transaction& transaction, std::span<const MacRequest> requests) {
    std::vector<std::string> macs(requests.size());
    std::set<std::string> chosen;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!requests[i].wanted) continue;
        TRY_ASSIGN(macs[i], checked_mac(*requests[i].wanted, requests[i].field));
        TRY_ASSIGN(const bool exists, mac_exists(transaction, macs[i]));
        if (exists || !chosen.insert(macs[i]).second) {
            return fail(ErrorCode::mac_taken, "field '" + requests[i].field + "': the MAC " + macs[i] +
                                                  " is in use by another NIC; choose another, or leave it out for a random one");
        }
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].wanted) continue;
        for (int attempt = 0; macs[i].empty(); ++attempt) {
            if (attempt == kMacTriesMax) return fail(ErrorCode::internal, "no free MAC was found; try again");
            std::string candidate = free_mac(requests[i].device_id, requests[i].seed, attempt);
            TRY_ASSIGN(const bool exists, mac_exists(transaction, candidate));
            if (!exists && chosen.insert(candidate).second) macs[i] = std::move(candidate);
        }
    }
    return macs;
}

Result<std::string> allocate_mac(store::Transaction& transaction, const std::optional<std::string>& wanted, std::int64_t device_id,
                                 std::string_view field) {
    const std::array<MacRequest, 1> request{MacRequest{wanted, device_id, std::string(field), {}}};
    TRY_ASSIGN(std::vector<std::string> macs, allocate_macs(transaction, request));
    return std::move(macs.front());
}

std::string tap_name(const NicId& nic) { return "rt" + nic.text().substr(0, 12); }

}  // namespace ramet::network
