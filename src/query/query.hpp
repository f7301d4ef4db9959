// The query language (contract 6): parse `q` conditions, check them against the described rows and their expansions, compile to one SQL
// statement with the caller's visibility in it. Runs nothing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/describe.hpp"
#include "base/result.hpp"
#include "identity/caller.hpp"
#include "store/database.hpp"

namespace ramet::query {

struct Parameters {
    std::vector<std::string> conditions;  // each `q`, percent-decoded once
    std::optional<std::int64_t> limit;
    std::int64_t start = 0;
    std::string sort;                 // "+field", "-field", "field" or empty
    std::vector<std::string> fields;  // empty: all
    bool count = false;               // only the total
    bool reply_with_count = false;
    std::optional<std::string> uuid;  // GET /x/{uuid}
};

enum class Operator : std::uint8_t { not_equal, at_least, at_most, not_in, not_like, like, in, equal, greater, less, is_null, not_null };

struct Condition {
    std::string name;  // "vmNics.ip", "__systemTag__"
    Operator op;
    std::string value;
};

// malformed (HTTP 400) when there is no operator or no name.
Result<Condition> parse_condition(std::string_view text);

struct Statement {
    std::string select_sql;  // rows with store::erased::column_list(row, "t") columns
    std::string count_sql;
    store::Values values;  // $1..$n of the count; the select adds limit and start behind them
    store::Values select_values;
};

// bad_query names the row type and the field.
Result<Statement> compile(const TypeInfo& row, const Parameters& parameters, const identity::Caller& caller);

// The same of rows that are given instead of read, all of them the caller's to see: their values are in the statement, which answers with the
// keys of those that are wanted, in order. Fields that are computed when a row is read can be asked for too. Lists and relations cannot.
Result<Statement> compile_given(const TypeInfo& row, std::span<const void* const> rows, const Parameters& parameters);

// A number that no row holds: only compile_given can search and sort by it.
bool is_computed(const TypeInfo& row, std::string_view name);

}  // namespace ramet::query
