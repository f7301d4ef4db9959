// What the tests of this folder share: a database in a folder of its own that counts its transactions, and a clock that is set by hand.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "identity/accounts.hpp"
#include "store/sqlite/database.hpp"
#include "store/table.hpp"

namespace ramet::identity {

class HandClock final : public Clock {
public:
    Timestamp now() const override { return Timestamp{milliseconds_}; }
    void advance(std::chrono::milliseconds by) { milliseconds_ += by.count(); }
    void set(Timestamp instant) { milliseconds_ = instant.milliseconds; }

private:
    std::atomic<std::int64_t> milliseconds_{1'700'000'000'000};
};

class CountingDatabase final : public store::Database {
public:
    explicit CountingDatabase(std::unique_ptr<Database> inner) : inner_(std::move(inner)) {}
    using Database::write;
    Result<void> write(const Work& work, Durability durability) override {
        ++writes;
        return inner_->write(work, durability);
    }
    Result<void> read(const Work& work) override {
        ++reads;
        return inner_->read(work);
    }
    Result<std::vector<std::string>> check() override { return inner_->check(); }
    std::atomic<std::int64_t> writes{0};
    std::atomic<std::int64_t> reads{0};

private:
    std::unique_ptr<Database> inner_;
};

class IdentityTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "ramet-identity-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        restart();
    }
    void TearDown() override {
        accounts_.reset();
        database_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    void restart() {
        accounts_.reset();
        database_.reset();
        Result<std::unique_ptr<store::Database>> opened = store::open_sqlite((folder_ / "state.db").string());
        ASSERT_TRUE(opened.has_value()) << opened.error().detail;
        database_ = std::make_unique<CountingDatabase>(std::move(*opened));
        accounts_ = std::make_unique<Accounts>(*database_, clock_);
    }
    Result<void> within(const store::Database::Work& work) { return database_->write(work); }
    template <class Row>
    void insert(const Row& row) {
        const Result<void> done = within([&](store::Transaction& transaction) { return store::insert(transaction, row); });
        EXPECT_TRUE(done.has_value()) << done.error().message << done.error().detail;
    }
    template <class Row>
    void erase(const store::Matches& matches) {
        EXPECT_TRUE(store::write(*database_, [&](store::Transaction& transaction) { return store::erase<Row>(transaction, matches); }).has_value());
    }
    template <class Row>
    Row get(std::string_view key) {
        const Result<Row> row = store::read(*database_, [&](store::Transaction& transaction) { return store::get<Row>(transaction, key); });
        EXPECT_TRUE(row.has_value());
        return row.value_or(Row{});
    }
    template <class Row>
    std::int64_t count(const store::Matches& matches = {}) {
        return store::read(*database_, [&](store::Transaction& transaction) { return store::count<Row>(transaction, matches); }).value_or(-1);
    }

    HandClock clock_;
    std::filesystem::path folder_;
    std::unique_ptr<CountingDatabase> database_;
    std::unique_ptr<Accounts> accounts_;
};

}  // namespace ramet::identity
