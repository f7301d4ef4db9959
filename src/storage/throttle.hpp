// A limit of bytes per second that several copies of one job share.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <utility>

namespace ramet::storage {

// Thread rules: all calls from any thread; acquire() and whole() block.
class Throttle {
public:
    explicit Throttle(std::int64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}
    std::int64_t bytes_per_second() const { return bytes_per_second_; }

    // Waits until `bytes` more may be moved; false when `stop` was requested meanwhile.
    bool acquire(std::int64_t bytes, const std::stop_token& stop);

    // All of the limit for one user, such as a tool that keeps to a rate by itself; others wait until it is given back.
    class Turn {
    public:
        Turn() = default;
        Turn(Turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn();
        bool granted() const { return owner_ != nullptr; }

    private:
        friend class Throttle;
        explicit Turn(Throttle* owner) : owner_(owner) {}
        Throttle* owner_ = nullptr;
    };
    Turn whole(const std::stop_token& stop);  // not granted: `stop` was requested meanwhile

private:
    using Clock = std::chrono::steady_clock;
    const std::int64_t bytes_per_second_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    Clock::time_point next_ = Clock::now();  // when all that was granted has had its time
    bool taken_whole_ = false;
};

}  // namespace ramet::storage
