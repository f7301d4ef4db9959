#include <algorithm>

#include "base/limits.hpp"
#include "identity/accounts.hpp"
#include "model/resources.hpp"
#include "query/expansion.hpp"
#include "query/query.hpp"
#include "query/values.hpp"
#include "query/visibility.hpp"
#include "store/table.hpp"

namespace ramet::query {
namespace {

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::string_view key_column(const TypeInfo& row) {
    for (const FieldInfo& field : row.fields)
        if (field.rules.primary) return field.name;
    return "uuid";
}

constexpr std::size_t kGivenValuesMax = 30'000;  // SQLite takes 32 766 parameters in one statement

// Columns that a caller may name. Computed fields are columns of given rows alone, lists of none; internal ones are nobody's business.
bool is_column(const FieldInfo& field, bool of_given_rows) {
    if (field.rules.internal || field.rules.secret || field.rules.relation || field.scalar == Scalar::object) return false;
    return of_given_rows ? field.shape != Shape::list : !field.rules.transient;
}

const FieldInfo* find_column(const TypeInfo& row, std::string_view name, bool of_given_rows) {
    const FieldInfo* const field = row.find(name);
    return field != nullptr && is_column(*field, of_given_rows) ? field : nullptr;
}

store::Value value_of(const FieldInfo& field, const void* row) {
    void* const member = field.member(const_cast<void*>(row));  // descriptions address members of rows they may also fill
    if (field.count(member) == 0) return std::monostate{};
    const void* const item = field.item(member, 0);
    if (field.text != nullptr) return std::string(field.text(item));
    return field.number(item);
}

std::string lower_case(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
}

std::unexpected<Error> no_such_field(const TypeInfo& row, std::string_view name, const std::string& shown) {
    const std::string where = "in '" + shown.substr(0, 256) + "': '" + std::string(name.substr(0, 128)) + "'";
    const std::string type = std::string(row.name) + "Inventory";
    if (is_computed(row, name))
        return fail(ErrorCode::bad_query,
                    where + " of " + type + " is computed when it is read; search and sort by it in the list of " + type + " itself");
    if (row.find(name) != nullptr && row.find(name)->rules.transient)
        return fail(ErrorCode::bad_query, where + " of " + type + " is made when it is read and cannot be searched or sorted by");
    return fail(ErrorCode::bad_query, where + " is not a field of " + type + " that can be searched or sorted by");
}

std::vector<std::string_view> split_dots(std::string_view name) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t dot = name.find('.');
        parts.push_back(name.substr(0, dot));
        if (dot == std::string_view::npos) return parts;
        name.remove_prefix(dot + 1);
    }
}

class Compiler {
public:
    Compiler(const TypeInfo& row, const identity::Caller& caller) : row_(row), caller_(caller) {}
    Compiler(const TypeInfo& row, const identity::Caller& caller, std::span<const void* const> given) : row_(row), caller_(caller), given_(given) {}
    Result<Statement> run(const Parameters& parameters);

private:
    // A condition on rows of `row` under `alias`; `parts` from `index` on lead to the column.
    Result<std::string> condition(const TypeInfo& row, const std::string& alias, std::span<const std::string_view> parts, const Condition& wanted);
    Result<std::string> tag_condition(const TypeInfo& row, const std::string& alias, const TypeInfo& tags, const Condition& wanted);
    // `inner` says SQL about rows under the alias it is given.
    template <class Inner>
    Result<std::string> hop_condition(const std::string& alias, const Hop& hop, const Inner& inner);
    Result<std::string> hops_condition(const std::string& alias, std::span<const Hop> hops, std::span<const std::string_view> rest,
                                       const Condition& wanted);
    Result<std::string> order(const std::string& sort);
    std::string visible(const TypeInfo& row, const std::string& alias);
    Result<std::string> source();  // what is searched, as SQL

    const TypeInfo& row_;
    const identity::Caller& caller_;
    std::optional<std::span<const void* const>> given_;  // absent: the rows of the table
    Binder binder_;
    std::string account_;  // the parameter that holds the caller's account, once it is needed
    int aliases_ = 0;
};

std::string Compiler::visible(const TypeInfo& row, const std::string& alias) {
    if (caller_.admin) return {};
    const std::string next = account_.empty() ? "$" + std::to_string(binder_.count() + 1) : account_;
    std::string sql = visible_rows(row, alias, caller_, next);
    if (account_.empty() && sql.find(next) != std::string::npos) account_ = binder_.bind(caller_.account.text());  // bound only where it is used
    return sql;
}

