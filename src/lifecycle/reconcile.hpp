// What is on disk, in QEMU and in the network held against the rows: after a start of the server, and periodically.
#pragma once

#include <string>
#include <vector>

#include "lifecycle/parts.hpp"
#include "lifecycle/survey.hpp"

namespace ramet::lifecycle {

// After Engine::recover(): VMs whose process ended while the server was away become Stopped; removals that were cut off are finished.
// VMs that an unfinished job works on are left to that job.
Result<void> reconcile_at_start(Parts& parts);

// One thing that should not be there, or is not there and should. Empty list: files, processes, taps, addresses and rows fit each other.
struct Finding {
    std::string kind;  // "row without file", "VM without process", "address without NIC", "unfinished job", ... and those of survey.hpp
    std::string what;
};

// While jobs run, what they are making shows up too.
Result<std::vector<Finding>> find_orphans(Parts& parts, const Survey& survey);
// Those of them that are firmware state, TPM processes and memory images.
Result<std::vector<Finding>> find_orphaned_state(Parts& parts, const Survey& survey);

}  // namespace ramet::lifecycle
