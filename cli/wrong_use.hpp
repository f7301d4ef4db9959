// What is wrong with a command line, in plain words where CLI11 has none.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace ramet::cli {

// A command that is missing or that does not exist, with those that do; nothing when `error` is about something else.
std::optional<std::string> command_trouble(const CLI::App& app, const CLI::ParseError& error);

}  // namespace ramet::cli
