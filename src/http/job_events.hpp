// One job's server-sent events: `progress` and `step` as they happen, one `end`.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "http/exchange.hpp"
#include "http/job_access.hpp"
#include "http/job_waiters.hpp"

namespace ramet::http {

// Thread rules: next() by one thread at a time.
class JobEvents {
public:
    JobEvents(const JobAccess& jobs, std::shared_ptr<JobWaiter> waiter) : jobs_(jobs), waiter_(std::move(waiter)) {}
    // What is new since the last call; a comment when there was nothing for a while. The last piece has the `end` event.
    EventStream::Piece next();

private:
    void add_changes(const std::vector<JobStep>& steps);
    void add_progress(const workflow::LiveJob& live);
    EventStream::Piece end(const Job& job);

    const JobAccess& jobs_;
    std::shared_ptr<JobWaiter> waiter_;
    std::string text_;
    std::size_t changes_seen_ = 0;
    std::map<std::string, StepStatus> told_;  // by step
    std::string progress_told_;
    std::chrono::steady_clock::time_point spoken_ = std::chrono::steady_clock::now();
};

}  // namespace ramet::http
