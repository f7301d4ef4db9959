// D20, the thousand: records every scenario, makes what can be done wrongly in it, runs each, and counts who told.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "simulation/generated.hpp"
#include "simulation/mutants.hpp"

namespace ramet::sim {

namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::size_t kOfADay = 40;
constexpr std::size_t kOfANight = 4000;
constexpr std::size_t kMadeMin = 1000;
constexpr double kKilledMin = 0.95;
constexpr double kKilledMinOfADay = 0.85;  // so few have five survivors by chance when the night's bound is just kept

// Those that ramet doctor checks, and I9, which this machine can.
constexpr std::array<std::string_view, 23> kCheckable{"I1",  "I2",  "I3",  "I4",  "I5",  "I6",  "I9",  "I10", "I13", "I14", "I15", "I17",
                                                      "I18", "I19", "I20", "I23", "I25", "I26", "I27", "I32", "I33", "I34", "I39"};

enum class Verdict : std::uint8_t { not_run, nothing, made_good, killed, survived };

struct Outcome {
    Verdict verdict;
    std::array<char, 200> told;  // by whom it was killed, separated by blanks
};

// Everything that can be done wrongly, in an order that only the code decides.
class Mutants {
public:
    Mutants(SideBySide& all, const std::string& only) : all_(all), scenarios_(scenarios()) {
        for (std::size_t i = 0; i < scenarios_.size(); ++i) {
            // Sixteen clones make the same calls as three.
            const std::string& name = scenarios_[i].name;
            if (name.find("16") == std::string::npos && name.find(only) != std::string::npos) bases_.push_back({i});
        }
        record(0);
        const std::size_t whole = bases_.size();
        for (std::size_t base = 0; base < whole; ++base) add_failing(base);
        record(whole);
        for (std::size_t base = 0; base < bases_.size(); ++base) add_bugs(base);
    }
    const std::vector<Bug>& bugs() const { return bugs_; }
    const Base& base_of(const Bug& bug) const { return bases_[bug.base]; }
    const Recorded& record_of(const Bug& bug) const { return records_[bug.base]; }
    const Scenario& scenario_of(const Bug& bug) const { return scenarios_[base_of(bug).scenario]; }
    std::string words(const Bug& bug) const { return words_of(bug, base_of(bug), scenarios_); }

private:
    void record(std::size_t from) {
        std::vector<std::unique_ptr<SharedText>> notes;
        for (std::size_t base = from; base < bases_.size(); ++base) notes.push_back(std::make_unique<SharedText>());
        all_.run(notes.size(), [&](std::size_t index, Slot& slot, Tally& tally) {
            const Base& base = bases_[from + index];
            all_.one_run(slot, tally, kSeed, script_of(scenarios_[base.scenario], base, nullptr, *notes[index]));
            note_tally(*notes[index], tally);
            if (tally.violations[0] != '\0' && base.failing_call == 0)
                SideBySide::report_failure(
                    "scenario '" + scenarios_[base.scenario].name + "', call " + std::to_string(base.failing_call) + " failing, without a mutant",
                    tally);
        });
        for (const std::unique_ptr<SharedText>& text : notes) records_.push_back(read_record(*text));
    }

    // The job goes back from each kind of call that it makes: from the first of that kind and from the last.
    void add_failing(std::size_t base) {
        std::map<std::string, std::set<std::uint64_t>> calls;
        for (const Event& event : records_[base].events) {
            if (event.what != Event::What::call) continue;
            std::set<std::uint64_t>& numbers = calls[event.site];
            if (numbers.size() == 2) numbers.erase(std::prev(numbers.end()));
            numbers.insert(event.number);
        }
        for (const auto& [site, numbers] : calls)
            for (const std::uint64_t number : numbers) bases_.push_back({bases_[base].scenario, number, site});
    }

