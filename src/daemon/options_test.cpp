#include "daemon/options.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace ramet::daemon {
namespace {

struct Outcome {
    std::optional<Options> options;
    int exit_code = 0;
    std::string said;
};

Outcome read(std::vector<std::string> words) {
    words.insert(words.begin(), "rametd");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    Outcome outcome;
    testing::internal::CaptureStderr();
    outcome.options = read_options(static_cast<int>(arguments.size()), arguments.data(), outcome.exit_code);
    outcome.said = testing::internal::GetCapturedStderr();
    return outcome;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(DaemonOptions, TakesADataDirectoryAsItsFullPath) {
    const Outcome outcome = read({"--data-dir", "/srv/x/../ramet/", "--listen", ":90", "--web-hooks", "public"});
    ASSERT_TRUE(outcome.options.has_value()) << outcome.said;
    EXPECT_EQ(outcome.options->data_dir, "/srv/ramet");
    EXPECT_EQ(outcome.options->memory_dir, "/srv/ramet/memory");
    EXPECT_EQ(outcome.options->listen_port, 90);
    EXPECT_EQ(outcome.options->web_hooks, http::HookAddresses::public_only);
}

TEST(DaemonOptions, RefusesAnEmptyDataDirectory) {
    const Outcome outcome = read({"--data-dir", ""});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_TRUE(has(outcome.said, "--data-dir must name a directory")) << outcome.said;
}

TEST(DaemonOptions, NamesWhatAnOptionMayBe) {
    const Outcome outcome = read({"--data-dir", "/srv/ramet", "--web-hooks", "all"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_TRUE(has(outcome.said, "--web-hooks: must be guarded, public or local, but is 'all'")) << outcome.said;
}

TEST(DaemonOptions, TearsDownOnlyADataDirectoryThatIsThere) {
    const std::string directory = testing::TempDir() + "ramet-options-test";
    const Outcome missing = read({"--data-dir", directory, "--teardown"});
    EXPECT_EQ(missing.exit_code, 2);
    EXPECT_TRUE(has(missing.said, "there is no data directory of rametd at " + directory)) << missing.said;
    EXPECT_FALSE(std::filesystem::exists(directory));
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/ramet.db") << "";
    EXPECT_TRUE(read({"--data-dir", directory, "--teardown"}).options.has_value());
    std::filesystem::remove_all(directory);
}

}  // namespace ramet::daemon
