// The first start: a zone, a cluster, this machine as host, storages in the data directory, a NAT network `default` and a few offerings,
// all owned by the admin. Later starts refresh what was measured of this machine and change nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "identity/caller.hpp"
#include "model/resources.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// This machine. measure_machine() fills all but the hypervisor's words, which the daemon takes from hypervisor::Capabilities.
struct MachineFacts {
    std::string host_name = "localhost";
    std::int64_t cpu_num = 1;
    std::int64_t memory_bytes = 0;
    std::string architecture = "x86_64";
    std::string accelerator;  // "kvm" or "tcg"
    std::string accelerator_reason;
    std::string hypervisor_version;
    std::vector<std::string> used_networks;  // IPv4 "10.0.0.0/8" that this machine routes or has addresses in; the default route is left out
    std::vector<std::string> dns_servers;    // IPv4 addresses this machine asks itself; loopback ones are left out
};

MachineFacts measure_machine();

// The first private /20 that overlaps none of `used`: 10.77.0.0/20, then its neighbours, then other 10.x; empty when all are taken.
std::string pick_free_network(const std::vector<std::string>& used);

// `parts.data_dir` and the admin's account must exist. Safe to repeat and to be cut off at any point: one transaction makes everything.
Result<void> bootstrap(Parts& parts, const identity::Caller& admin, const MachineFacts& machine);

// What was measured, into the row of this machine.
Result<void> take_machine_facts(store::Transaction& transaction, Host& host, const MachineFacts& machine);

inline constexpr std::string_view kDefaultZoneName = "zone1";
inline constexpr std::string_view kDefaultClusterName = "cluster1";
inline constexpr std::string_view kDefaultPrimaryStorageName = "local";
inline constexpr std::string_view kDefaultBackupStorageName = "images";
inline constexpr std::string_view kDefaultNetworkName = "default";

// The uuid of the host row that is this machine, the only one of an embedded database; the data directory may be moved.
HostId local_host_uuid();

}  // namespace ramet::resources
