// One dnsmasq per bridge of ours: DHCP with one reservation per NIC, no DNS. It outlives this process; its pid file and its command
// line say whether a running one is ours and up to date, so nothing about it is remembered.
// No lease database: addresses follow from the reservations alone, so a lost lease changes nothing, and a stale one on disk could
// only keep an address from its next owner. Client ids are ignored: clones may send the same one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/linux/port_files.hpp"

namespace ramet::hypervisor {

class DhcpServer {
public:
    DhcpServer(const PortFiles& files, std::string bridge);

    static std::string program();  // path of dnsmasq; empty when it is not installed

    // Starts it, or takes up the one that runs. One with other settings, or any when `restart`, is replaced. True: it was started.
    Result<bool> ensure(const std::vector<NetworkState>& networks, bool restart);
    bool running() const;  // looks at the pid file only
    Result<void> stop();   // absent is success
    // Reads all reservations again; needed after one was removed or changed (new ones it sees by itself).
    void reload() const;

    Result<void> reserve(const PortSpec& port) const;  // by MAC; replaces the NIC's earlier one
    Result<bool> unreserve(const NicId& nic) const;    // true: there was one
    // Tells the server that the guest gives its address back, as the guest itself would.
    void release(const std::string& gateway, const std::string& ip, const std::string& mac) const;

    // Ends every server whose state lies under `root`, even those whose pid file is lost.
    static Result<void> stop_all(const std::string& root);

private:
    std::vector<std::string> arguments(const std::vector<NetworkState>& networks) const;
    void name_those_without_router(std::vector<std::string>& arguments) const;
    const PortFiles& all_files_;
    std::string bridge_;
    std::string folder_;
    std::string hosts_;
    std::string pid_file_;
};

}  // namespace ramet::hypervisor
