// The host-network port: bridges, taps, DHCP, NAT, anti-spoofing. Without privileges every call succeeds and does nothing, and
// privileged() is false: NICs then use QEMU user networking. All calls may be repeated; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"

namespace ramet::hypervisor {

struct NetworkSpec {
    L3NetworkId l3;
    L2NetworkId l2;
    std::string physical_interface;  // an existing bridge is used as it is; anything else: a bridge of our own
    std::string gateway;             // IPv4, on the bridge when the bridge is ours
    std::string netmask;
    std::int64_t prefix_length = 24;
    std::string network_cidr;
    std::vector<std::string> dns;
    std::string dns_domain;
    bool dhcp = true;  // off for a bridge that has its own server
    bool operator==(const NetworkSpec&) const = default;
};

struct PortSpec {
    NicId nic;
    L3NetworkId l3;
    std::string tap;  // 15 characters at most
    std::string mac;
    std::string ip;         // may be empty: then only the MAC is enforced
    std::string host_name;  // DHCP option 12; may be empty
    bool enabled = true;
    std::int64_t sent_bits_max = 0;      // per second, what the VM sends; 0: no limit
    std::int64_t received_bits_max = 0;  // the same for what it receives
    std::int64_t queues = 1;             // of the tap; fixed when it is made
    bool default_route = true;           // the guest is told of the network's gateway
};

class Plumbing {
public:
    virtual ~Plumbing() = default;
    virtual bool privileged() const = 0;
    virtual Result<void> ensure_network(const NetworkSpec& network) = 0;
    virtual Result<void> remove_network(const L3NetworkId& l3) = 0;
    // Tap on the bridge, anti-spoof rules, DHCP reservation. The tap is persistent and owned by QEMU's user.
    virtual Result<void> plug(const PortSpec& port) = 0;
    virtual Result<void> unplug(const PortSpec& port) = 0;  // also releases the DHCP lease
    virtual Result<void> set_port(const std::string& tap, bool enabled) = 0;
    // Whether the guest behind the port answers ARP for the port's address with the port's MAC. Asks, and looks at what came so far: call again.
    virtual Result<bool> answers(const PortSpec& port) = 0;
    virtual Result<std::vector<std::string>> taps() = 0;      // of this data directory, for the orphan scan
    virtual Result<std::vector<std::string>> ports() = 0;     // names of taps that packet rules and DHCP reservations are kept for
    virtual Result<std::vector<L3NetworkId>> networks() = 0;  // those that are set up on this host
    virtual Result<void> remove_all() = 0;                    // teardown
};

}  // namespace ramet::hypervisor
