// A job that is stuck has left things as they are until an operator decides: what an invariant finds of these is no news. Of others it is.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "simulation/world.hpp"

namespace ramet::sim {

// What the stuck jobs act on or have made: uuids, and names of taps.
std::set<std::string> resources_of_stuck_jobs(Client& client);
// Without those that name one of the resources.
std::vector<std::string> findings_of_others(std::vector<std::string> findings, const std::set<std::string>& resources);

}  // namespace ramet::sim
