// What is on disk, in QEMU and in the network held against the rows: after a start of the server, and periodically.
#pragma once

#include <string>
#include <vector>

#include "lifecycle/parts.hpp"

namespace ramet::lifecycle {

// After Engine::recover(): VMs whose process ended while the server was away become Stopped; removals that were cut off are finished.
// VMs that an unfinished job works on are left to that job.
Result<void> reconcile_at_start(Parts& parts);

// One thing that should not be there, or is not there and should. Empty list: every invariant holds.
struct Finding {
    std::string
        kind;  // "file without row", "row without file", "process without VM", "VM without process", "tap without NIC", "address without NIC", "unfinished job"
    std::string what;
};

// Looks only. While jobs run, what they are making shows up too.
Result<std::vector<Finding>> find_orphans(Parts& parts);

}  // namespace ramet::lifecycle
