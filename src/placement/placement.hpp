// Where VMs and volumes go: pure functions from facts to a decision with its reason. No I/O; any thread. Sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "model/resources.hpp"

namespace ramet::placement {

struct HostFacts {
    Host host;                  // total_memory_capacity is the machine's own
    double memory_ratio = 1;    // bytes of memory that may be given away for each that there is
    std::int64_t used_cpu = 0;  // vCPUs of the VMs placed here
    std::int64_t used_memory = 0;
    std::int64_t vm_count = 0;
    std::vector<PrimaryStorageId> storages;  // reachable: attached to the host's cluster
    std::vector<L2NetworkId> l2_networks;    // reachable: attached to the host's cluster
    bool cluster_enabled = true;
    bool zone_enabled = true;
};

struct VmNeeds {
    std::int64_t cpu = 1;
    std::int64_t memory = 0;
    std::vector<L2NetworkId> l2_networks;    // all of them
    std::vector<PrimaryStorageId> storages;  // all of them
    std::optional<ZoneId> zone;
    std::optional<ClusterId> cluster;
    std::optional<HostId> host;       // this one or none
    std::optional<HostId> last_host;  // preferred when it is among the fit ones
    std::vector<HostId> avoid;
};

struct Decision {
    HostId host;
    std::string reason;  // for the plan that people read: "last host", "fewest VMs (3)"
};

// The memory of a host less the reserve that it keeps for itself (1 GiB from 8 GiB on, else a tenth). No VM may have more, whatever the ratio.
std::int64_t memory_capacity(const Host& host);

// One decision per VM, in order; each takes its share before the next is placed. The last host first if there is room, then the
// host with the fewest VMs, then by uuid, so that equal facts give equal plans.
// Error: no_host; its message tells for each host why it was refused and how many of the VMs had found a place.
Result<std::vector<Decision>> place_vms(std::span<const HostFacts> hosts, const VmNeeds& needs, std::size_t count);

struct StorageFacts {
    PrimaryStorage storage;      // attached_cluster_uuids filled in
    std::int64_t available = 0;  // what may still be written or booked, whichever the caller reckons with
    std::int64_t total = 0;      // the size of its file system
};

struct StorageDecision {
    PrimaryStorageId storage;
    std::string reason;
};

// The storage with the most room that keeps limits::kStorageReservedBytes free after `size` more; `wanted` means this one or
// none; `cluster` means attached to it. Errors: storage_full with required and available bytes of each storage.
Result<StorageDecision> choose_primary_storage(std::span<const StorageFacts> storages, std::int64_t size,
                                               const std::optional<PrimaryStorageId>& wanted, const std::optional<ClusterId>& cluster);

}  // namespace ramet::placement
