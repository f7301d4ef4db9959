// D20: each mutant must be told of by the check it is meant for, and by no check that has no business with it.
#include "simulation/mutants.hpp"

#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>

#include "lifecycle/invariants.hpp"
#include "simulation/campaigns.hpp"

namespace ramet::sim {

namespace {

constexpr std::uint64_t kSeed = 1;

std::string without_quotes(std::string_view sql) {
    std::string plain(sql);
    std::erase(plain, '"');
    return plain;
}

std::set<std::string> words(const std::string& text) {
    std::set<std::string> found;
    std::istringstream stream(text);
    for (std::string word; stream >> word;) found.insert(word);
    return found;
}

Script script_of(const Mutant& mutant, const Scenario& scenario) {
    Script script{scenario.prepare, scenario.act};
    if (mutant.leaves_out_call) {
        script.faults = [leaves_out = mutant.leaves_out_call](const Call& call, std::uint64_t) {
            return leaves_out(call) ? Fault::swallow : Fault::none;
        };
    }
    if (!mutant.leaves_out_sql.empty())
        script.leaves_out = [begin = mutant.leaves_out_sql](std::string_view sql) { return without_quotes(sql).starts_with(begin); };
    if (!mutant.step_without_locks.empty()) {
        script.step_without_locks = mutant.step_without_locks;
        // The other job has the time to come between.
        script.faults = [](const Call& call, std::uint64_t) { return call.operation == "snapshot_disks" ? Fault::delay : Fault::none; };
    }
    script.damage = mutant.damage;
    script.judge_at_once = true;
    return script;
}

}  // namespace

std::set<std::string> tellers(const Tally& tally) {
    std::set<std::string> found;
    std::istringstream lines(tally.violations.data());
    for (std::string line; std::getline(lines, line);) found.insert(line.substr(0, line.find(':')));
    return found;
}

bool run_mutants(const Options& options) {
    SideBySide all(options.workers);
    const std::vector<Scenario> every_scenario = scenarios();
    std::vector<Mutant> mutants = step_mutants();
    for (Mutant& mutant : damage_mutants()) mutants.push_back(std::move(mutant));
    std::erase_if(mutants, [&](const Mutant& mutant) { return mutant.name.find(options.only) == std::string::npos; });
    all.run(mutants.size(), [&](std::size_t index, Slot& slot, Tally& tally) {
        const Mutant& mutant = mutants[index];
        all.one_run(slot, tally, kSeed, script_of(mutant, scenario(every_scenario, mutant.scenario)));
        std::set<std::string> told = tellers(tally);
        if (!mutant.damage && tally.jobs_failed + tally.jobs_stuck + tally.jobs_partly > 0) told.insert("job");  // the engine itself has noticed
        const bool killed = told.contains(mutant.told_by);
        std::set<std::string> allowed = words(mutant.may_tell);
        allowed.insert(mutant.told_by);
        allowed.insert("process");  // compares rows with processes, of which either may be wrong
        std::string all_told, too_many;
        for (const std::string& teller : told) {
            all_told += " " + teller;
            if (!allowed.contains(teller)) too_many += " " + teller;
        }
        std::printf("  %-9s %-7s %s (in '%s'; told by:%s)\n", killed ? "killed" : "SURVIVED", mutant.told_by.c_str(), mutant.name.c_str(),
                    mutant.scenario.c_str(), all_told.c_str());
        if (!killed || !too_many.empty()) SideBySide::report_failure(mutant.name + (killed ? ": told also by" + too_many : ": nobody tells"), tally);
    });
    std::printf("D20 mutants: %zu, %llu survived or were told of wrongly\n", mutants.size(), static_cast<unsigned long long>(all.failures()));
    return all.failures() == 0;
}

}  // namespace ramet::sim
