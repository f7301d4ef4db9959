#include "store/sqlite/migrations.hpp"

#include <array>

#include "store/sqlite/store_fixture_test.hpp"

namespace ramet::store::sqlite {
namespace {

class Migrations : public testing::Test {
protected:
    void SetUp() override {
        Result<std::unique_ptr<Connection>> opened = Connection::open(folder_.file(), Access::read_write);
        ASSERT_TRUE(opened.has_value()) << opened.error().detail;
        connection_ = std::move(*opened);
    }
    std::int64_t number_of(const std::string& what) {
        const auto rows = connection_->query("SELECT count(*) FROM " + what);
        return rows.has_value() ? std::get<std::int64_t>(rows->front().front()) : -1;
    }

    TemporaryFolder folder_;
    std::unique_ptr<Connection> connection_;
};

constexpr std::array kFirst{Migration{1, "CREATE TABLE a (x INTEGER) STRICT"}};
constexpr std::array kBoth{Migration{1, "CREATE TABLE a (x INTEGER) STRICT"},
                           Migration{2, "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO b VALUES (7)"}};

TEST_F(Migrations, AreAppliedOnceEach) {
    ASSERT_TRUE(migrate(*connection_, kFirst).has_value());
    EXPECT_EQ(number_of("b"), -1);
    ASSERT_TRUE(migrate(*connection_, kBoth).has_value());
    ASSERT_TRUE(migrate(*connection_, kBoth).has_value());
    EXPECT_EQ(number_of("b"), 1);
    EXPECT_EQ(number_of("schema_migration WHERE applied > 1600000000000"), 2);
}

TEST_F(Migrations, AFailingOneLeavesNothingBehind) {
    constexpr std::array kBroken{Migration{1, "CREATE TABLE a (x INTEGER) STRICT"}, Migration{2, "CREATE TABLE b (x INTEGER) STRICT; nonsense"}};
    const Result<void> refused = migrate(*connection_, kBroken);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("migration 2"), std::string::npos);
    EXPECT_EQ(number_of("sqlite_schema"), 0);
    EXPECT_FALSE(connection_->in_transaction());
}

TEST_F(Migrations, RefuseAChangedChecksum) {
    ASSERT_TRUE(migrate(*connection_, migrations()).has_value());
    ASSERT_TRUE(connection_->execute("UPDATE schema_migration SET checksum = 'other' WHERE number = 2").has_value());
    const auto opened = open_sqlite(folder_.file());
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().message.find("migration 2"), std::string::npos) << opened.error().message;
}

TEST_F(Migrations, RefuseANewerDatabase) {
    ASSERT_TRUE(migrate(*connection_, migrations()).has_value());
    ASSERT_TRUE(connection_->execute("INSERT INTO schema_migration (number, checksum, applied) VALUES (999, 'x', 0)").has_value());
    const auto opened = open_sqlite(folder_.file());
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().message.find("newer version"), std::string::npos) << opened.error().message;
}

TEST_F(Migrations, RefuseAFileThatIsNoDatabase) {
    connection_.reset();
    std::filesystem::remove(folder_.file());
    FILE* const file = std::fopen(folder_.file().c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fputs("this is a text, long enough to be taken for the header of something else altogether, but no database at all", file);
    std::fclose(file);
    const auto opened = open_sqlite(folder_.file());
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().message.find("damaged"), std::string::npos) << opened.error().message;
}

}  // namespace
}  // namespace ramet::store::sqlite
