#include "wrong_use.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ramet::cli {
namespace {

// What is said of `words`, with the shape of ramet's own commands.
std::string said_of(std::vector<std::string> words) {
    CLI::App app{"", "ramet"};
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--server");
    CLI::App* vm = app.add_subcommand("vm", "")->require_subcommand(1);
    vm->add_subcommand("list", "");
    vm->add_subcommand("show", "")->add_option("VM")->required();
    try {
        std::ranges::reverse(words);  // CLI11 takes them from the back
        app.parse(std::move(words));
    } catch (const CLI::ParseError& error) { return command_trouble(app, error).value_or("other"); }
    return "right";
}

}  // namespace

TEST(CommandTrouble, NamesWhatIsUnknownAndWhatThereIs) {
    EXPECT_EQ(said_of({"bogus"}), "unknown command 'bogus'; commands of `ramet`: vm");
    EXPECT_EQ(said_of({"vm", "bogus", "more"}), "unknown command 'bogus'; commands of `ramet vm`: list, show");
    EXPECT_EQ(said_of({"vm", "--bogus"}), "unknown option '--bogus'; commands of `ramet vm`: list, show");
}

TEST(CommandTrouble, AsksForACommandThatIsMissing) {
    EXPECT_EQ(said_of({}), "`ramet` needs a command: vm");
    EXPECT_EQ(said_of({"vm", "--server", "x"}), "`ramet vm` needs a command: list, show");
}

TEST(CommandTrouble, LeavesTheRestToOthers) {
    EXPECT_EQ(said_of({"vm", "list"}), "right");
    EXPECT_EQ(said_of({"vm", "show"}), "other");
    EXPECT_EQ(said_of({"vm", "list", "more"}), "other");
}

}  // namespace ramet::cli
