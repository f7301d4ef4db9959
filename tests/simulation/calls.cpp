// D3: call n of any port goes wrong, in each way that its adapters know: it fails with each of their codes, it never answers, or it is done and the
// answer is lost; once, or from then on for a while. For every n up to a bound.
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "simulation/campaigns.hpp"

namespace ramet::sim {

namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kCallsMax = 200;
constexpr std::uint64_t kPart = 37;  // of the faults a pull request plants one in so many; the others are the night's
constexpr int kDatabaseFaults = 12;  // from then on, or no job could end

bool everywhere(std::string_view) { return true; }
bool where_bytes_are_written(std::string_view site) {
    return site.starts_with("storage.") || site == "database.write" || site == "hypervisor.capture_memory";
}
bool where_not_all_is_possible(std::string_view site) {
    constexpr std::array kSites{std::string_view("storage.estimate_reflink"), std::string_view("storage.reflink_copy"),
                                std::string_view("hypervisor.capture_memory"), std::string_view("hypervisor.memory_fits"),
                                std::string_view("hypervisor.start_from_memory")};
    return std::ranges::find(kSites, site) != kSites.end();
}

// An errno is in the code that the adapters give it: ENOSPC and EDQUOT are "no space", EIO, EACCES and what QEMU refuses are "error", a lost
// connection and a want of files or memory are "broken". Codes that tell a state (not_found, wrong_state) are answers and no faults.
struct Mode {
    std::string_view name;
    Fault fault;
    bool stays;  // that port goes wrong until the faults stop
    bool (*fits)(std::string_view site) = &everywhere;
};
constexpr std::array kModes{
    Mode{"failing once", Fault::error, false},
    Mode{"failing from then on", Fault::error, true},
    Mode{"with its answer lost", Fault::lost_reply, false},
    Mode{"with all answers lost from then on", Fault::lost_reply, true},
    Mode{"done twice", Fault::twice, false},
    Mode{"broken once", Fault::broken, false},
    Mode{"broken from then on", Fault::broken, true},
    Mode{"hanging once", Fault::hang, false},
    Mode{"hanging from then on", Fault::hang, true},
    Mode{"without space once", Fault::no_space, false, &where_bytes_are_written},
    Mode{"without space from then on", Fault::no_space, true, &where_bytes_are_written},
    Mode{"unsupported", Fault::unsupported, false, &where_not_all_is_possible},
};
static_assert(std::gcd(kModes.size(), kPart) == 1, "the part that is taken has all modes in it");

Seam::Decide fault_at(std::uint64_t nth, const Mode& mode) {
    if (!mode.stays) return [nth, fault = mode.fault](const Call&, std::uint64_t number) { return number == nth ? fault : Fault::none; };
    return [nth, mode, port = std::optional<Port>(), left = kDatabaseFaults](const Call& call, std::uint64_t number) mutable {
        if (number == nth) port = call.port;
        const std::string site = std::string(kPortNames.at(static_cast<std::size_t>(call.port))) + "." + std::string(call.operation);
        if (!port || call.port != *port || !mode.fits(site)) return Fault::none;
        if (*port == Port::database && left-- <= 0) return Fault::none;
        return mode.fault;
    };
}

// The sites of the calls that a scenario makes when nothing goes wrong.
std::vector<std::string> recorded_calls(SideBySide& all, const Scenario& scenario, Slot& slot, Tally& tally) {
    tally.recording = true;
    all.one_run(slot, tally, kSeed, Script{scenario.prepare, scenario.act});
    tally.recording = false;
    if (tally.refused > 0) tally.violation("simulation: the scenario asks for what is refused");
    if (tally.violations[0] != '\0') SideBySide::report_failure("scenario '" + scenario.name + "' without a fault", tally);
    std::vector<std::string> sites;
    for (std::size_t i = 0; i < std::min(tally.calls_with_faults, Tally::kCalls); ++i) sites.emplace_back(tally.sites[tally.called[i]].name.data());
    return sites;
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
        const std::vector<std::string> calls = recorded_calls(all, scenario, slot, tally);
        const std::uint64_t last = std::min(calls.size(), options.nightly ? SIZE_MAX : kCallsMax);
        std::uint64_t number = std::hash<std::string>{}(scenario.name);  // each scenario has another part
        for (std::uint64_t nth = 1; nth <= last; ++nth) {
            for (const Mode& mode : kModes) {
                if (!mode.fits(calls[nth - 1])) continue;
                if (!options.nightly && ++number % kPart != 0) continue;
                Script script{scenario.prepare, scenario.act};
                script.afterwards = scenario.afterwards;
                script.faults = fault_at(nth, mode);
                script.stuck_is_no_violation = mode.stays;
                all.one_run(slot, tally, kSeed, script);
                if (tally.violations[0] != '\0')
                    SideBySide::report_failure(
                        "scenario '" + scenario.name + "', call " + std::to_string(nth) + " (" + calls[nth - 1] + ") " + std::string(mode.name),
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
