// How long the calls of this thread may wait for what is outside of the server: a VM's process, a guest's agent. Whoever begins a piece of work
// says so once (the workflow engine: until the job is cancelled), and every wait below obeys, however deep. What a wait takes at most of its own
// accord holds beside it.
//
//   engine: Patience(stop of the job) ─► step ─► hypervisor ─► wait ── still_patient()? cancelled
//                                                     └─► Patience::to_tidy_up() ─► wait ── the same, a moment later
//
// Thread rules: for the thread that makes it, innermost first out; a thread that is started meanwhile has to be given one of its own.
#pragma once

#include <chrono>
#include <mutex>
#include <stop_token>

#include "base/result.hpp"

namespace ramet {

class Patience {
public:
    explicit Patience(std::stop_token stop);
    // As the one around it, and no longer than this in all.
    static Patience at_most(std::chrono::milliseconds longest);
    // For what has to be put in order even when the work was cancelled, such as a guest that stands: kTidyUpMax longer than the one around it.
    static Patience to_tidy_up();
    // to_tidy_up(), and of one that has not answered just now not much is hoped for.
    static Patience to_tidy_up_after(const Result<void>& done);
    ~Patience();
    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;

    Result<void> look();

private:
    using Moment = std::chrono::steady_clock::time_point;
    Patience(std::stop_token stop, Moment latest, std::chrono::milliseconds grace);
    Patience* const around_;
    const std::stop_token stop_;
    Moment latest_;  // becomes earlier when the stop is seen
    const std::chrono::milliseconds grace_;
};

inline constexpr std::chrono::milliseconds kTidyUpMax{400};
inline constexpr std::chrono::milliseconds kPatienceLook{20};  // a wait asks at least this often

// cancelled, or timeout when the time is over. Without a Patience around: always patient.
Result<void> still_patient();
// The lock, or why there was no time left to wait for it.
Result<std::unique_lock<std::timed_mutex>> lock_patiently(std::timed_mutex& mutex, std::chrono::steady_clock::time_point deadline);
// Sleeps for `pause`, but no longer than there is patience, which it tells.
Result<void> pause_patiently(std::chrono::milliseconds pause);

}  // namespace ramet
