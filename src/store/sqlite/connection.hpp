// One SQLite connection with its prepared statements.
// Thread rules: one thread at a time. Statements are kept prepared by their text, the least recently used are dropped.
#pragma once

#include <sqlite3.h>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/database.hpp"

namespace ramet::store::sqlite {

enum class Access : std::uint8_t { read_write, read_only };

class Connection final : public Transaction {
public:
    // read_write creates the file when it is missing (mode 0600: it holds password hashes).
    static Result<std::unique_ptr<Connection>> open(const std::string& path, Access access);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Result<std::vector<Values>> query(std::string_view sql, const Values& parameters = {}) override;
    Result<std::int64_t> execute(std::string_view sql, const Values& parameters = {}) override;
    Result<void> run(std::string_view sql);         // one statement without parameters, whose count of rows is of no interest
    Result<void> run_script(std::string_view sql);  // several statements, no parameters, nothing kept prepared
    Result<void> sync_commits(bool wanted);         // from the next transaction on; at first they are synced
    bool in_transaction() const;                    // SQLite ends it by itself on some errors, such as a full disk
    bool has_broken_references() const;             // a deferred foreign key that would refuse the commit
    std::string broken_reference();                 // "table.column" of the first one; reads whole tables
    // A sync failed, and with it the kernel may have dropped what was to be written: nothing later may rely on this file's state.
    bool lost_sync() const { return lost_sync_; }
    void leave_log_alone();  // closing the connection neither checkpoints nor syncs

private:
    struct Statement {
        std::string sql;
        sqlite3_stmt* handle = nullptr;
        std::vector<std::size_t> parameter_numbers;  // SQLite's n-th parameter is our $number
        std::size_t parameters_wanted = 0;
    };
    using Statements = std::list<Statement>;  // most recently used first

    explicit Connection(sqlite3* handle) : handle_(handle) {}
    Result<Statement*> prepare(std::string_view sql);
    Result<Statement> compile(std::string_view sql);
    Result<void> bind(const Statement& statement, const Values& parameters);
    Result<void> step_through(const Statement& statement, std::vector<Values>* rows);
    std::unexpected<Error> error_of(int code, std::string_view sql);
    void note_failure(int code);
    static int after_commit(void* self, sqlite3* handle, const char* database, int pages);

    sqlite3* handle_;
    bool lost_sync_ = false;
    bool syncs_commits_ = true;
    Statements statements_;
    std::unordered_map<std::string_view, Statements::iterator> by_text_;  // keys point into statements_
};

}  // namespace ramet::store::sqlite