template <class Inner>
Result<std::string> Compiler::hop_condition(const std::string& alias, const Hop& hop, const Inner& inner) {
    const std::string next = "n" + std::to_string(++aliases_);
    TRY_ASSIGN(const std::string what, inner(next));
    std::string sql = alias + "." + quoted(hop.from) + " IN (SELECT " + next + "." + quoted(hop.to) + " FROM " + quoted(hop.target->table) + " " +
                      next + " WHERE " + what;
    if (const std::string seen = visible(*hop.target, next); !seen.empty()) sql += " AND " + seen;
    return sql + ")";
}

Result<std::string> Compiler::hops_condition(const std::string& alias, std::span<const Hop> hops, std::span<const std::string_view> rest,
                                             const Condition& wanted) {
    const Hop& hop = hops.front();
    return hop_condition(alias, hop, [&](const std::string& next) {
        return hops.size() == 1 ? condition(*hop.target, next, rest, wanted) : hops_condition(next, hops.subspan(1), rest, wanted);
    });
}

Result<std::string> Compiler::tag_condition(const TypeInfo& row, const std::string& alias, const TypeInfo& tags, const Condition& wanted) {
    if (row.vo_type.empty()) return no_such_field(row, wanted.name, wanted.name);
    const Positive positive = positive_form(wanted.op);
    const FieldInfo& tag = *tags.find("tag");
    const std::string next = "n" + std::to_string(++aliases_);
    std::string sql = alias + "." + quoted(key_column(row)) + (positive.negated ? " NOT IN" : " IN") + " (SELECT " + next +
                      ".\"resourceUuid\" FROM " + quoted(tags.table) + " " + next + " WHERE " + next +
                      ".\"resourceType\" = " + binder_.bind(std::string(row.vo_type));
    if (positive.op != Operator::not_null) {
        TRY_ASSIGN(const std::string matching, column_condition(tag, next + ".\"tag\"", positive.op, wanted.value, wanted.name, binder_));
        sql += " AND " + matching;
    }
    return sql + ")";
}

Result<std::string> Compiler::condition(const TypeInfo& row, const std::string& alias, std::span<const std::string_view> parts,
                                        const Condition& wanted) {
    const std::string_view name = parts.front();
    if (parts.size() > 1) {
        const std::vector<Hop>* const hops = find_expansion(row, name);
        if (hops == nullptr) return no_such_field(row, name, wanted.name);
        return hops_condition(alias, *hops, parts.subspan(1), wanted);
    }
    if (name == "__systemTag__") return tag_condition(row, alias, describe<SystemTag>(), wanted);
    if (name == "__userTag__") return tag_condition(row, alias, describe<UserTag>(), wanted);
    if (const ListColumn* const list = find_list_column(row, name)) {
        const FieldInfo& field = *list->hop.target->find(list->column);
        return hop_condition(alias, list->hop, [&](const std::string& next) {
            return column_condition(field, next + "." + quoted(list->column), wanted.op, wanted.value, wanted.name, binder_);
        });
    }
    const FieldInfo* const field = find_column(row, name, given_ && &row == &row_);
    if (field == nullptr) return no_such_field(row, name, wanted.name);
    const std::string column = alias + "." + quoted(name);
    // A table's texts are compared ignoring case by their columns; given ones have no columns that would know.
    if (given_ && field->scalar == Scalar::text)
        return column_condition(*field, "lower(" + column + ")", wanted.op, lower_case(wanted.value), wanted.name, binder_);
    return column_condition(*field, column, wanted.op, wanted.value, wanted.name, binder_);
}

Result<std::string> Compiler::order(const std::string& sort) {
    const std::string key = "t." + quoted(key_column(row_));
    if (sort.empty()) return " ORDER BY " + key;
    const bool descending = sort.front() == '-';
    // A bare `+` of a query string arrives as a blank.
    const std::string name = sort.front() == '-' || sort.front() == '+' || sort.front() == ' ' ? sort.substr(1) : sort;
    if (find_column(row_, name, given_.has_value()) == nullptr) return no_such_field(row_, name, "sort=" + sort);
    const std::string direction = descending ? " DESC" : " ASC";
    if (name == key_column(row_)) return " ORDER BY " + key + direction;
    return " ORDER BY t." + quoted(name) + direction + ", " + key + " ASC";  // the tie-break keeps pages from overlapping
}

