// What a campaign has done, counted in memory that its processes share.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace ramet::sim {

enum class Fault : std::uint8_t {
    none,
    error,         // the call fails, nothing was done
    broken,        // likewise, with the code that adapters give when what must not be is
    unsupported,   // likewise: it cannot be done here, as is sometimes seen only when it is tried
    lost_reply,    // all was done, the answer says it failed
    twice,         // done twice
    delay,         // done late
    hang,          // no answer until the caller gives up
    no_space,      // the storage is full
    torn,          // half was written, then the server died
    crash_before,  // the server died, nothing was done
    crash_after,   // all was done, the server died
    swallow,       // nothing was done, the answer says it was: a mutant, no fault that the engine must stand
    falsify,       // likewise: what was asked was found out, and something else is answered
};
inline constexpr std::size_t kFaults = 14;
inline constexpr std::array<std::string_view, kFaults> kFaultNames{"none",         "error",       "broken",  "unsupported", "lost reply",
                                                                   "done twice",   "delay",       "hang",    "no space",    "torn write",
                                                                   "crash before", "crash after", "swallow", "falsify"};

struct Site {
    std::array<char, 72> name;  // "storage.create_overlay", "point run:capture"
    std::uint64_t seen;
    std::array<std::uint64_t, kFaults> fired;  // crash points: under crash_before
};

// Plain memory: made by mmap, shared by all lives of a run.
struct Tally {
    static constexpr std::size_t kSites = 1024;
    static constexpr std::size_t kPassages = 60'000, kCalls = 60'000;
    std::array<Site, kSites> sites;
    std::uint64_t site_count;
    std::array<std::uint16_t, kPassages> passages;  // of crash points, in order: indexes of sites; of the last run that recorded
    std::uint64_t passage_count;
    std::array<std::uint16_t, kCalls> called;  // likewise the calls while faults could come, `calls_with_faults` of them
    bool recording;
    std::uint64_t deaths, power_cuts, clock_steps;

    // The outcome of the present run.
    bool ended;
    std::uint64_t calls_with_faults;  // of the ports, while faults could come
    std::uint64_t digest, calls, jobs_succeeded, jobs_failed, jobs_cancelled, jobs_stuck, jobs_partly, refused;
    std::array<char, 6000> violations;  // a line each

    std::size_t site(std::string_view name);
    void begin_run();
    void violation(std::string_view line);
};

Tally* make_shared_tally();

}  // namespace ramet::sim
