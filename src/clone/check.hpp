// May this clone happen? Everything the request names, read from the rows and checked; and the plan made from it. No effect.
#pragma once

#include <vector>

#include "api/messages_vm.hpp"
#include "clone/plan.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/rows.hpp"
#include "placement/placement.hpp"

namespace ramet::clone {

struct CheckedClone {
    lifecycle::VmRows source;                           // all NICs; the volumes to be cloned only
    std::vector<std::vector<std::string>> volume_tags;  // of each cloned volume: inherited and requested
    std::vector<std::string> vm_tags;                   // of each clone: inherited and requested
    std::string tpm_policy;                             // copy, new; empty: the source has no TPM
    std::optional<ClusterId> cluster;                   // where the clones may go
};

Result<CheckedClone> check(store::Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message);

// All choices: overlay or copy and why, storages, room. Pure but for the facts handed in.
Result<ClonePlan> make_plan(const CheckedClone& checked, const api::CloneVmInstance& message, const std::vector<placement::StorageFacts>& storages,
                            const std::vector<std::int64_t>& allocated_bytes);

}  // namespace ramet::clone
