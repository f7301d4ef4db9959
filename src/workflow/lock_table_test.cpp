#include "workflow/lock_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace ramet::workflow {
namespace {

bool await_waiting(const LockTable& table, std::size_t wanted) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (table.waiting() != wanted) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

TEST(LockTable, GivesANameToOneHolderAtATime) {
    LockTable table;
    std::atomic<int> inside{0};
    std::atomic<int> turns{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                for (int turn = 0; turn < 50; ++turn) {
                    const Result<LockTable::Held> held = table.acquire({"vm"}, {});
                    ASSERT_TRUE(held.has_value());
                    EXPECT_EQ(inside.fetch_add(1), 0);
                    ++turns;
                    inside.fetch_sub(1);
                }
            });
        }
    }
    EXPECT_EQ(turns, 400);
}

TEST(LockTable, ServesFirstComeFirst) {
    LockTable table;
    std::mutex mutex;
    std::vector<int> order;
    std::vector<std::jthread> threads;
    {
        const Result<LockTable::Held> held = table.acquire({"vm"}, {});
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&, i] {
                const Result<LockTable::Held> mine = table.acquire({"vm"}, {});
                const std::lock_guard lock(mutex);
                order.push_back(i);
            });
            ASSERT_TRUE(await_waiting(table, static_cast<std::size_t>(i) + 1));
        }
    }
    threads.clear();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(LockTable, LetsNobodyOvertakeARequestForSeveralNames) {
    LockTable table;
    std::mutex mutex;
    std::vector<std::string> order;
    const auto note = [&](const std::string& who) {
        const std::lock_guard lock(mutex);
        order.push_back(who);
    };
    std::vector<std::jthread> threads;
    {
        const Result<LockTable::Held> held = table.acquire({"a"}, {});
        threads.emplace_back([&] {
            const Result<LockTable::Held> both = table.acquire({"b", "a"}, {});
            note("both");
        });
        ASSERT_TRUE(await_waiting(table, 1));
        threads.emplace_back([&] {
            const Result<LockTable::Held> late = table.acquire({"b"}, {});
            note("late");
        });
        ASSERT_TRUE(await_waiting(table, 2));
    }
    threads.clear();
    EXPECT_EQ(order, (std::vector<std::string>{"both", "late"}));
}

TEST(LockTable, HasNoDeadlockWhateverTheOrderOfNames) {
    LockTable table;
    std::atomic<int> turns{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&, i] {
                for (int turn = 0; turn < 100; ++turn) {
                    const bool ascending = (i + turn) % 2 == 0;
                    std::vector<std::string> names{"a", "b", "a"};
                    if (!ascending) names = {"b", "a"};
                    const Result<LockTable::Held> held = table.acquire(std::move(names), {});
                    ASSERT_TRUE(held.has_value());
                    ++turns;
                }
            });
        }
    }
    EXPECT_EQ(turns, 600);
}

TEST(LockTable, LeavesTheQueueWhenToldToStop) {
    LockTable table;
    Result<LockTable::Held> held = table.acquire({"a"}, {});
    std::jthread waiter([&](std::stop_token stop) {
        const Result<LockTable::Held> refused = table.acquire({"a", "b"}, stop);
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, ErrorCode::cancelled);
    });
    ASSERT_TRUE(await_waiting(table, 1));
    waiter.request_stop();
    waiter.join();
    EXPECT_TRUE(table.acquire({"b"}, {}).has_value());
    held = LockTable::Held{};
    EXPECT_TRUE(table.acquire({"a"}, {}).has_value());
}

TEST(LockTable, WaitsForNothingWithoutNames) {
    LockTable table;
    const Result<LockTable::Held> held = table.acquire({"a"}, {});
    EXPECT_TRUE(table.acquire({}, {}).has_value());
}

}  // namespace
}  // namespace ramet::workflow
