// The store's port: transactions over rows. One SQL text serves every adapter: parameters are $1..$n, `LIKE` is compared as
// the adapter's migrations declare. Uniqueness is the database's job: a broken constraint is ErrorCode::conflict, whose
// `detail` names the constraint as "table.column[,table.column]".
//
// Thread rules: write() and read() may be called from any thread, and block. Writes are one at a time; write() returns
// after its commit is durable, or as base/durability.hpp has it. `work` may run on another thread than the caller's, never
// touches the Database itself, and does no other blocking work. A `work` that returns an error or throws leaves nothing behind.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/durability.hpp"
#include "base/result.hpp"

namespace ramet::store {

using Value = std::variant<std::monostate, std::int64_t, std::string>;  // NULL, INTEGER, TEXT
using Values = std::vector<Value>;

class Transaction {
public:
    virtual ~Transaction() = default;
    virtual Result<std::vector<Values>> query(std::string_view sql, const Values& parameters = {}) = 0;
    virtual Result<std::int64_t> execute(std::string_view sql, const Values& parameters = {}) = 0;  // rows changed
};

class Database {
public:
    using Work = std::function<Result<void>(Transaction&)>;
    virtual ~Database() = default;
    virtual Result<void> write(const Work& work, Durability durability) = 0;
    Result<void> write(const Work& work) { return write(work, Durability::at_once); }
    virtual Result<void> read(const Work& work) = 0;  // `work` may run more than once: it sets what it hands out, and adds nothing to it
    // The database's own opinion of its files and references, in the time it takes to read it once. Empty: sound.
    virtual Result<std::vector<std::string>> check() = 0;
};

// Runs `work` (Transaction& -> Result<T>) in a transaction and hands its value out.
template <class Function>
auto write(Database& database, const Function& work, Durability durability = Durability::at_once) -> decltype(work(std::declval<Transaction&>())) {
    using Outcome = decltype(work(std::declval<Transaction&>()));
    Outcome outcome = Error{ErrorCode::internal, "the transaction did not run", {}, nullptr, {}};
    const auto keep = [&](Transaction& transaction) -> Result<void> {
        outcome = work(transaction);
        if (!outcome.has_value()) return std::unexpected(outcome.error());
        return {};
    };
    const Result<void> committed = database.write(keep, durability);
    if (!committed.has_value()) return Outcome(Error(committed.error()));
    return outcome;
}

template <class Function>
auto read(Database& database, const Function& work) -> decltype(work(std::declval<Transaction&>())) {
    using Outcome = decltype(work(std::declval<Transaction&>()));
    Outcome outcome = Error{ErrorCode::internal, "the transaction did not run", {}, nullptr, {}};
    const Result<void> done = database.read([&](Transaction& transaction) -> Result<void> {
        outcome = work(transaction);
        if (!outcome.has_value()) return std::unexpected(outcome.error());
        return {};
    });
    if (!done.has_value()) return Outcome(Error(done.error()));
    return outcome;
}

}  // namespace ramet::store
