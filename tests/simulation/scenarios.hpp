// What the server is asked to do while things go wrong: every kind of job, on sources in every state.
#pragma once

#include <string>
#include <vector>

#include "simulation/world.hpp"

namespace ramet::sim {

struct Scenario {
    std::string name;
    std::function<void(Client&)> prepare, act;
    std::function<void(Client&)> afterwards{};  // what is asked for once more when the faults have stopped
};

// For the kill sweep and the faults at the n-th call.
std::vector<Scenario> scenarios();
const Scenario& scenario(const std::vector<Scenario>& all, const std::string& name);

// A VM "source" with a root and a data disk: "running", "paused" or "stopped".
std::function<void(Client&)> with_source(const std::string& state);

}  // namespace ramet::sim
