// What the plumbing keeps under DIR/network, as small files of "key=value" lines: one per network, one per port. Written beside
// and renamed, so a reader sees a whole file or none. Not synced: after a power cut the server plugs everything again.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/plumbing.hpp"

namespace ramet::hypervisor {

// A network as it was set up. `bridge` is ours unless `foreign`.
struct NetworkState {
    NetworkSpec spec;
    std::string bridge;
    bool foreign = false;
    bool serves_dhcp() const { return spec.dhcp && !foreign && !spec.gateway.empty() && !spec.network_cidr.empty(); }
    bool operator==(const NetworkState&) const = default;
};

struct PortState {
    PortSpec port;
    std::string bridge;
};

class PortFiles {
public:
    explicit PortFiles(std::string root);  // DIR/network

    const std::string& root() const { return root_; }
    std::string bridge_folder(const std::string& bridge) const { return root_ + "/bridges/" + bridge; }
    std::string hosts_folder(const std::string& bridge) const { return bridge_folder(bridge) + "/hosts"; }

    Result<void> prepare();  // makes the folders
    Result<void> save(const NetworkState& network);
    Result<void> save(const PortState& port);
    Result<std::optional<NetworkState>> network(const std::string& l3) const;
    Result<std::optional<PortState>> port(const std::string& tap) const;
    Result<std::vector<NetworkState>> networks() const;
    Result<std::vector<PortState>> ports() const;
    Result<void> forget_network(const std::string& l3);
    Result<void> forget_port(const std::string& tap);

private:
    std::string root_;
};

Result<void> write_file(const std::string& path, const std::string& text);  // beside, then renamed; mode 0644
Result<std::optional<std::string>> read_file(const std::string& path);      // nothing when absent
Result<void> remove_file(const std::string& path);                          // absent is success
Result<void> make_folder(const std::string& path, unsigned mode);           // existing is success

}  // namespace ramet::hypervisor
