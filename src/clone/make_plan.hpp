// The plan of a clone: the strategy of each volume, what it writes, and whether there is room. Asks the storages, changes nothing.
#pragma once

#include "clone/check.hpp"
#include "clone/plan.hpp"

namespace ramet::clone {

Result<ClonePlan> make_plan(lifecycle::Parts& parts, const CheckedClone& checked, const api::CloneVmInstance& message);

}  // namespace ramet::clone
