// The packet rules of one data directory: a bridge table that keeps guests to their addresses, and an inet table that masquerades.
// Ports are set elements, so that a plug adds a few elements (about 0.1 ms) and never a rule.
//
//   frame from a port ─► MAC its own? ─► kind allowed? ─► no DHCP answer, no router advertisement ─► IP and ARP sender its own?
//                     ─► not faster than its limit? ─► bridge ─► not faster than the receiver's limit? ─► port
//
// Any thread. Every drop has a named counter.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/linux/port_files.hpp"

struct nft_ctx;

namespace ramet::hypervisor {

class Rules {
public:
    explicit Rules(std::string table);
    ~Rules();
    Rules(const Rules&) = delete;
    Rules& operator=(const Rules&) = delete;

    // Makes the bridge table anew with exactly these ports, in one transaction: packets see the old rules or the new ones. `ports`
    // is called under the lock, so that no port added meanwhile is lost.
    Result<void> rebuild_ports(const std::function<Result<std::vector<PortState>>()>& ports);
    // Adds `port` and takes back what `before` allowed on the same tap. not_found when the table is gone.
    Result<void> add_port(const PortSpec& port, const PortSpec* before);
    Result<void> remove_port(const PortSpec& port);  // absent is success
    // Makes the inet table anew for these networks. Foreign bridges get no NAT.
    Result<void> set_networks(const std::vector<NetworkState>& networks);
    Result<void> remove();                                     // both tables; absent is success
    Result<void> probe(bool with_nat);                         // makes and deletes a table of another name
    Result<std::int64_t> dropped(const std::string& counter);  // packets

private:
    Result<std::string> run(const std::string& script);  // needs mutex_
    std::mutex mutex_;
    std::string table_;
    nft_ctx* context_ = nullptr;
};

}  // namespace ramet::hypervisor
