// A bounded pool of threads and groups of tasks on it: the one way ramet runs blocking work side by side.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace ramet {

// Runs tasks in the order given, at most `threads` at once. Destructor: waits for the queued tasks, joins.
// Tasks must not throw. post() from any thread.
class ThreadPool {
public:
    ThreadPool(std::size_t threads, std::size_t queue_max);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    bool post(std::function<void()> task);  // false: the queue is full or the pool is stopping; the task was not taken
    std::size_t queued() const;

private:
    void work();
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::function<void()>> queue_;
    std::size_t queue_max_;
    bool stopping_ = false;
    std::vector<std::jthread> threads_;
};

// Runs `count` calls of `task(index)` on at most `parallel` threads of its own, and returns when all have ended.
// A task that sees `stop` requested should end early; indexes not yet begun are then still called (they decide).
void for_each_parallel(std::size_t count, std::size_t parallel, const std::function<void(std::size_t)>& task);

}  // namespace ramet
