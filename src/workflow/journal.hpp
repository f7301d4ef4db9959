// The durable side of one job: its row and its steps' rows, written to the log with patience.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <stop_token>
#include <vector>

#include "base/clock.hpp"
#include "workflow/engine.hpp"

namespace ramet::workflow {

// Waits, or returns early (false) when `stop` is requested.
bool pause(std::chrono::milliseconds duration, const std::stop_token& stop);

// Thread rules: any thread. A write blocks until it is committed, and durable unless it says otherwise.
// Once a write has failed for good the journal is down: every later write fails at once, so that no effect can follow an
// intent that was never committed. The job then stays in the log as it is, for the next recover().
class Journal {
public:
    Journal(SagaLog& log, Clock& clock, std::chrono::milliseconds patience, std::stop_token shutdown, Job job);

    Job job() const;
    bool down() const { return down_; }
    Timestamp now() const { return clock_.now(); }

    [[nodiscard]] bool save(const JobStep& step, Durability durability = Durability::at_once);
    [[nodiscard]] bool change_job(const std::function<void(Job&)>& edit, Durability durability = Durability::at_once);
    [[nodiscard]] bool read_steps(std::vector<JobStep>& steps);
    // Percent; never falls. Written at most once per limits::kProgressInterval, and only while the job runs forward.
    void progress(std::int64_t percent);

private:
    bool persist(const std::function<Result<void>()>& call);

    SagaLog& log_;
    Clock& clock_;
    const std::chrono::milliseconds patience_;
    const std::stop_token shutdown_;
    std::atomic<bool> down_{false};
    // Keeps the writes of the one job row in the order of its changes; the only mutex that is held over a call of the log.
    std::mutex order_;
    mutable std::mutex mutex_;
    Job job_;
    std::chrono::steady_clock::time_point progress_saved_ = std::chrono::steady_clock::now();  // a short job writes none
};

}  // namespace ramet::workflow
