// The proof campaigns of reliability: what goes wrong is drawn (random), swept (kills, calls) or built in (mutants).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "simulation/scenarios.hpp"

namespace ramet::sim {

struct Options {
    std::string campaign;  // "random", "kills", "calls", "mutants", "replay"
    std::uint64_t first_seed = 1;
    std::uint64_t seeds = 0;  // 0: as many as the campaign has at its size
    bool nightly = false;
    std::size_t workers = 1;
    std::string only;  // scenarios (or mutants) whose name has this in it
};

// Work of a campaign, spread over processes. Each has a slot and a tally; `work` says what went wrong in item `index`, or nothing.
class SideBySide {
public:
    explicit SideBySide(std::size_t workers);
    using Work = std::function<void(std::size_t index, Slot&, Tally&)>;
    void run(std::size_t count, const Work& work);
    const Tally& tally(std::size_t worker) const { return *tallies_.at(worker); }
    std::size_t workers() const { return tallies_.size(); }
    // By any process of the campaign: one failure more, and how to see it again.
    static void report_failure(const std::string& what, const Tally& tally);
    std::uint64_t failures() const { return *failures_; }
    std::uint64_t runs() const { return *runs_; }
    void one_run(Slot& slot, Tally& tally, std::uint64_t seed, const Script& script);
    void print_table(bool with_sites) const;

private:
    std::vector<Tally*> tallies_;
    static std::uint64_t* failures_;
    std::uint64_t *runs_, *next_;
};

bool run_random(const Options& options);
bool run_kills(const Options& options);
bool run_calls(const Options& options);
bool run_mutants(const Options& options);

Script random_script(std::uint64_t seed);

}  // namespace ramet::sim