Result<std::string> Compiler::source() {
    if (!given_ && row_.table.empty()) return fail(ErrorCode::internal, "this list cannot be searched", std::string(row_.name) + " has no table");
    if (!given_) return quoted(row_.table);
    std::vector<const FieldInfo*> columns;
    for (const FieldInfo& field : row_.fields)
        if (is_column(field, true)) columns.push_back(&field);
    if (columns.size() * given_->size() > kGivenValuesMax)
        return fail(ErrorCode::bad_query, "too many rows to search or sort by a field that is computed; narrow them down by other conditions");
    std::string names, values;
    for (std::size_t i = 0; i < columns.size(); ++i)
        names += (i == 0 ? "" : ", ") + ("column" + std::to_string(i + 1)) + " AS " + quoted(columns[i]->name);
    for (const void* const row : *given_) {
        values += values.empty() ? "(" : ", (";
        for (std::size_t i = 0; i < columns.size(); ++i) values += (i == 0 ? "" : ", ") + binder_.bind(value_of(*columns[i], row));
        values += ")";
    }
    return "(SELECT " + names + " FROM (VALUES " + values + ") v)";
}

Result<Statement> Compiler::run(const Parameters& parameters) {
    if (parameters.conditions.size() > limits::kQueryConditionsMax) {
        return fail(ErrorCode::bad_query,
                    "the query has more than " + std::to_string(limits::kQueryConditionsMax) + " conditions; ask in several queries");
    }
    std::vector<std::string> unique = parameters.conditions;
    std::sort(unique.begin(), unique.end());
    unique.erase(std::unique(unique.begin(), unique.end()), unique.end());

    std::vector<std::string> clauses;
    if (std::string seen = visible(row_, "t"); !seen.empty()) clauses.push_back(std::move(seen));
    if (parameters.uuid) clauses.push_back("t." + quoted(key_column(row_)) + " = " + binder_.bind(*parameters.uuid));
    for (const std::string& text : unique) {
        TRY_ASSIGN(const Condition wanted, parse_condition(text));
        const std::vector<std::string_view> parts = split_dots(wanted.name);
        if (parts.size() > limits::kQueryNestingMax + 1) {
            return fail(ErrorCode::bad_query,
                        "'" + wanted.name.substr(0, 256) + "' has more than " + std::to_string(limits::kQueryNestingMax) + " dots");
        }
        TRY_ASSIGN(std::string clause, condition(row_, "t", parts, wanted));
        clauses.push_back(std::move(clause));
    }

    const std::int64_t limit = parameters.limit.value_or(limits::kQueryLimitDefault);
    if (limit < 0 || parameters.start < 0) return fail(ErrorCode::bad_query, "limit and start must not be negative");
    TRY_ASSIGN(const std::string order_by, order(parameters.sort));

    TRY_ASSIGN(const std::string rows, source());
    std::string from = " FROM " + rows + " t";
    for (std::size_t i = 0; i < clauses.size(); ++i) from += (i == 0 ? " WHERE " : " AND ") + clauses[i];
    Statement statement;
    statement.values = binder_.take();
    statement.select_values = statement.values;
    const std::string next = std::to_string(statement.values.size() + 1);
    const std::string after = std::to_string(statement.values.size() + 2);
    statement.count_sql = "SELECT COUNT(*)" + from;
    const std::string wanted_columns = given_ ? "t." + quoted(key_column(row_)) : store::erased::column_list(row_, "t");
    statement.select_sql = "SELECT " + wanted_columns + from + order_by + " LIMIT $" + next + " OFFSET $" + after;
    statement.select_values.emplace_back(std::min(limit, limits::kQueryLimitMax));
    statement.select_values.emplace_back(parameters.start);
    return statement;
}

}  // namespace

Result<Statement> compile(const TypeInfo& row, const Parameters& parameters, const identity::Caller& caller) {
    return Compiler(row, caller).run(parameters);
}

Result<Statement> compile_given(const TypeInfo& row, std::span<const void* const> rows, const Parameters& parameters) {
    if (rows.empty()) return fail(ErrorCode::internal, "there is nothing to search", "no rows are given");
    const identity::Caller all_seeing = identity::admin_caller();
    return Compiler(row, all_seeing, rows).run(parameters);
}

bool is_computed(const TypeInfo& row, std::string_view name) {
    const FieldInfo* const field = row.find(name);
    return field != nullptr && field->rules.transient && field->scalar == Scalar::integer && field->shape != Shape::list;
}

}  // namespace ramet::query
