#include "telemetry/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace ramet::telemetry {
namespace {

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = spdlog::stderr_logger_mt("ramet");
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
        return made;
    }();
    return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warning: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

}  // namespace

std::string one_line(std::string text) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::ranges::none_of(text, is_control)) return text;
    std::string told;
    for (const char c : text) {
        if (c == '\n')
            told += "\\n";
        else if (is_control(c))
            told += fmt::format("\\x{:02x}", c);
        else
            told += c;
    }
    return told;
}

void write_log(Level level, const std::string& line) { logger().log(to_spdlog(level), "{}", one_line(line)); }
void set_log_level(Level level) { logger().set_level(to_spdlog(level)); }

}  // namespace ramet::telemetry
