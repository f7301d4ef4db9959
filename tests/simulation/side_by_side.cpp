#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>

#include "simulation/campaigns.hpp"

namespace ramet::sim {

namespace {

std::uint64_t* shared_number() {
    void* const memory = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    return static_cast<std::uint64_t*>(memory);
}

std::uint64_t count_up(std::uint64_t* number) { return std::atomic_ref(*number).fetch_add(1); }

// A run's threads go one at a time: a processor that another one has to wake for each turn takes longer than the turn.
void stay_on_one_processor(std::size_t worker) {
    cpu_set_t allowed, one;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    std::size_t left = worker % static_cast<std::size_t>(CPU_COUNT(&allowed));
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (!CPU_ISSET(processor, &allowed) || left-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        static_cast<void>(::sched_setaffinity(0, sizeof one, &one));
        return;
    }
}

}  // namespace

std::uint64_t* SideBySide::failures_ = shared_number();

SideBySide::SideBySide(std::size_t workers) : runs_(shared_number()), next_(shared_number()) {
    *failures_ = 0;
    for (std::size_t i = 0; i < std::max<std::size_t>(workers, 1); ++i) tallies_.push_back(make_shared_tally());
}

void SideBySide::run(std::size_t count, const Work& work) {
    std::fflush(stdout);
    *next_ = 0;
    for (std::size_t worker = 0; worker < tallies_.size(); ++worker) {
        Tally* const tally = tallies_[worker];
        const pid_t child = ::fork();
        if (child < 0) std::abort();
        if (child > 0) continue;
        stay_on_one_processor(worker);
        try {
            Slot slot;
            for (std::uint64_t index = count_up(next_); index < count; index = count_up(next_)) work(index, slot, *tally);
        } catch (const std::exception& thrown) {
            std::printf("FAILED: %s\n", thrown.what());
            count_up(failures_);
        }
        std::fflush(stdout);
        ::_exit(0);
    }
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0)
        if (status != 0) count_up(failures_);
}

void SideBySide::one_run(Slot& slot, Tally& tally, std::uint64_t seed, const Script& script) {
    count_up(runs_);
    run_in_process(slot, tally, seed, script);
}

void SideBySide::report_failure(const std::string& what, const Tally& tally) {
    count_up(failures_);
    std::printf("FAILED %s\n%s", what.c_str(), tally.violations.data());
    std::fflush(stdout);
}

void SideBySide::print_table(bool with_sites) const {
    struct Counts {
        std::uint64_t seen = 0;
        std::array<std::uint64_t, kFaults> fired{};
    };
    std::map<std::string, Counts> sites;
    std::uint64_t deaths = 0, power_cuts = 0, steps = 0;
    for (const Tally* tally : tallies_) {
        deaths += tally->deaths;
        power_cuts += tally->power_cuts;
        steps += tally->clock_steps;
        for (std::size_t i = 0; i < tally->site_count; ++i) {
            Counts& counts = sites[tally->sites[i].name.data()];
            counts.seen += tally->sites[i].seen;
            for (std::size_t k = 0; k < kFaults; ++k) counts.fired[k] += tally->sites[i].fired[k];
        }
    }
    std::array<std::uint64_t, kFaults> all{};
    std::string never;
    std::size_t hit = 0;
    for (const auto& [name, counts] : sites) {
        std::uint64_t fired = 0;
        for (std::size_t k = 1; k < kFaults; ++k) {
            all[k] += counts.fired[k];
            fired += counts.fired[k];
        }
        fired > 0 ? ++hit : 0;
        if (fired == 0) never += "\n    " + name;
        if (with_sites)
            std::printf("    %-48s passed %9llu  faults %7llu\n", name.c_str(), static_cast<unsigned long long>(counts.seen),
                        static_cast<unsigned long long>(fired));
    }
    std::printf("  server deaths: %llu, %llu of them by a power cut; steps of the wall clock: %llu\n  faults fired:",
                static_cast<unsigned long long>(deaths), static_cast<unsigned long long>(power_cuts), static_cast<unsigned long long>(steps));
    for (std::size_t k = 1; k < kFaults; ++k)
        if (all[k] > 0) std::printf(" %s %llu;", std::string(kFaultNames[k]).c_str(), static_cast<unsigned long long>(all[k]));
    std::printf("\n  fault sites: %zu of %zu passed were hit; never hit:%s\n", hit, sites.size(), never.empty() ? " none" : never.c_str());
}

}  // namespace ramet::sim
