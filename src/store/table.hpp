// Rows of described structs in and out of tables. The struct's TypeInfo names the table (`table`), the key (`primary`) and
// the columns (every field that is no relation and not transient; the column bears the field's wire name).
// Fields of list shape of plain text are stored as one JSON array column.
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/describe.hpp"
#include "store/database.hpp"

namespace ramet::store {

using Match = std::pair<std::string_view, Value>;  // column (wire name) equals value; NULL matches NULL
using Matches = std::vector<Match>;

namespace erased {
Result<void> insert(Transaction&, const TypeInfo&, const void* row);
Result<void> update(Transaction&, const TypeInfo&, const void* row);  // not_found when the key is absent
Result<std::int64_t> erase(Transaction&, const TypeInfo&, const Matches&);
// Rows ordered by `order_by` (columns, comma separated, from our own code) or by key.
Result<void> select(Transaction&, const TypeInfo&, const Matches&, std::string_view order_by, const std::function<void*()>& append);
Result<std::int64_t> count(Transaction&, const TypeInfo&, const Matches&);
// "SELECT" column list and row reader for callers that build their own statement (the query engine).
std::string column_list(const TypeInfo&, std::string_view alias);
void read_columns(const TypeInfo&, const Values& values, std::size_t first, void* row);
}  // namespace erased

template <class T>
Result<void> insert(Transaction& transaction, const T& row) {
    return erased::insert(transaction, describe<T>(), &row);
}

template <class T>
Result<void> update(Transaction& transaction, const T& row) {
    return erased::update(transaction, describe<T>(), &row);
}

template <class T>
Result<std::vector<T>> list(Transaction& transaction, const Matches& matches = {}, std::string_view order_by = {}) {
    std::vector<T> rows;
    TRY(erased::select(transaction, describe<T>(), matches, order_by, [&]() -> void* { return &rows.emplace_back(); }));
    return rows;
}

template <class T>
Result<std::optional<T>> find(Transaction& transaction, const Matches& matches) {
    TRY_ASSIGN(std::vector<T> rows, list<T>(transaction, matches));
    if (rows.empty()) return std::optional<T>{};
    return std::optional<T>{std::move(rows.front())};
}

// The row with this key, or not_found naming the resource type and uuid.
template <class T>
Result<T> get(Transaction& transaction, std::string_view key) {
    const TypeInfo& info = describe<T>();
    for (const FieldInfo& candidate : info.fields) {
        if (!candidate.rules.primary) continue;
        TRY_ASSIGN(std::optional<T> row, find<T>(transaction, {{candidate.name, Value{std::string(key)}}}));
        if (row) return std::move(*row);
    }
    return fail(ErrorCode::not_found, "there is no " + std::string(info.name) + " with uuid '" + std::string(key) + "'; check the uuid");
}

template <class T>
Result<std::int64_t> erase(Transaction& transaction, const Matches& matches) {
    return erased::erase(transaction, describe<T>(), matches);
}

template <class T>
Result<std::int64_t> count(Transaction& transaction, const Matches& matches) {
    return erased::count(transaction, describe<T>(), matches);
}

}  // namespace ramet::store
