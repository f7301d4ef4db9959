#include "workflow/timer.hpp"

namespace ramet::workflow {

Timer::Timer() : thread_([this](const std::stop_token& stop) { work(stop); }) {}

void Timer::after(std::chrono::milliseconds pause, std::function<void()> call) {
    {
        const std::lock_guard lock(mutex_);
        calls_.emplace(std::chrono::steady_clock::now() + pause, std::move(call));
    }
    changed_.notify_one();
}

void Timer::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (calls_.empty()) {
            changed_.wait(lock, stop, [this] { return !calls_.empty(); });
            continue;
        }
        const auto when = calls_.begin()->first;
        if (when > std::chrono::steady_clock::now()) {
            changed_.wait_until(lock, stop, when, [this, when] { return calls_.begin()->first < when; });
            continue;
        }
        const std::function<void()> call = std::move(calls_.extract(calls_.begin()).mapped());
        lock.unlock();
        call();
        lock.lock();
    }
}

}  // namespace ramet::workflow
