// D3: call n of any port fails: once, from then on for a while, or with its effect done and its answer lost. For every n up to a bound.
#include <algorithm>
#include <cstdio>

#include "simulation/campaigns.hpp"

namespace ramet::sim {

namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kCallsMax = 200;
constexpr std::uint64_t kPart = 12;  // of the faults a pull request plants one in so many; the others are the night's
constexpr std::array kModes{std::string_view("once"), std::string_view("from then on"), std::string_view("with its answer lost")};

Seam::Decide fault_at(std::uint64_t nth, std::string_view mode) {
    if (mode == "once") return [nth](const Call&, std::uint64_t number) { return number == nth ? Fault::error : Fault::none; };
    if (mode == "with its answer lost") return [nth](const Call&, std::uint64_t number) { return number == nth ? Fault::lost_reply : Fault::none; };
    // One port is broken until the faults stop; the database comes back by itself, or no job could end.
    return [nth, port = std::optional<Port>(), left = 12](const Call& call, std::uint64_t number) mutable {
        if (number == nth) port = call.port;
        if (!port || call.port != *port) return Fault::none;
        if (*port == Port::database && left-- <= 0) return Fault::none;
        return Fault::error;
    };
}

}  // namespace

bool run_calls(const Options& options) {
    SideBySide all(options.workers);
    std::vector<Scenario> chosen = scenarios();
    // Sixteen clones make the same calls as three.
    std::erase_if(chosen, [&](const Scenario& scenario) {
        return scenario.name.find(options.only) == std::string::npos || (!options.nightly && scenario.name.find("16") != std::string::npos);
    });
    all.run(chosen.size(), [&](std::size_t index, Slot& slot, Tally& tally) {
        const Scenario& scenario = chosen[index];
        all.one_run(slot, tally, kSeed, Script{scenario.prepare, scenario.act});
        const std::uint64_t calls = std::min(tally.calls_with_faults, options.nightly ? UINT64_MAX : kCallsMax);
        std::uint64_t number = std::hash<std::string>{}(scenario.name);  // each scenario has another part
        for (std::uint64_t nth = 1; nth <= calls; ++nth) {
            for (const std::string_view mode : kModes) {
                if (!options.nightly && ++number % kPart != 0) continue;
                Script script{scenario.prepare, scenario.act};
                script.afterwards = scenario.afterwards;
                script.faults = fault_at(nth, mode);
                script.stuck_is_no_violation = mode == "from then on";
                all.one_run(slot, tally, kSeed, script);
                if (tally.violations[0] != '\0')
                    SideBySide::report_failure("scenario '" + scenario.name + "', call " + std::to_string(nth) + " failing " + std::string(mode),
                                               tally);
            }
        }
    });
    std::printf("D3 calls: %zu scenarios, %llu runs, %llu violations\n", chosen.size(), static_cast<unsigned long long>(all.runs()),
                static_cast<unsigned long long>(all.failures()));
    all.print_table(false);
    return all.failures() == 0;
}

}  // namespace ramet::sim