    // Of what is done wrongly in the same way at the same place the first and the last time. In a job that goes back it is the way back that counts.
    void add_bugs(std::size_t base) {
        if (!records_[base].sound) return;  // what a failing call leaves there only the next start mends
        std::set<std::uint64_t> undos_with_effect;
        for (const Event& event : records_[base].events)
            if (event.undo != 0 && (event.what == Event::What::call || event.what == Event::What::statement)) undos_with_effect.insert(event.undo);
        std::map<std::string, std::pair<std::size_t, std::size_t>> first_and_last;
        std::vector<Bug> bugs;
        for (const Event& event : records_[base].events) {
            if (bases_[base].failing_call != 0 && event.undo == 0) continue;
            if (event.what == Event::What::undo && !undos_with_effect.contains(event.number)) continue;
            for (Bug& bug : bugs_of(base, event)) {
                const auto [entry, is_first] =
                    first_and_last.emplace(std::string(bug.kind) + bug.event.site + bug.detail, std::pair{bugs.size(), bugs.size()});
                entry->second.second = bugs.size();
                bugs.push_back(std::move(bug));
            }
        }
        std::set<std::size_t> chosen;
        for (const auto& [where, indexes] : first_and_last) chosen.insert({indexes.first, indexes.second});
        for (const std::size_t index : chosen) bugs_.push_back(std::move(bugs[index]));
    }

