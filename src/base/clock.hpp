// Wall-clock instants as values, and the clock that makes them. Durations and deadlines use std::chrono::steady_clock.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace ramet {

inline constexpr std::int64_t kMillisecondsPerSecond = 1000;

struct Timestamp {
    std::int64_t milliseconds = 0;  // since 1970-01-01 UTC
    auto operator<=>(const Timestamp&) const = default;
};

class Clock {
public:
    virtual ~Clock() = default;
    virtual Timestamp now() const = 0;
};

class SystemClock final : public Clock {
public:
    Timestamp now() const override;
};

// The wall's time that no step of the wall clock moves: it goes with the time since boot (also through a suspend) until it is told to
// follow. Any thread.
class StepProofClock final : public Clock {
public:
    using Milliseconds = std::function<std::int64_t()>;
    StepProofClock();
    StepProofClock(Milliseconds wall, Milliseconds since_boot);  // for tests
    Timestamp now() const override { return Timestamp{since_boot_() + offset_}; }
    std::int64_t step() const { return wall_() - now().milliseconds; }  // how far the wall clock has moved beside this one
    void follow(std::int64_t milliseconds) { offset_ += milliseconds; }

private:
    Milliseconds wall_, since_boot_;
    std::atomic<std::int64_t> offset_;
};

// Wire form, in the server's local time zone: "Nov 14, 2017 10:20:57 PM".
std::string to_wire_date(Timestamp instant);

}  // namespace ramet
