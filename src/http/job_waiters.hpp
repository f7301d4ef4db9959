// Requests that wait for a job to end. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "http/exchange.hpp"
#include "model/account.hpp"

namespace ramet::http {

// One waiting request: `signal` fires when the job has ended, and finished() is then set.
class JobWaiter {
public:
    explicit JobWaiter(JobId job) : job_(std::move(job)) {}
    const JobId& job() const { return job_; }
    const std::shared_ptr<Signal>& signal() const { return signal_; }
    std::shared_ptr<const Job> finished() const;
    void finish(std::shared_ptr<const Job> job);

private:
    JobId job_;
    std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
    mutable std::mutex mutex_;
    std::shared_ptr<const Job> finished_;
};

class JobWaiters {
public:
    // Register first, then look whether the job has ended already: an end in between is not missed.
    std::shared_ptr<JobWaiter> add(const JobId& job);
    void remove(const std::shared_ptr<JobWaiter>& waiter);
    void finish(const Job& job);
    std::size_t size() const;

private:
    mutable std::mutex mutex_;
    std::multimap<JobId, std::shared_ptr<JobWaiter>> waiters_;
};

}  // namespace ramet::http
