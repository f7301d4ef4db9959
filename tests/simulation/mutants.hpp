// Faults that are built in, each of which an invariant's check must notice.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "simulation/scenarios.hpp"

namespace ramet::sim {

struct Mutant {
    std::string name;
    std::string scenario;  // in which it shows
    std::string told_by;   // what must tell of it: "I5", "orphan", ...
    std::string may_tell;  // what else may, separated by blanks
    // One of these: an effect that is left out though the call says it was done, a statement that is, a step that
    // holds nothing, or damage to what has settled.
    std::function<bool(const Call&)> leaves_out_call{};
    std::string leaves_out_sql{};  // beginning of the statement, without quotes
    std::string step_without_locks{};
    std::function<void(Client&)> damage{};
};

// "I5", "orphan", "simulation": what the lines of the tally begin with.
std::set<std::string> tellers(const Tally& tally);

// On a connection of its own, which keeps no references.
void past_all_constraints(Client& client, const std::string& sql);
// Makes the table what it is, and without any constraint but the key.
std::string without_constraints(const std::string& table);

std::vector<Mutant> step_mutants();    // of what the steps of a saga do
std::vector<Mutant> damage_mutants();  // of rows, files and processes

}  // namespace ramet::sim
