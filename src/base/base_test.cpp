#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/clock.hpp"
#include "base/disk_precedence.hpp"
#include "base/disk_size.hpp"
#include "base/id.hpp"
#include "base/task_group.hpp"

namespace ramet {

TEST(Id, RandomIdsAreVersionFourAndParse) {
    const std::string text = random_uuid_text();
    ASSERT_TRUE(is_uuid_text(text));
    EXPECT_EQ(text[12], '4');
    EXPECT_NE(std::string("89ab").find(text[16]), std::string::npos);
    EXPECT_TRUE(VmId::parse(text).has_value());
}

TEST(Id, RefusesWhatIsNoUuid) {
    for (const char* text :
         {"", "123", "327B60D6B8CD31489ADE6F4830BCEC16", "327b60d6b8cd31489ade6f4830bcec1g", "327b60d6-b8cd-3148-9ade-6f4830bcec16"}) {
        EXPECT_FALSE(VmId::parse(text).has_value()) << text;
    }
}

TEST(Id, DerivedIdsRepeatAndDiffer) {
    EXPECT_EQ(derived_uuid_text("a", "b"), derived_uuid_text("a", "b"));
    EXPECT_NE(derived_uuid_text("a", "b"), derived_uuid_text("a", "c"));
}

TEST(Clock, WireDateHasNoCommaAfterTheYearAndNoPaddedHour) {
    setenv("TZ", "Asia/Shanghai", 1);
    tzset();
    EXPECT_EQ(to_wire_date(Timestamp{1510669257141}), "Nov 14, 2017 10:20:57 PM");
}

TEST(StepProofClock, GoesWithTheTimeSinceBootUntilToldToFollow) {
    std::int64_t wall = 1'000'000;
    std::int64_t boot = 50;
    StepProofClock clock([&] { return wall; }, [&] { return boot; });
    EXPECT_EQ(clock.now().milliseconds, 1'000'000);
    wall += 10;
    boot += 10;
    EXPECT_EQ(clock.now().milliseconds, 1'000'010);
    EXPECT_EQ(clock.step(), 0);
    wall -= 5'000;  // somebody sets it
    EXPECT_EQ(clock.now().milliseconds, 1'000'010);
    EXPECT_EQ(clock.step(), -5'000);
    clock.follow(-5'000);
    EXPECT_EQ(clock.now().milliseconds, wall);
}

TEST(DiskSize, IsWholeSectors) {
    EXPECT_EQ(whole_sectors(1), 512);
    EXPECT_EQ(whole_sectors(512), 512);
    EXPECT_EQ(whole_sectors(1048577), 1049088);
    EXPECT_EQ(whole_sectors(0), 0);
    EXPECT_EQ(whole_sectors(std::numeric_limits<std::int64_t>::max()), std::numeric_limits<std::int64_t>::max());
}

TEST(DiskPrecedence, ACopyWaitsForWhatIsUrgentButNotForEver) {
    using std::chrono::milliseconds, std::chrono::steady_clock;
    const auto waited = [](const std::stop_token& stop) {
        const auto begun = steady_clock::now();
        const CopyTurn turn(stop);
        return steady_clock::now() - begun;
    };
    const std::stop_token never;
    auto urgent = std::make_unique<UrgentDiskUse>();
    EXPECT_GE(waited(never), milliseconds(50));  // and returns, although the use does not end
    std::stop_source stop;
    stop.request_stop();
    bool at_once = false;  // in one of many tries: a machine may be busy
    for (int i = 0; i < 50 && !at_once; ++i) at_once = waited(stop.get_token()) < milliseconds(50);
    EXPECT_TRUE(at_once);
    urgent.reset();
    EXPECT_GE(waited(never), milliseconds(1));  // what comes next of the same call
}

// The most pieces of copies that were under way at one time, of four that each take `time`.
int pieces_at_once(std::chrono::milliseconds time) {
    std::mutex mutex;
    int under_way = 0, most = 0;
    const std::stop_token never;
    for_each_parallel(4, 4, [&](std::size_t) {
        const CopyTurn turn(never);
        {
            const std::lock_guard lock(mutex);
            most = std::max(most, ++under_way);
        }
        std::this_thread::sleep_for(time);
        const std::lock_guard lock(mutex);
        --under_way;
    });
    return most;
}

TEST(DiskPrecedence, CopiesGoOnePieceAtATimeBesideShortCalls) {
    using std::chrono::milliseconds, std::chrono::steady_clock;
    EXPECT_EQ(pieces_at_once(milliseconds(200)), 3);  // of all copies together
    expect_urgent_disk_use();
    const auto begun = steady_clock::now();
    EXPECT_EQ(pieces_at_once(milliseconds(5)), 1);
    EXPECT_GE(steady_clock::now() - begun, milliseconds(4 * (5 + 15)));  // and rest after each
}

TEST(ForEachParallel, CallsEveryIndexOnce) {
    std::atomic<int> sum{0};
    for_each_parallel(100, 4, [&](std::size_t index) { sum += static_cast<int>(index); });
    EXPECT_EQ(sum, 4950);
    for_each_parallel(0, 4, [&](std::size_t) { sum = -1; });
    EXPECT_EQ(sum, 4950);
}

TEST(ThreadPool, RefusesBeyondItsQueue) {
    std::atomic<bool> go{false};
    ThreadPool pool(1, 1);
    ASSERT_TRUE(pool.post([&] {
        while (!go) std::this_thread::yield();
    }));
    while (pool.queued() != 0) std::this_thread::yield();
    EXPECT_TRUE(pool.post([] {}));
    EXPECT_FALSE(pool.post([] {}));
    go = true;
}

}  // namespace ramet
