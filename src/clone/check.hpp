// May this clone happen? Everything the request names, read from the rows and checked. No effect.
#pragma once

#include <vector>

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/rows.hpp"
#include "model/memory_image.hpp"

namespace ramet::clone {

struct CheckedClone {
    lifecycle::VmRows source;                           // all NICs; the volumes to be cloned only
    std::vector<std::vector<std::string>> volume_tags;  // of each cloned volume: inherited and requested
    std::vector<std::string> vm_tags;                   // of each clone: inherited and requested
    std::string tpm_policy;                             // copy, new; empty: the source has no TPM
    std::optional<ClusterId> cluster;                   // where the clones may go
    bool kept = false;                                  // the volumes' tops are kept layers (kept_source.hpp): nothing is captured
    std::optional<MemoryImage> kept_memory;             // what the clones go on from, when it was kept
};

// Again in the transaction that reserves the clones: another call may have taken a name meanwhile.
Result<void> check_names(store::Transaction& transaction, const std::vector<std::string>& names);

Result<CheckedClone> check(store::Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message);

}  // namespace ramet::clone
