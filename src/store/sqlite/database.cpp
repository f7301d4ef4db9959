#include "store/sqlite/database.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/disk_precedence.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/migrations.hpp"

namespace ramet::store::sqlite {
namespace {

constexpr std::size_t kBatchMax = 256;  // writes per commit: bounds how long the first of them waits

Result<void> run_guarded(const Database::Work& work, Transaction& transaction) {
    try {
        return work(transaction);
    } catch (const std::exception& problem) {
        return fail(ErrorCode::internal, "the server failed inside a transaction, which was rolled back; see its log", problem.what());
    } catch (...) {
        return fail(ErrorCode::internal, "the server failed inside a transaction, which was rolled back; see its log", "an unknown exception");
    }
}

struct PendingWrite {
    const Database::Work& work;
    Durability durability;
    Result<void> outcome;
    bool committed = false;  // or refused: `outcome` is final
};

// Writers take turns: the one whose turn it is commits, on its own thread, all that wait by then. Alone it waits for no other thread.
class SqliteDatabase final : public Database {
public:
    SqliteDatabase(std::unique_ptr<Connection> writer, std::vector<std::unique_ptr<Connection>> readers, std::function<void()> on_lost_sync)
        : writer_(std::move(writer)),
          on_lost_sync_(std::move(on_lost_sync)),
          idle_readers_(std::move(readers)) {}

    ~SqliteDatabase() override {
        if (!writer_->lost_sync()) return;
        writer_->leave_log_alone();
        for (const std::unique_ptr<Connection>& reader : idle_readers_) reader->leave_log_alone();
    }

    using Database::write;
    Result<void> write(const Work& work, Durability durability) override;
    Result<void> read(const Work& work) override;
    Result<std::vector<std::string>> check() override;

private:
    std::deque<PendingWrite*> take_batch();
    void run_batch(const std::deque<PendingWrite*>& batch);
    void commit(const std::deque<PendingWrite*>& batch);
    Result<void> run_in_savepoint(const Work& work);

    std::unique_ptr<Connection> writer_;  // used by the thread whose turn it is
    std::function<void()> on_lost_sync_;
    std::mutex mutex_;
    std::condition_variable turn_ends_;
    std::thread::id turn_;               // whose turn it is; nobody's otherwise
    std::deque<PendingWrite*> waiting_;  // owned by the callers, who stay until theirs is committed

