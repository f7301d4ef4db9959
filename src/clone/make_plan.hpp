// The plan of a clone: the strategy of each volume, what it writes, and whether there is room. Asks the storages, changes nothing.
#pragma once

#include "clone/check.hpp"
#include "clone/plan.hpp"
#include "lifecycle/room.hpp"

namespace ramet::clone {

struct PreparedClone {
    CheckedClone checked;
    ClonePlan plan;
    lifecycle::Room room;  // as it was planned with
};

// Of all clones together, on each storage.
std::vector<lifecycle::WantedRoom> wanted_room(const PreparedClone& prepared);

// Check and plan: what a call and its dry run have in common before the reservation.
Result<PreparedClone> prepare(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message);

}  // namespace ramet::clone
