#include "base/clock.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

namespace ramet {

Timestamp SystemClock::now() const {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return Timestamp{std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count()};
}

namespace {

std::int64_t since_boot() {
    std::timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

}  // namespace

StepProofClock::StepProofClock() : StepProofClock([] { return SystemClock().now().milliseconds; }, &since_boot) {}

StepProofClock::StepProofClock(Milliseconds wall, Milliseconds since_boot)
    : wall_(std::move(wall)),
      since_boot_(std::move(since_boot)),
      offset_(wall_() - since_boot_()) {}

std::string to_wire_date(Timestamp instant) {
    static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = instant.milliseconds / 1000;
    std::tm local{};
    localtime_r(&seconds, &local);
    const int hour = local.tm_hour % 12 == 0 ? 12 : local.tm_hour % 12;
    std::array<char, 64> text{};
    const int length = std::snprintf(text.data(), text.size(), "%s %d, %d %d:%02d:%02d %s", kMonths.at(static_cast<std::size_t>(local.tm_mon)),
                                     local.tm_mday, local.tm_year + 1900, hour, local.tm_min, local.tm_sec, local.tm_hour < 12 ? "AM" : "PM");
    return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace ramet
