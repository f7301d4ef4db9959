// Garbage: things on this machine that no row owns. Nothing is removed at first sight:
//
//   seen unowned ─(again, garbage.secondLook later, and no job that may own it)─► put aside ─(garbage.gracePeriod)─► removed
//
// A job that was begun before a thing was first seen may own it, so the thing waits for that job's end; a stuck job's things have rows.
// Putting aside can be taken back: files go to the folder .quarantine of their storage, processes are paused, taps taken down.
// What has no row at all is garbage; what merely does not fit its row is only reported (lifecycle/reconcile.hpp).
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

struct GarbageCount {
    std::int64_t seen = 0;       // known, and not yet put aside
    std::int64_t put_aside = 0;  // in this look
    std::int64_t removed = 0;    // in this look
    std::int64_t in_quarantine = 0;
    std::int64_t second_look = 0;  // seconds until what was seen may be put aside
};

enum class Grace : std::uint8_t { keep, waive };  // waive: what is put aside is removed at once

// Looks at start and then every garbage.lookInterval, sooner when something was seen.
class GarbageKeeper {
public:
    explicit GarbageKeeper(Parts& parts) : parts_(parts) {}
    ~GarbageKeeper() { stop(); }
    GarbageKeeper(const GarbageKeeper&) = delete;
    GarbageKeeper& operator=(const GarbageKeeper&) = delete;
    void start();  // after Engine::recover()
    void stop();
    // One look and what follows from it. overloaded while another look is under way.
    Result<GarbageCount> look(Grace grace);
    std::int64_t known() const { return known_; }  // things seen or in quarantine at the last look

private:
    Result<GarbageCount> look_alone(Grace grace);
    void finish_removals();
    Parts& parts_;
    std::atomic<bool> looking_{false};
    std::atomic<std::int64_t> known_{0};
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread thread_;
};

void register_garbage_saga(workflow::Engine& engine, GarbageKeeper& keeper);
Result<JobId> clean_garbage(Parts& parts, const Request& request);

}  // namespace ramet::lifecycle
