#include "interrupt.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace ramet::cli {

TEST(InterruptNote, SaysThatTheJobGoesOnAndExitsWith130) {
    const auto interrupted = [] {
        const InterruptNote note("0123");
        std::raise(SIGINT);
    };
    EXPECT_EXIT(interrupted(), testing::ExitedWithCode(130), "the job 0123 goes on: `ramet job watch 0123` follows it");
}

TEST(InterruptNote, LeavesAnIgnoredSignalIgnored) {
    std::signal(SIGINT, SIG_IGN);
    {
        const InterruptNote note("0123");
        std::raise(SIGINT);
    }
    EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_IGN);
}

TEST(InterruptNote, GivesTheSignalBack) {
    { const InterruptNote note("0123"); }
    EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_DFL);
}

}  // namespace ramet::cli
