#include "wrong_use.hpp"

#include <fmt/format.h>

#include <vector>

namespace ramet::cli {

std::optional<std::string> command_trouble(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_name() != "RequiredError") return std::nullopt;
    const CLI::App* group = &app;
    std::string called = app.get_name();
    for (std::vector<CLI::App*> parsed = group->get_subcommands(); !parsed.empty(); parsed = group->get_subcommands()) {
        group = parsed.back();
        called += " " + group->get_name();
    }
    std::vector<std::string> names;
    for (const CLI::App* command : group->get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); }))
        names.push_back(command->get_name());
    if (names.empty()) return std::nullopt;  // a command that lacks an argument
    const std::vector<std::string> unknown = app.remaining(true);
    if (unknown.empty()) return fmt::format("`{}` needs a command: {}", called, fmt::join(names, ", "));
    const char* what = unknown.front().starts_with('-') ? "option" : "command";
    return fmt::format("unknown {} '{}'; commands of `{}`: {}", what, unknown.front(), called, fmt::join(names, ", "));
}

}  // namespace ramet::cli