    std::mutex readers_mutex_;
    std::condition_variable reader_idle_;
    std::vector<std::unique_ptr<Connection>> idle_readers_;
};

Result<void> SqliteDatabase::write(const Work& work, Durability durability) {
    PendingWrite mine{work, durability, {}};
    std::unique_lock lock(mutex_);
    if (turn_ == std::this_thread::get_id()) {
        return fail(ErrorCode::internal, "the server asked for a write inside a write; this is a fault of the server, see its log");
    }
    waiting_.push_back(&mine);
    // A batch has a bound, so a turn may come more than once before this write is in it.
    while (!mine.committed) {
        turn_ends_.wait(lock, [&] { return mine.committed || turn_ == std::thread::id{}; });
        if (mine.committed) break;
        turn_ = std::this_thread::get_id();
        const std::deque<PendingWrite*> batch = take_batch();
        lock.unlock();
        run_batch(batch);
        lock.lock();
        for (PendingWrite* pending : batch) pending->committed = true;
        turn_ = std::thread::id{};
        turn_ends_.notify_all();
    }
    return std::move(mine.outcome);
}

std::deque<PendingWrite*> SqliteDatabase::take_batch() {
    std::deque<PendingWrite*> batch;
    while (!waiting_.empty() && batch.size() < kBatchMax) {
        batch.push_back(waiting_.front());
        waiting_.pop_front();
    }
    return batch;
}

void SqliteDatabase::run_batch(const std::deque<PendingWrite*>& batch) {
    if (!writer_->lost_sync()) {
        commit(batch);
        if (writer_->lost_sync() && on_lost_sync_) on_lost_sync_();
        return;
    }
    for (PendingWrite* pending : batch) {
        pending->outcome = fail(ErrorCode::internal, "the server's database could not be brought to disk, and the server is ending; check its disk");
    }
}

void SqliteDatabase::commit(const std::deque<PendingWrite*>& batch) {
    const bool at_once = std::ranges::any_of(batch, [](const PendingWrite* write) { return write->durability == Durability::at_once; });
    std::optional<UrgentDiskUse> urgent;
    if (at_once) urgent.emplace();
    Result<void> alive = writer_->sync_commits(at_once);
    if (alive.has_value()) alive = writer_->run("BEGIN IMMEDIATE");
    std::size_t begun = 0;
    for (; begun < batch.size() && alive.has_value(); ++begun) {
        batch[begun]->outcome = run_in_savepoint(batch[begun]->work);
        // Some failures, such as a full disk, end the whole transaction and with it the writes before this one.
        if (!writer_->in_transaction()) {
            alive = batch[begun]->outcome.has_value() ? fail(ErrorCode::internal, "the server's database ended a transaction early; try again")
                                                      : Result<void>(Error(batch[begun]->outcome.error()));
        }
    }
    if (alive.has_value()) alive = writer_->run("COMMIT");
    if (alive.has_value()) return;
    if (writer_->in_transaction()) static_cast<void>(writer_->run("ROLLBACK"));  // the error below is the one to report
    for (PendingWrite* pending : batch) {
        if (pending->outcome.has_value()) pending->outcome = Error(alive.error());
    }
}

Result<void> SqliteDatabase::run_in_savepoint(const Work& work) {
    TRY(writer_->run("SAVEPOINT item"));
    Result<void> outcome = run_guarded(work, *writer_);
    // Left to the commit, a broken reference would fail every write that shares it.
    if (outcome.has_value() && writer_->has_broken_references()) {
        outcome = fail(ErrorCode::conflict, "a resource named here does not exist or is still in use; look at what refers to it",
                       writer_->broken_reference());
    }
    if (!writer_->in_transaction()) return outcome;
    if (!outcome.has_value()) {
        const Result<void> undone = writer_->run("ROLLBACK TO item");
        // Never commit half of a failed write: without its savepoint the whole batch goes.
        if (!undone.has_value()) {
            static_cast<void>(writer_->run("ROLLBACK"));
            return outcome;
        }
    }
    TRY(writer_->run("RELEASE item"));
    return outcome;
}

Result<void> SqliteDatabase::read(const Work& work) {
    std::unique_ptr<Connection> connection;
    {
        std::unique_lock lock(readers_mutex_);
        reader_idle_.wait(lock, [this] { return !idle_readers_.empty(); });
        connection = std::move(idle_readers_.back());
        idle_readers_.pop_back();
    }
    Result<void> outcome = [&]() -> Result<void> {
        TRY(connection->run("BEGIN"));
        Result<void> done = run_guarded(work, *connection);
        Result<void> ended = connection->in_transaction() ? connection->run("ROLLBACK") : Result<void>{};
        if (done.has_value() && !ended.has_value()) return ended;
        return done;
    }();
    {
        const std::lock_guard lock(readers_mutex_);
        idle_readers_.push_back(std::move(connection));
    }
    reader_idle_.notify_one();
    return outcome;
}

Result<std::vector<std::string>> SqliteDatabase::check() {
    std::vector<std::string> findings;
    TRY(read([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::vector<Values> damages, transaction.query("PRAGMA quick_check(20)"));
        for (const Values& row : damages) {
            const auto* text = std::get_if<std::string>(&row.at(0));
            if (text != nullptr && *text != "ok") findings.push_back(*text);
        }
        TRY_ASSIGN(const std::vector<Values> dangling, transaction.query("PRAGMA foreign_key_check"));
        for (const Values& row : dangling) {
            const auto* table = std::get_if<std::string>(&row.at(0));
            findings.push_back("a row of " + (table == nullptr ? std::string("a table") : *table) + " names one that is not there");
        }
        return {};
    }));
    return findings;
}

}  // namespace
}  // namespace ramet::store::sqlite

namespace ramet::store {

Result<std::unique_ptr<Database>> open_sqlite(const std::string& path, std::function<void()> on_lost_sync, std::size_t reader_count) {
    using namespace sqlite;
    TRY_ASSIGN(std::unique_ptr<Connection> writer, Connection::open(path, Access::read_write));
    TRY(migrate(*writer, migrations()));
    // What an ended server left in the log may be in the kernel's memory alone, if its last sync failed: written again, it is not.
    TRY(writer->run_script("PRAGMA wal_checkpoint(TRUNCATE)"));
    std::vector<std::unique_ptr<Connection>> readers;
    for (std::size_t i = 0; i < reader_count; ++i) {
        TRY_ASSIGN(std::unique_ptr<Connection> reader, Connection::open(path, Access::read_only));
        readers.push_back(std::move(reader));
    }
    return std::unique_ptr<Database>(std::make_unique<SqliteDatabase>(std::move(writer), std::move(readers), std::move(on_lost_sync)));
}

}  // namespace ramet::store
