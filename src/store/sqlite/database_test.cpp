#include "store/sqlite/database.hpp"

#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <csignal>
#include <future>
#include <stdexcept>
#include <thread>

#include "store/sqlite/store_fixture_test.hpp"

namespace ramet::store {
namespace {

class SqliteStore : public StoreTest {};

constexpr int kThreads = 32;
constexpr int kWritesPerThread = 50;

enum class Wish { kept, error, thrown, unique, reference };

Wish wish_of(int thread, int number) {
    constexpr std::array<Wish, 8> kWishes{Wish::kept, Wish::kept, Wish::error, Wish::kept, Wish::thrown, Wish::kept, Wish::unique, Wish::reference};
    return kWishes[static_cast<std::size_t>(thread + number) % kWishes.size()];
}

// Inserts a row, then fails in the way that is wished for.
Result<void> insert_then(Transaction& transaction, const UserTag& tag, Wish wish) {
    TRY(insert(transaction, tag));
    if (wish == Wish::error) return fail(ErrorCode::cancelled, tag.tag);
    if (wish == Wish::thrown) throw std::runtime_error(tag.tag);
    if (wish == Wish::unique) return insert(transaction, tag);
    if (wish == Wish::reference) {
        Cluster cluster;
        cluster.uuid = ClusterId::random();
        return insert(transaction, cluster);
    }
    return {};
}

bool is_expected(const Result<void>& outcome, const UserTag& tag, Wish wish) {
    if (wish == Wish::kept) return outcome.has_value();
    if (outcome.has_value()) return false;
    if (wish == Wish::error) return outcome.error().code == ErrorCode::cancelled && outcome.error().message == tag.tag;
    if (wish == Wish::thrown) return outcome.error().code == ErrorCode::internal && outcome.error().detail == tag.tag;
    return outcome.error().code == ErrorCode::conflict && outcome.error().detail == (wish == Wish::unique ? "user_tag.uuid" : "cluster.zoneUuid");
}

TEST_F(SqliteStore, ManyWritersKeepWhatSucceededAndNothingOfWhatFailed) {
    std::atomic<int> unexpected{0};
    std::atomic<int> kept{0};
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < kThreads; ++thread) {
            threads.emplace_back([&, thread] {
                for (int number = 0; number < kWritesPerThread; ++number) {
                    const Wish wish = wish_of(thread, number);
                    const UserTag tag = make_tag((wish == Wish::kept ? "kept-" : "gone-") + std::to_string(thread) + "-" + std::to_string(number));
                    const auto outcome = database_->write([&](Transaction& transaction) { return insert_then(transaction, tag, wish); });
                    if (!is_expected(outcome, tag, wish)) ++unexpected;
                    if (wish == Wish::kept) ++kept;
                }
            });
        }
    }
    EXPECT_EQ(unexpected, 0);
    database_.reset();
    open();
    const auto tags = read(*database_, [](Transaction& transaction) { return list<UserTag>(transaction); });
    ASSERT_TRUE(tags.has_value());
    EXPECT_EQ(tags->size(), static_cast<std::size_t>(kept));
    for (const UserTag& tag : *tags) EXPECT_TRUE(tag.tag.starts_with("kept-")) << tag.tag;
    EXPECT_EQ(count_rows<Cluster>(), 0);
}

TEST_F(SqliteStore, AReaderSeesOnlyWhatIsCommitted) {
    std::promise<void> inserted;
    std::promise<void> go_on;
    std::jthread writer([&] {
        const auto written = database_->write([&](Transaction& transaction) -> Result<void> {
            TRY(insert(transaction, make_tag("a")));
            inserted.set_value();
            go_on.get_future().wait();
            return {};
        });
        EXPECT_TRUE(written.has_value());
    });
    inserted.get_future().wait();
    EXPECT_EQ(count_rows<UserTag>(), 0);
    go_on.set_value();
    writer.join();
    EXPECT_EQ(count_rows<UserTag>(), 1);
}

TEST_F(SqliteStore, AReadKeepsItsViewWhileOthersWrite) {
    const auto read_twice = database_->read([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::int64_t before, count<UserTag>(transaction, {}));
        std::jthread([&] { EXPECT_TRUE(insert_row(make_tag("a")).has_value()); }).join();
        TRY_ASSIGN(const std::int64_t after, count<UserTag>(transaction, {}));
        EXPECT_EQ(before, after);
        return {};
    });
    EXPECT_TRUE(read_twice.has_value());
    EXPECT_EQ(count_rows<UserTag>(), 1);
}

