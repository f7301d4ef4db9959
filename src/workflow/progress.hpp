// How far a job is while it runs: what its steps report, kept in memory. The job's row has the percent alone.
// Thread rules: ProgressBoard may be used from any thread; it never blocks for long.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "model/account.hpp"

namespace ramet::workflow {

struct Progress {
    std::int64_t percent = 0;          // 0..100; never falls
    std::int64_t done = 0, total = 0;  // bytes or items; never fall. 0 of 0: nothing that can be counted
    std::int64_t rate = 0;             // of them per second, smoothed over some seconds
    std::optional<std::int64_t> seconds_left;
};

struct BranchProgress {
    std::string branch, label;
    std::string step;                         // the present step, or the last
    StepStatus status = StepStatus::pending;  // of that step
    Progress progress;
};

struct JobProgress {
    Progress whole;
    std::vector<BranchProgress> branches;
};

// A rate that follows what was reported of late: old reports fade with a time constant of kFade, and silence counts as standing still.
class RateMeter {
public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::milliseconds kFade{3000};
    void report(Time now, std::int64_t done);
    double per_second(Time now) const;

private:
    std::optional<Time> since_;  // of the last report
    std::int64_t done_ = 0;
    std::optional<double> rate_;
};

class ProgressBoard {
public:
    void add_lane(std::string branch, std::string label, std::size_t steps);        // branch "": the trunk
    void step_changed(const JobStep& row);                                          // also what the log has from an earlier life
    void report(const std::string& branch, std::int64_t done, std::int64_t total);  // of the step that runs there
    // `percent`: of the whole, as the engine counts it.
    JobProgress look(std::int64_t percent) const;
    // The changes of steps from number `from` on, in order.
    std::vector<JobStep> changes(std::size_t from) const;

private:
    struct Lane {
        std::string branch, label, step;
        StepStatus status = StepStatus::pending;
        std::size_t steps = 0, steps_done = 0;
        std::int64_t earlier = 0;          // of steps that have ended
        std::int64_t done = 0, total = 0;  // of the present step
        std::int64_t percent = 0;
        RateMeter meter;
    };
    static void count(Lane& lane);

    mutable std::mutex mutex_;
    std::vector<Lane> lanes_;
    std::map<std::string, std::size_t> by_branch_;
    std::vector<JobStep> changes_;  // without outputs
    std::int64_t done_ = 0;
    mutable std::int64_t total_shown_ = 0;
    RateMeter meter_;
};

}  // namespace ramet::workflow
