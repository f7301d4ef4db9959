#include "store/sqlite/connection.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "store/sqlite/errors.hpp"

namespace ramet::store::sqlite {
namespace {

constexpr std::size_t kStatementsMax = 512;       // our own statements number about 200; queries of users may be any
constexpr int kCheckpointPages = 1000;            // SQLite's own default: 4 MiB of log
constexpr int kBusyTimeoutMilliseconds = 10'000;  // another program looking into the file, or recovery after a crash

// The file and its name are made durable before SQLite uses them: SQLite syncs what is in the file, not its directory entry.
Result<void> create_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        return fail(ErrorCode::internal, "the server's database cannot be opened; check that its folder exists and may be written to",
                    "open " + path + ": " + std::strerror(errno));
    }
    ::close(file);
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    const int directory = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = directory >= 0 && ::fsync(directory) == 0;
    const int reason = errno;
    if (directory >= 0) ::close(directory);
    if (!synced) {
        return fail(ErrorCode::internal, "the server's database folder cannot be synced; check its disk",
                    "fsync " + parent.string() + ": " + std::strerror(reason));
    }
    return {};
}

std::size_t parameter_number(const char* name) {
    std::size_t number = 0;
    if (name == nullptr || name[0] != '$') return 0;
    const char* const end = name + std::strlen(name);
    const auto [rest, problem] = std::from_chars(name + 1, end, number);
    return problem == std::errc{} && rest == end ? number : 0;
}

Value column_value(sqlite3_stmt* statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL: return std::monostate{};
    case SQLITE_INTEGER: return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
    default: {
        const unsigned char* const text = sqlite3_column_text(statement, column);
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
        return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), size);
    }
    }
}

