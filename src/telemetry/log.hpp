// The log: one line per event on standard error, for the operator. Thread-safe. Secrets never go in. What others said, QEMU or a guest, may be part
// of a line: it cannot begin a line of its own.
#pragma once

#include <fmt/format.h>
#include <string>

namespace ramet::telemetry {

enum class Level : unsigned char { debug, info, warning, error };

void write_log(Level level, const std::string& line);
std::string one_line(std::string text);  // control characters as \\n and \\xNN, the rest as it is
void set_log_level(Level level);

template <class... Arguments>
void log_debug(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    write_log(Level::debug, fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void log_info(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    write_log(Level::info, fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void log_warning(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    write_log(Level::warning, fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void log_error(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    write_log(Level::error, fmt::format(text, std::forward<Arguments>(arguments)...));
}

}  // namespace ramet::telemetry
