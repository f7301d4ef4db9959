#include "storage/dir/image_tool.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <thread>

#include "support/storage_files.hpp"

namespace ramet::storage {
namespace {

TEST(ImageTool, AFailureCarriesTheToolsOwnWordsInTheDetailAlone) {
    ToolRun run;
    run.arguments = {"info", "-f", "qcow2", "/nowhere/at/all"};
    const auto outcome = run_image_tool(run, {});
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code, ErrorCode::operation_failed);
    EXPECT_NE(outcome.error().detail.find("/nowhere/at/all"), std::string::npos);
    EXPECT_EQ(outcome.error().message.find("/nowhere"), std::string::npos);
}

TEST(ImageTool, AMissingToolSaysWhatToInstall) {
    ToolRun run;
    run.program = "no-such-image-tool";
    const auto outcome = run_image_tool(run, {});
    ASSERT_FALSE(outcome.has_value());
    EXPECT_NE(outcome.error().message.find("qemu-utils"), std::string::npos);
}

TEST(ImageTool, CancellingKillsTheWholeGroupAtOnce) {
    const test::TempDir directory;
    const std::string script = "sleep 100 & echo $! > " + directory.file("grandchild.new") + "; mv " + directory.file("grandchild.new") + " " +
                               directory.file("grandchild") + "; wait";
    std::stop_source stop;
    ToolRun run;
    run.program = "/bin/sh";  // stands for a tool with children
    run.arguments = {"-c", script};
    Result<void> outcome{};
    std::jthread runner([&] { outcome = run_image_tool(run, stop.get_token()); });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!std::filesystem::exists(directory.file("grandchild")) && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const pid_t grandchild = std::stoi(test::read_file(directory.file("grandchild")));
    const auto asked = std::chrono::steady_clock::now();
    stop.request_stop();
    runner.join();
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1));
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code, ErrorCode::cancelled);
    const auto is_alive = [grandchild] {  // a zombie that nobody has reaped yet is dead
        const std::string stat = test::read_file("/proc/" + std::to_string(grandchild) + "/stat");
        return !stat.empty() && stat.find(") Z ") == std::string::npos;
    };
    while (is_alive() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(is_alive());
}

TEST(ImageTool, ReportsTheNewestPercentage) {
    std::vector<double> seen;
    ToolRun run;
    run.program = "/bin/sh";
    run.arguments = {"-c", "printf '    (0.00/100%%)\\r    (12.34/100%%)\\r'; printf '    (100.00/100%%)\\r'"};
    run.on_percent = [&seen](double percent) { seen.push_back(percent); };
    ASSERT_TRUE(run_image_tool(run, {}).has_value());
    ASSERT_FALSE(seen.empty());
    EXPECT_EQ(seen.back(), 100.0);
}

TEST(ImageTool, RunsAsTheGivenUserWithBoundsOnItsUse) {
    if (::geteuid() != 0) GTEST_SKIP() << "changing the user needs root";
    ToolRun run;
    run.program = "/bin/sh";
    run.run_as = FileOwner{65534, 65534};
    run.arguments = {"-c", "id -u >&2; ulimit -t >&2; ulimit -c >&2; exit 1"};
    run.processor_time_max = std::chrono::seconds(77);
    EXPECT_NE(run_image_tool(run, {}).error().detail.find("65534\n77\n0\n"), std::string::npos);
}

}  // namespace
}  // namespace ramet::storage
