// The privileged implementation of the plumbing port. Constructed by open_plumbing() after its probe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/linux/netlink.hpp"
#include "hypervisor/linux/plumbing.hpp"
#include "hypervisor/linux/port_files.hpp"
#include "hypervisor/linux/rules.hpp"

namespace ramet::hypervisor {

class LinuxPlumbing final : public Plumbing {
public:
    LinuxPlumbing(const PlumbingOptions& options, std::string data_dir_hash, bool can_masquerade);

    bool privileged() const override { return true; }
    Result<void> ensure_network(const NetworkSpec& network) override;
    Result<void> remove_network(const L3NetworkId& l3) override;
    Result<void> plug(const PortSpec& port) override;
    Result<void> unplug(const PortSpec& port) override;
    Result<void> set_port(const std::string& tap, bool enabled) override;
    Result<bool> answers(const PortSpec& port) override;
    Result<std::vector<std::string>> taps() override;
    Result<std::vector<std::string>> ports() override;
    Result<std::vector<L3NetworkId>> networks() override;
    Result<void> remove_all() override;

    Rules& rules() { return rules_; }  // for tests and metrics

private:
    std::string bridge_name(const L2NetworkId& l2) const;
    Result<NetworkState> choose_bridge(Netlink& netlink, const NetworkSpec& spec) const;
    Result<bool> is_whole(Netlink& netlink, const NetworkState& state);
    Result<void> make_whole(Netlink& netlink, const NetworkState& state);   // needs networks_mutex_
    Result<void> sync_dhcp(Netlink& netlink, const NetworkState& network);  // who is told of the network's gateway has changed
    // Makes bridge, addresses and DHCP server be what the stored networks but `leaving` say; needs networks_mutex_.
    Result<void> sync_bridge(Netlink& netlink, const std::string& bridge, const L3NetworkId* leaving = nullptr);
    Result<void> set_addresses(Netlink& netlink, int index, const std::vector<NetworkState>& members);
    Result<void> sync_rules();
    Result<void> remove_bridge(Netlink& netlink, const std::string& bridge);
    Result<NetworkState> network_of(const L3NetworkId& l3);
    Result<Link> bridge_link(Netlink& netlink, const NetworkState& network);
    Result<void> reserve(const NetworkState& network, const PortSpec& port, const std::optional<PortState>& before);
    Result<void> withdraw(const PortSpec& port, const std::string& bridge, const NetworkState& network);
    void mark_stale(const std::string& bridge);

    PlumbingOptions options_;
    std::string hash_;   // of the data directory: 10 hex digits
    std::string alias_;  // on every link of ours
    bool can_masquerade_;
    PortFiles files_;
    Rules rules_;

    std::mutex networks_mutex_;  // one change of networks and bridges at a time; held over system calls and a dnsmasq start
    bool rules_built_ = false;

    std::mutex cache_mutex_;  // short
    std::map<std::string, NetworkState> networks_;
    std::map<std::string, std::chrono::steady_clock::time_point> made_whole_;  // by L3 network: when all of it was last looked at
    std::set<std::string> fresh_dhcp_;                                         // bridges whose DHCP server has read every removal of a reservation
};

}  // namespace ramet::hypervisor
