#include "http/job_waiters.hpp"

namespace ramet::http {

std::shared_ptr<const Job> JobWaiter::finished() const {
    const std::lock_guard lock(mutex_);
    return finished_;
}

void JobWaiter::finish(std::shared_ptr<const Job> job) {
    {
        const std::lock_guard lock(mutex_);
        finished_ = std::move(job);
    }
    signal_->fire();
}

std::shared_ptr<JobWaiter> JobWaiters::add(const JobId& job) {
    auto waiter = std::make_shared<JobWaiter>(job);
    const std::lock_guard lock(mutex_);
    waiters_.emplace(job, waiter);
    return waiter;
}

void JobWaiters::remove(const std::shared_ptr<JobWaiter>& waiter) {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = waiters_.equal_range(waiter->job());
    for (auto candidate = first; candidate != last; ++candidate) {
        if (candidate->second != waiter) continue;
        waiters_.erase(candidate);
        return;
    }
}

void JobWaiters::finish(const Job& job) {
    std::vector<std::shared_ptr<JobWaiter>> woken;
    {
        const std::lock_guard lock(mutex_);
        const auto [first, last] = waiters_.equal_range(job.uuid);
        for (auto waiter = first; waiter != last; ++waiter) woken.push_back(waiter->second);
        waiters_.erase(first, last);
    }
    if (woken.empty()) return;
    const auto shared = std::make_shared<const Job>(job);
    for (const auto& waiter : woken) waiter->finish(shared);
}

std::size_t JobWaiters::size() const {
    const std::lock_guard lock(mutex_);
    return waiters_.size();
}

}  // namespace ramet::http
