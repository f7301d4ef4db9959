// One thread that calls functions at their time.
// Thread rules: after() from any thread. The functions run on the timer's thread and must not block; those not yet due when it ends are dropped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

namespace ramet::workflow {

class Timer {
public:
    Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void after(std::chrono::milliseconds pause, std::function<void()> call);

private:
    void work(const std::stop_token& stop);
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> calls_;
    std::jthread thread_;  // last: it uses all of the above
};

}  // namespace ramet::workflow
