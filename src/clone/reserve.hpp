// Host choices, addresses, rows and the plan itself: one transaction, in which the database has the last word on uniqueness.
#pragma once

#include "api/messages_vm.hpp"
#include "clone/check.hpp"
#include "clone/plan.hpp"
#include "hypervisor/hypervisor.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/make_vm.hpp"

namespace ramet::clone {

// What was reserved: the plan with its refusals, and the rows of the clones that have none, in order.
struct Reserved {
    ClonePlan plan;
    std::vector<lifecycle::VmBlueprint> vms;
};

// Gives each clone a host, or a refusal of its own when none has room (contract 3.2: the call succeeds all the same); of atomic clones
// the first refusal is the call's error. The same rows give the same answer, but for the MACs of clones that go on in processes that wait (`ready`,
// of which the first clones get one each).
Result<Reserved> reserve(store::Transaction& transaction, const lifecycle::Request& request, const api::CloneVmInstance& message,
                         const CheckedClone& checked, ClonePlan plan, Timestamp now, const std::vector<hypervisor::ReadyMachine>& ready = {});

}  // namespace ramet::clone
