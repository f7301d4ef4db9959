// Wall-clock instants as values, and the clock that makes them. Durations and deadlines use std::chrono::steady_clock.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace ramet {

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

// Wire form, in the server's local time zone: "Nov 14, 2017 10:20:57 PM".
std::string to_wire_date(Timestamp instant);

}  // namespace ramet
