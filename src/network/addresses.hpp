// IP and MAC allocation inside the caller's transaction, and the names of tap devices. Uniqueness is the database's: two
// transactions that choose the same address cannot both commit. Thread rules: those of the transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "model/resources.hpp"
#include "store/database.hpp"

namespace ramet::network {

struct IpRequest {
    L3NetworkId l3;
    NicId nic;
    std::optional<std::string> wanted;  // a certain address; else one at random
    std::string field = "ip";           // the request field that `wanted` came from, for the error text
    std::string seed = {};              // not empty: the same free addresses and the same seed give the same choice
};

// Inserts a UsedIp row per request and returns the rows in the order of the requests. All or nothing: after an error the caller
// must let the transaction fail. Wanted addresses are taken first, so that no random choice of the same call takes one away.
// Never handed out: the gateway, the network and the broadcast address of any range, and used addresses.
// Errors: invalid_argument (not an IPv4 address, outside every range, or reserved: names the field and the ranges);
// no_address (the wanted address is taken; the ranges are exhausted: says how many are used).
Result<std::vector<UsedIp>> allocate_ips(store::Transaction& transaction, std::span<const IpRequest> requests, Timestamp now);

Result<UsedIp> allocate_ip(store::Transaction& transaction, const L3NetworkId& l3, const NicId& nic, const std::optional<std::string>& wanted,
                           std::string_view field, Timestamp now);

// How many addresses of the network can still be chosen; nothing when it has no range, so that no NIC on it is given one.
Result<std::optional<std::int64_t>> count_free_ips(store::Transaction& transaction, const L3NetworkId& l3);

// Gives back every address of the NIC; none is success.
Result<void> release_ips(store::Transaction& transaction, const NicId& nic);

struct MacRequest {
    std::optional<std::string> wanted;
    std::int64_t device_id = 0;  // 0..255; the last octet of a MAC of ours
    std::string field = "mac";
    std::string seed = {};  // not empty: the same NIC rows and the same seed give the same choice
};

// Chooses MACs, inserts nothing: the rows' UNIQUE constraint on vm_nic.mac has the last word. The answers of one call differ
// from each other and from every NIC row; so ask for all NICs of a transaction at once, or insert each row before the next call.
// Errors: invalid_argument (not six octets, multicast, or all zero: names the field); mac_taken.
Result<std::vector<std::string>> allocate_macs(store::Transaction& transaction, std::span<const MacRequest> requests);

Result<std::string> allocate_mac(store::Transaction& transaction, const std::optional<std::string>& wanted, std::int64_t device_id,
                                 std::string_view field);

// Lower case, unicast, not all zero; else invalid_argument naming the field.
Result<std::string> checked_mac(std::string_view text, std::string_view field);

// "rt" and the first 12 hex digits of the NIC's uuid: within the kernel's 15 characters, the same on every call.
std::string tap_name(const NicId& nic);

}  // namespace ramet::network
