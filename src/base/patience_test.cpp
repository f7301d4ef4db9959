#include "base/patience.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace ramet {
namespace {

using namespace std::chrono_literals;

TEST(Patience, EndsWithTheStopAndWithItsOwnEnd) {
    EXPECT_TRUE(still_patient().has_value()) << "without one a thread waits as long as it likes";
    std::stop_source cancel;
    {
        const Patience patience(cancel.get_token());
        EXPECT_TRUE(still_patient().has_value());
        {
            const Patience shorter = Patience::at_most(1ms);
            EXPECT_EQ(pause_patiently(60s).error().code, ErrorCode::timeout);
        }
        EXPECT_TRUE(still_patient().has_value()) << "the one around it holds again";
        cancel.request_stop();
        EXPECT_EQ(pause_patiently(60s).error().code, ErrorCode::cancelled);
        const Patience shorter = Patience::at_most(60s);
        EXPECT_EQ(still_patient().error().code, ErrorCode::cancelled);
    }
    EXPECT_TRUE(still_patient().has_value());
}

TEST(Patience, ATidyingGoesOnForAMomentAfterTheStop) {
    std::stop_source cancel;
    const Patience patience(cancel.get_token());
    cancel.request_stop();
    ASSERT_FALSE(still_patient().has_value());
    const auto begun = std::chrono::steady_clock::now();
    const Patience tidy = Patience::to_tidy_up();
    EXPECT_TRUE(still_patient().has_value());
    EXPECT_EQ(pause_patiently(60s).error().code, ErrorCode::cancelled);
    EXPECT_GE(std::chrono::steady_clock::now() - begun, kTidyUpMax - kPatienceLook);
}

TEST(Patience, AfterASilenceTidyingIsShortWithoutAStopToo) {
    const Patience tidy = Patience::to_tidy_up_after(fail(ErrorCode::timeout, "no answer"));
    EXPECT_EQ(pause_patiently(60s).error().code, ErrorCode::timeout);
}

TEST(Patience, AWaitForALockObeysIt) {
    std::timed_mutex mutex;
    const std::lock_guard held(mutex);
    std::jthread other([&] {
        EXPECT_EQ(lock_patiently(mutex, std::chrono::steady_clock::now() + 1ms).error().code, ErrorCode::timeout);
        std::stop_source cancel;
        const Patience patience(cancel.get_token());
        std::jthread canceller([&] { cancel.request_stop(); });
        EXPECT_EQ(lock_patiently(mutex, std::chrono::steady_clock::time_point::max()).error().code, ErrorCode::cancelled);
    });
}

}  // namespace
}  // namespace ramet
