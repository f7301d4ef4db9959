#include "base/clock.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace ramet {

Timestamp SystemClock::now() const {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return Timestamp{std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count()};
}

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