    SideBySide& all_;
    std::vector<Scenario> scenarios_;
    std::vector<Base> bases_;
    std::vector<Recorded> records_;
    std::vector<Bug> bugs_;
};

// Who told: the checks and, when one is worse off than without the mutant, the engine itself.
std::set<std::string> who_told(const Tally& tally, const Recorded& right, const Recorded& wrong) {
    std::set<std::string> told = tellers(tally);
    if (wrong.bad_jobs > right.bad_jobs) told.insert("job");
    if (told.empty() && wrong.view != right.view) told.insert("view");
    return told;
}

void judge(Outcome& outcome, const Tally& tally, const Recorded& right, const SharedText& notes) {
    const Recorded wrong = read_record(notes);
    const std::set<std::string> told = who_told(tally, right, wrong);
    std::string names;
    for (const std::string& teller : told) names += (names.empty() ? "" : " ") + teller;
    names.resize(std::min(names.size(), outcome.told.size() - 1));
    std::ranges::copy(names, outcome.told.begin());
    if (changed_nothing(notes))
        outcome.verdict = Verdict::nothing;
    else if (!told.empty())
        outcome.verdict = Verdict::killed;
    else
        outcome.verdict = wrong.whole == right.whole ? Verdict::made_good : Verdict::survived;
}

// For who looks at a single mutant.
void print_differences(const Tally& tally, const Recorded& right, const Recorded& wrong) {
    std::printf("%s", tally.violations.data());
    const auto missing = [](const std::vector<std::string>& lines, const std::vector<std::string>& in, const char* sign) {
        for (const std::string& line : lines)
            if (std::ranges::find(in, line) == in.end()) std::printf("    %s %s\n", sign, line.c_str());
    };
    missing(right.last_lines, wrong.last_lines, "-");
    missing(wrong.last_lines, right.last_lines, "+");
}

struct Counts {
    std::size_t made = 0, killed = 0, nothing = 0, made_good = 0;
    std::map<std::string, std::size_t> by;
};

struct Caught {
    std::size_t all = 0, alone = 0;
};

void count(const Bug& bug, const Outcome& outcome, std::map<std::string_view, Counts>& kinds, std::map<std::string, Caught>& checks) {
    Counts& counts = kinds[bug.kind];
    counts.nothing += outcome.verdict == Verdict::nothing ? 1 : 0;
    counts.made_good += outcome.verdict == Verdict::made_good ? 1 : 0;
    if (outcome.verdict != Verdict::killed && outcome.verdict != Verdict::survived) return;
    ++counts.made;
    if (outcome.verdict == Verdict::survived) return;
    ++counts.killed;
    std::vector<std::string> told;
    const std::string names = outcome.told.data();
    for (std::size_t at = 0; at < names.size();) {
        const std::size_t end = std::min(names.find(' ', at), names.size());
        told.push_back(names.substr(at, end - at));
        at = end + 1;
    }
    for (const std::string& teller : told) {
        ++counts.by[teller];
        ++checks[teller].all;
    }
    std::erase(told, "orphan");  // it looks at the same things as I1
    if (told.size() == 1) ++checks[told.front()].alone;
}

void print_kinds(const std::map<std::string_view, Counts>& kinds) {
    for (const auto& [kind, counts] : kinds) {
        std::printf("  %-32s made %5zu  killed %5zu  survived %4zu  (changed nothing %zu, made good %zu) by:", std::string(kind).c_str(), counts.made,
                    counts.killed, counts.made - counts.killed, counts.nothing, counts.made_good);
        for (const auto& [teller, number] : counts.by) std::printf(" %s %zu", teller.c_str(), number);
        std::printf("\n");
    }
}

// How many of the checkable invariants caught nothing.
std::size_t print_checks(std::map<std::string, Caught>& checks) {
    std::size_t idle = 0;
    for (const std::string_view invariant : kCheckable) {
        const Caught& caught = checks[std::string(invariant)];
        std::printf("  %-4s caught %5zu, alone %5zu\n", std::string(invariant).c_str(), caught.all, caught.alone);
        idle += caught.all == 0 ? 1 : 0;
    }
    for (const auto& [teller, caught] : checks)
        if (std::ranges::find(kCheckable, teller) == kCheckable.end())
            std::printf("  %s caught %zu, alone %zu\n", teller.c_str(), caught.all, caught.alone);
    return idle;
}

// Those that are asked for by number; else as many as a day or a night has, spread over all.
std::vector<std::size_t> chosen_numbers(const Options& options, std::size_t all) {
    std::vector<std::size_t> numbers;
    const std::size_t first = options.seeds == 0 ? 1 : options.first_seed;
    const std::size_t last = options.seeds == 0 ? all : std::min<std::size_t>(all, first + options.seeds - 1);
    const std::size_t step = options.seeds != 0 ? 1 : std::max<std::size_t>(1, all / (options.nightly ? kOfANight : kOfADay));
    for (std::size_t number = first; number <= last; number += step) numbers.push_back(number);
    return numbers;
}

Outcome* shared_outcomes(std::size_t count) {
    void* const memory = ::mmap(nullptr, sizeof(Outcome) * (count + 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    return static_cast<Outcome*>(memory);
}

}  // namespace

bool run_generated_mutants(const Options& options) {
    SideBySide all(options.workers);
    const Mutants mutants(all, options.only);
    const std::vector<std::size_t> numbers = chosen_numbers(options, mutants.bugs().size());
    Outcome* const outcomes = shared_outcomes(numbers.size());
    all.run(numbers.size(), [&](std::size_t index, Slot& slot, Tally& tally) {
        static SharedText notes;
        const Bug& bug = mutants.bugs().at(numbers[index] - 1);
        notes.clear();
        all.one_run(slot, tally, kSeed, script_of(mutants.scenario_of(bug), mutants.base_of(bug), &bug, notes));
        note_tally(notes, tally);
        judge(outcomes[index], tally, mutants.record_of(bug), notes);
        if (options.seeds != 0) print_differences(tally, mutants.record_of(bug), read_record(notes));
    });
    std::map<std::string_view, Counts> kinds;
    std::map<std::string, Caught> checks;
    std::size_t made = 0, killed = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const Bug& bug = mutants.bugs().at(numbers[i] - 1);
        count(bug, outcomes[i], kinds, checks);
        made += outcomes[i].verdict >= Verdict::killed ? 1 : 0;
        killed += outcomes[i].verdict == Verdict::killed ? 1 : 0;
        const bool survived = outcomes[i].verdict == Verdict::survived;
        if (survived || options.seeds != 0)
            std::printf("  %s %zu %s %s\n", survived ? "SURVIVED" : "mutant", numbers[i], mutants.words(bug).c_str(), outcomes[i].told.data());
    }
    print_kinds(kinds);
    const std::size_t idle = print_checks(checks);
    std::printf("D20 generated: %zu enumerated, %zu run, %zu made, %zu killed (%.1f %%), %zu of %zu invariants caught none\n", mutants.bugs().size(),
                numbers.size(), made, killed, made == 0 ? 0 : 100.0 * static_cast<double>(killed) / static_cast<double>(made), idle,
                kCheckable.size());
    const bool enough = static_cast<double>(killed) >= (options.nightly ? kKilledMin : kKilledMinOfADay) * static_cast<double>(made);
    return all.failures() == 0 && enough && (!options.nightly || (made >= kMadeMin && idle == 0));
}

}  // namespace ramet::sim
