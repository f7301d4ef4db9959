#include "base/task_group.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace ramet {

ThreadPool::ThreadPool(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max) {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_all();
}

bool ThreadPool::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || queue_.size() >= queue_max_) return false;
        queue_.push_back(std::move(task));
    }
    ready_.notify_one();
    return true;
}

std::size_t ThreadPool::queued() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
}

void ThreadPool::work() {
    for (;;) {
        std::function<void()> task;
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;
            task = std::move(queue_.front());
            queue_.pop_front();
        }
        task();
    }
}

void for_each_parallel(std::size_t count, std::size_t parallel, const std::function<void(std::size_t)>& task) {
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        for (std::size_t index = next++; index < count; index = next++) task(index);
    };
    std::vector<std::jthread> helpers;
    const std::size_t extra = std::min(count, parallel) - (count == 0 ? 0 : 1);
    helpers.reserve(extra);
    for (std::size_t i = 0; i < extra; ++i) helpers.emplace_back(work);
    work();
}

}  // namespace ramet