Error fault(std::string detail) {
    return Error{
        ErrorCode::internal, "the server's database refused a statement; this is a fault of the server, see its log", std::move(detail), nullptr, {}};
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Access access) {
    if (access == Access::read_write) TRY(create_file(path));
    sqlite3* handle = nullptr;
    const int opened = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
    std::unique_ptr<Connection> connection(new Connection(handle));
    if (opened != SQLITE_OK) return to_error(opened, handle == nullptr ? "out of memory" : sqlite3_errmsg(handle), {});
    sqlite3_busy_timeout(handle, kBusyTimeoutMilliseconds);
    // A misspelt "column" is an error, not a text; and no statement can write into the schema's own tables.
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    TRY_ASSIGN(const std::vector<Values> mode, connection->query("PRAGMA journal_mode = WAL"));
    if (mode.size() != 1 || mode.front() != Values{std::string("wal")}) {
        return fail(ErrorCode::internal, "the server's database folder is on a file system without shared memory maps; use a local one", path);
    }
    TRY(
        connection->run_script("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                               "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864"));
    if (access == Access::read_only)
        TRY(connection->run_script("PRAGMA query_only = ON"));
    else
        sqlite3_wal_hook(handle, &Connection::after_commit, connection.get());
    return connection;
}

Connection::~Connection() {
    for (const Statement& statement : statements_) sqlite3_finalize(statement.handle);
    sqlite3_close_v2(handle_);
}

// In place of SQLite's own checkpoints, which keep a failed sync to themselves.
int Connection::after_commit(void* self, sqlite3* handle, const char* database, int pages) {
    if (pages < kCheckpointPages) return SQLITE_OK;
    static_cast<Connection*>(self)->note_failure(sqlite3_wal_checkpoint_v2(handle, database, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr));
    return SQLITE_OK;  // the commit itself is done
}

void Connection::note_failure(int code) {
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) lost_sync_ = true;
}

// NORMAL leaves the log's sync to the next commit that is FULL, or to the checkpoint. The log's checksums keep the order: after a power cut it
// is read as far as it is whole.
Result<void> Connection::sync_commits(bool wanted) {
    if (wanted == syncs_commits_) return {};
    TRY(run_script(wanted ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
    syncs_commits_ = wanted;
    return {};
}

void Connection::leave_log_alone() { sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }

std::unexpected<Error> Connection::error_of(int code, std::string_view sql) {
    note_failure(code);
    return std::unexpected<Error>(to_error(code, sqlite3_errmsg(handle_), sql));
}

Result<Connection::Statement> Connection::compile(std::string_view sql) {
    Statement statement;
    statement.sql = std::string(sql);
    const char* rest = nullptr;
    const int code = sqlite3_prepare_v3(handle_, statement.sql.c_str(), static_cast<int>(statement.sql.size()) + 1, SQLITE_PREPARE_PERSISTENT,
                                        &statement.handle, &rest);
    if (code != SQLITE_OK) return error_of(code, sql);
    const bool alone = statement.handle != nullptr && std::string_view(rest).find_first_not_of(" \t\r\n;") == std::string_view::npos;
    const int count = sqlite3_bind_parameter_count(statement.handle);
    bool numbered = true;
    for (int i = 1; i <= count; ++i) {
        const std::size_t number = parameter_number(sqlite3_bind_parameter_name(statement.handle, i));
        numbered = numbered && number > 0;
        statement.parameter_numbers.push_back(number);
        statement.parameters_wanted = std::max(statement.parameters_wanted, number);
    }
    if (alone && numbered) return statement;
    sqlite3_finalize(statement.handle);
    return fault("one statement with parameters $1..$n is expected, not: " + statement.sql);
}

Result<Connection::Statement*> Connection::prepare(std::string_view sql) {
    if (const auto known = by_text_.find(sql); known != by_text_.end()) {
        statements_.splice(statements_.begin(), statements_, known->second);
        return &statements_.front();
    }
    TRY_ASSIGN(Statement statement, compile(sql));
    if (statements_.size() >= kStatementsMax) {
        by_text_.erase(statements_.back().sql);
        sqlite3_finalize(statements_.back().handle);
        statements_.pop_back();
    }
    statements_.push_front(std::move(statement));
    by_text_.emplace(statements_.front().sql, statements_.begin());
    return &statements_.front();
}

Result<void> Connection::bind(const Statement& statement, const Values& parameters) {
    if (parameters.size() != statement.parameters_wanted) {
        return fault("the statement has parameters up to $" + std::to_string(statement.parameters_wanted) + " but is given " +
                     std::to_string(parameters.size()) + ": " + statement.sql);
    }
    for (std::size_t i = 0; i < statement.parameter_numbers.size(); ++i) {
        const Value& value = parameters[statement.parameter_numbers[i] - 1];
        const int position = static_cast<int>(i) + 1;
        int code = SQLITE_OK;
        if (const auto* number = std::get_if<std::int64_t>(&value)) {
            code = sqlite3_bind_int64(statement.handle, position, *number);
        } else if (const auto* text = std::get_if<std::string>(&value)) {
            code = sqlite3_bind_text64(statement.handle, position, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
        } else {
            code = sqlite3_bind_null(statement.handle, position);
        }
        if (code != SQLITE_OK) return error_of(code, statement.sql);
    }
    return {};
}

Result<void> Connection::step_through(const Statement& statement, std::vector<Values>* rows) {
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(statement.handle)) == SQLITE_ROW) {
        if (rows == nullptr) continue;
        const int columns = sqlite3_column_count(statement.handle);
        Values& row = rows->emplace_back();
        row.reserve(static_cast<std::size_t>(columns));
        for (int column = 0; column < columns; ++column) row.push_back(column_value(statement.handle, column));
    }
    if (code != SQLITE_DONE) return error_of(code, statement.sql);
    return {};
}

Result<std::vector<Values>> Connection::query(std::string_view sql, const Values& parameters) {
    TRY_ASSIGN(const Statement* const statement, prepare(sql));
    std::vector<Values> rows;
    Result<void> done = bind(*statement, parameters);
    if (done.has_value()) done = step_through(*statement, &rows);
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);  // the values belong to the caller
    TRY(done);
    return rows;
}

Result<std::int64_t> Connection::execute(std::string_view sql, const Values& parameters) {
    TRY_ASSIGN(const Statement* const statement, prepare(sql));
    Result<void> done = bind(*statement, parameters);
    if (done.has_value()) done = step_through(*statement, nullptr);
    const std::int64_t changed = sqlite3_stmt_readonly(statement->handle) != 0 ? 0 : sqlite3_changes64(handle_);
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);
    TRY(done);
    return changed;
}

Result<void> Connection::run(std::string_view sql) {
    TRY(execute(sql, {}));
    return {};
}

Result<void> Connection::run_script(std::string_view sql) {
    const int code = sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error_of(code, sql);
    return {};
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

bool Connection::has_broken_references() const {
    int open = 0;
    int highest = 0;
    sqlite3_db_status(handle_, SQLITE_DBSTATUS_DEFERRED_FKS, &open, &highest, 0);
    return open != 0;
}

std::string Connection::broken_reference() {
    const Result<std::vector<Values>> found = query(
        "SELECT c.\"table\" || '.' || k.\"from\" FROM pragma_foreign_key_check AS c"
        " JOIN pragma_foreign_key_list(c.\"table\") AS k ON k.id = c.fkid LIMIT 1");
    if (!found.has_value() || found->empty()) return "foreign key";
    const auto* name = std::get_if<std::string>(&found->front().front());
    return name == nullptr ? "foreign key" : *name;
}

}  // namespace ramet::store::sqlite
