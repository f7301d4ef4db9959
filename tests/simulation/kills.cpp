// D2: the server is killed at every crash point of every scenario: once, again during the recovery, and while it takes a failed job back; each
// time alone, and each time with the machine it runs on.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "simulation/campaigns.hpp"

namespace ramet::sim {

namespace {

constexpr std::uint64_t kSeed = 1;

struct Passage {
    std::uint64_t number;  // from 1
    std::string site;
};

std::vector<Passage> recorded(const Tally& tally) {
    std::vector<Passage> all;
    for (std::size_t i = 0; i < tally.passage_count; ++i) all.push_back({i + 1, tally.sites[tally.passages[i]].name.data()});
    return all;
}

constexpr std::uint64_t kPart = 16;  // of the kills a pull request makes one in so many; the others are the night's

// Every passage at night; else, of each crash point, the first, the middle and the last.
std::vector<Passage> choose(const std::vector<Passage>& passages, bool every, const std::function<bool(const std::string&)>& wanted) {
    std::map<std::string, std::vector<Passage>> by_site;
    for (const Passage& passage : passages)
        if (wanted(passage.site)) by_site[passage.site].push_back(passage);
    std::vector<Passage> chosen;
    for (const auto& [site, all] : by_site) {
        std::set<std::size_t> indexes{0, all.size() / 2, all.size() - 1};
        for (std::size_t i = 0; i < all.size(); ++i)
            if (every || indexes.contains(i)) chosen.push_back(all[i]);
    }
    return chosen;
}

class Sweep {
public:
    Sweep(SideBySide& all, const Scenario& scenario, const Options& options, Slot& slot, Tally& tally)
        : all_(all),
          scenario_(scenario),
          options_(options),
          slot_(slot),
          tally_(tally) {}

    void run() {
        const std::vector<Passage> passages = record({});
        const std::uint64_t calls = calls_;
        std::uint64_t number = std::hash<std::string>{}(scenario_.name);  // each scenario has another part
        for (const Passage& passage : choose(passages, options_.nightly, [](const std::string&) { return true; })) {
            if (!options_.nightly && ++number % kPart != 0) continue;
            kill({}, passage, 0, "");
            // A second time, in the recovery.
            const std::uint64_t later = 1 + Random(passage.number).below(40);
            if (options_.nightly || passage.number % 3 == 0) kill({}, passage, later, "");
        }
        take_back(calls);
    }

private:
    // Some call fails, the job goes back, and the server dies on that way.
    void take_back(std::uint64_t calls) {
        const std::uint64_t failures = std::min<std::uint64_t>(calls, options_.nightly ? 60 : 2);
        std::set<std::string> known;
        for (std::uint64_t i = 0; i < failures; ++i) {
            const std::uint64_t nth = 1 + i * calls / failures;
            const Seam::Decide fails = [nth](const Call&, std::uint64_t number) { return number == nth ? Fault::error : Fault::none; };
            const std::vector<Passage> passages = record(fails);
            const auto goes_back = [](const std::string& site) {
                return site.find("undo") != std::string::npos || site.find("undid") != std::string::npos;
            };
            for (const Passage& passage : choose(passages, options_.nightly, goes_back))
                if (options_.nightly || known.insert(passage.site).second) kill(fails, passage, 0, ", call " + std::to_string(nth) + " failing");
        }
    }

    std::vector<Passage> record(const Seam::Decide& faults) {
        calls_ = 0;
        tally_.passage_count = 0;
        tally_.recording = true;
        run_with(faults, {});
        calls_ = tally_.calls_with_faults;
        tally_.recording = false;
        if (!faults && tally_.refused > 0) tally_.violation("simulation: the scenario asks for what is refused");
        if (tally_.violations[0] != '\0') SideBySide::report_failure("scenario '" + scenario_.name + "' without a kill", tally_);
        return recorded(tally_);
    }

    void kill(const Seam::Decide& faults, const Passage& first, std::uint64_t later, const std::string& besides) {
        const auto crash = [first = first.number, later](std::string_view, std::uint64_t number) {
            return number == first || (later != 0 && number == first + later);
        };
        for (const bool power_cut : {false, true}) {
            run_with(faults, crash, power_cut);
            if (tally_.violations[0] == '\0') continue;
            SideBySide::report_failure("scenario '" + scenario_.name + "' killed at passage " + std::to_string(first.number) + " (" + first.site +
                                           ")" + (later == 0 ? "" : " and " + std::to_string(later) + " passages later") + besides +
                                           (power_cut ? ", by a power cut" : ""),
                                       tally_);
        }
    }

    void run_with(const Seam::Decide& faults, const Seam::DecideCrash& crash, bool power_cut = false) {
        Script script{scenario_.prepare, scenario_.act};
        script.afterwards = scenario_.afterwards;
        script.faults = faults;
        script.crash = crash;
        if (power_cut) script.power_cut = [] { return true; };
        all_.one_run(slot_, tally_, kSeed, script);
    }

    SideBySide& all_;
    const Scenario& scenario_;
    const Options& options_;
    Slot& slot_;
    Tally& tally_;
    std::uint64_t calls_ = 0;
};

}  // namespace

bool run_kills(const Options& options) {
    SideBySide all(options.workers);
    std::vector<Scenario> chosen = scenarios();
    std::erase_if(chosen, [&](const Scenario& scenario) { return scenario.name.find(options.only) == std::string::npos; });
    // The long ones first, so that no worker is left alone with one.
    std::ranges::partition(chosen, [](const Scenario& scenario) { return scenario.name.find("16") != std::string::npos; });
    all.run(chosen.size(), [&](std::size_t index, Slot& slot, Tally& tally) { Sweep(all, chosen[index], options, slot, tally).run(); });
    std::printf("D2 kills: %zu scenarios, %llu runs, %llu violations\n", chosen.size(), static_cast<unsigned long long>(all.runs()),
                static_cast<unsigned long long>(all.failures()));
    all.print_table(false);
    return all.failures() == 0;
}

}  // namespace ramet::sim