TEST_F(SqliteStore, AReadCannotWriteAndAWriteCannotNest) {
    const auto written = database_->read([](Transaction& transaction) { return insert(transaction, make_tag("a")); });
    EXPECT_EQ(written.error().code, ErrorCode::internal);
    const auto nested = database_->write([&](Transaction&) { return insert_row(make_tag("b")); });
    EXPECT_EQ(nested.error().code, ErrorCode::internal);
    EXPECT_EQ(count_rows<UserTag>(), 0);
}

TEST_F(SqliteStore, AcknowledgedRowsOutliveAKill) {
    database_.reset();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const auto opened = open_sqlite(folder_.file());
        const auto insert_tag = [](Transaction& transaction) { return insert(transaction, make_tag("kept")); };
        if (opened.has_value() && (*opened)->write(insert_tag).has_value()) ::kill(::getpid(), SIGKILL);
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    open();
    EXPECT_EQ(count_rows<UserTag>({{"tag", std::string("kept")}}), 1);
}

TEST_F(SqliteStore, AFullDiskIsToldAsSuchAndLaterWritesGoOn) {
    ASSERT_TRUE(insert_row(make_tag("before")).has_value());
    const auto full = database_->write([](Transaction& transaction) -> Result<void> {
        TRY(transaction.query("PRAGMA max_page_count = 1"));  // as small as the file is now
        return insert(transaction, make_tag(std::string(10'000'000, 'x')));
    });
    ASSERT_FALSE(full.has_value());
    EXPECT_EQ(full.error().code, ErrorCode::storage_full);
    EXPECT_NE(full.error().message.find("free space"), std::string::npos);
    const auto after = database_->write([](Transaction& transaction) -> Result<void> {
        TRY(transaction.query("PRAGMA max_page_count = 1000000000"));
        return insert(transaction, make_tag("after"));
    });
    EXPECT_TRUE(after.has_value()) << after.error().detail;
    EXPECT_EQ(count_rows<UserTag>(), 2);
}

TEST_F(SqliteStore, ParametersAreBoundByTheirNumber) {
    const auto rows = read(*database_, [](Transaction& transaction) {
        return transaction.query("SELECT $2, $1, $2, $3", {std::int64_t{1}, std::string("two"), std::monostate{}});
    });
    ASSERT_TRUE(rows.has_value()) << rows.error().detail;
    EXPECT_EQ(rows->front(), (Values{std::string("two"), std::int64_t{1}, std::string("two"), std::monostate{}}));
}

TEST_F(SqliteStore, RefusesWrongParametersAndSeveralStatements) {
    for (const char* sql : {"SELECT $1", "SELECT 1; SELECT 2", "SELECT ?", "SELECT \"misspelt\"", "", "SELECT nothing FROM nowhere"}) {
        const auto rows = read(*database_, [&](Transaction& transaction) { return transaction.query(sql); });
        ASSERT_FALSE(rows.has_value()) << sql;
        EXPECT_EQ(rows.error().code, ErrorCode::internal);
        EXPECT_EQ(rows.error().message.find("SELECT"), std::string::npos) << "SQL is for the log only";
    }
}

TEST_F(SqliteStore, KeepsWorkingPastTheStatementsItKeepsPrepared) {
    for (int round = 0; round < 2; ++round) {
        for (std::int64_t i = 0; i < 400; ++i) {
            const std::string sql = "SELECT $1 + " + std::to_string(i);
            const auto rows = read(*database_, [&](Transaction& transaction) { return transaction.query(sql, {std::int64_t{1}}); });
            ASSERT_TRUE(rows.has_value());
            ASSERT_EQ(std::get<std::int64_t>(rows->front().front()), i + 1);
        }
    }
}

TEST_F(SqliteStore, TheFileIsForItsOwnerAlone) {
    const auto permissions = std::filesystem::status(folder_.file()).permissions();
    EXPECT_EQ(permissions & std::filesystem::perms::all, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(SqliteOpen, AMissingFolderIsAnErrorWithoutItsPathInTheMessage) {
    const auto opened = open_sqlite("/nonexistent-folder/state.db");
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().message.find("/nonexistent"), std::string::npos);
    EXPECT_NE(opened.error().detail.find("/nonexistent"), std::string::npos);
}

}  // namespace
}  // namespace ramet::store
