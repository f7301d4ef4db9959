// What a dry run tells of an instant clone's memory: how it would be captured and why, where the image goes, and what that costs.
#pragma once

#include "api/messages_vm.hpp"
#include "clone/check.hpp"
#include "clone/plan.hpp"
#include "lifecycle/parts.hpp"

namespace ramet::clone {

Result<api::PlannedMemoryInventory> tell_memory(lifecycle::Parts& parts, const CheckedClone& checked, const ClonePlan& plan);

}  // namespace ramet::clone
