// What can be wrong with one statement of a transaction.
#include <algorithm>
#include <array>

#include "simulation/generated.hpp"

namespace ramet::sim {

namespace {

constexpr std::string_view kNotWritten = "a row is not written";
constexpr std::string_view kNotDeleted = "a row is not deleted";
constexpr std::string_view kNotChanged = "a row is not changed";
constexpr std::string_view kTwice = "a row is written twice";
constexpr std::string_view kAnotherRow = "another row is changed";
constexpr std::string_view kAnotherGone = "another row is deleted";
constexpr std::string_view kColumnStays = "a column is not changed";
constexpr std::string_view kColumnWrong = "a column is written wrong";

constexpr std::string_view kNoConstraint = "a unique constraint is missing";
constexpr std::string_view kRowLost = "a row is lost in the end";
constexpr std::string_view kLeaseForgotten = "a lease is not ended";

// The columns that no two rows may share, in the tables that scenarios write.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kUnique{
    {{"vm_nic", "mac"}, {"vm_nic", "internalName"}, {"used_ip", "ip"}, {"layer", "path"}}};

// Ways in which a value is wrong beside being another row's. After the column's name.
constexpr std::string_view kHuge = "/huge";        // a host is asked for more than it has
constexpr std::string_view kOutside = "/outside";  // of the storage
constexpr std::string_view kNumber = "/number";    // in a report
constexpr std::string_view kUuid = "/uuid ";       // likewise: the n-th that it names
constexpr std::size_t kUuidsOfAReport = 4;

// Times that nobody acts on, and texts and numbers for people. What is measured is one of them.
bool is_for_people(std::string_view column) {
    constexpr std::array kColumns{"createDate", "lastOpDate", "startDate", "description", "progress", "detail", "actualSize", "takenMs"};
    return std::ranges::find(kColumns, column) != kColumns.end();
}

// Events are what people read of the past. Of a job's log there are the states: what else is in it only a recovery reads, and kills.cpp and
// calls.cpp have those.
bool is_worth_it(const std::string& table, std::string_view column) {
    if (table == "event") return false;
    if (table == "job_step" && column != "status") return false;
    return !is_for_people(column);
}

Result<std::optional<store::Value>> one_value(store::Transaction& inner, const std::string& sql, const store::Values& parameters) {
    TRY_ASSIGN(const std::vector<store::Values> rows, inner.query(sql, parameters));
    if (rows.empty()) return std::optional<store::Value>();
    return std::optional(rows.front().at(0));
}

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

bool is_hexadecimal(const std::string& text) { return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

// The report with one number or one uuid in it that is another; the same text: there is none.
std::string wrong_report(std::string report, const std::string& way) {
    if (way == kNumber) {
        const std::size_t number = report.find_first_of("0123456789", report.find("\"numberOf"));
        if (report.find("\"numberOf") != std::string::npos && number != std::string::npos) report[number] = report[number] == '7' ? '8' : '7';
        return report;
    }
    std::size_t left = std::stoul(way.substr(kUuid.size()));
    std::vector<std::string> seen;
    for (std::size_t at = 0; at + 32 <= report.size(); ++at) {
        const std::string word = report.substr(at, 32);
        if (!is_hexadecimal(word) || std::ranges::find(seen, word) != seen.end()) continue;
        if (left-- == 0) {
            for (std::size_t place = report.find(word); place != std::string::npos; place = report.find(word))
                report.replace(place, 32, std::string(32, 'e'));
            return report;
        }
        seen.push_back(word);
    }
    return report;
}

// Another value of the same kind: that of another row, if there is one.
Result<store::Value> another_value(store::Transaction& inner, const Statement& statement, const std::string& column, const store::Value& right) {
    const std::string from = "SELECT " + quoted(column) + " FROM " + quoted(statement.table) + " WHERE " + quoted(column) + " IS NOT NULL AND " +
                             quoted(column) + " <> $1 LIMIT 1";
    TRY_ASSIGN(const std::optional<store::Value> anothers, one_value(inner, from, {right}));
    if (anothers) return *anothers;
    if (const auto* number = std::get_if<std::int64_t>(&right)) return store::Value{*number == 1 ? 0 : *number + 1};
    const auto& text = std::get<std::string>(right);
    return store::Value{is_hexadecimal(text) ? std::string(32, 'e') : text + "x"};
}

Result<std::int64_t> write_twice(const Statement& statement, store::Transaction& inner, std::string_view sql, store::Values parameters) {
    TRY(inner.execute(sql, parameters));
    for (std::size_t place = 0; place < statement.columns.size(); ++place)
        if (statement.columns[place] == "uuid") parameters[place] = std::string(32, 'd');
    return inner.execute(sql, parameters);
}

// The last parameter is the key of the row; another one of the table is taken.
Result<std::int64_t> do_to_another_row(const Statement& statement, store::Transaction& inner, std::string_view sql, store::Values parameters,
                                       bool& nothing) {
    const std::string other =
        "SELECT " + quoted(statement.key) + " FROM " + quoted(statement.table) + " WHERE " + quoted(statement.key) + " <> $1 ORDER BY 1 LIMIT 1";
    TRY_ASSIGN(const std::optional<store::Value> key, one_value(inner, other, {parameters.back()}));
    nothing = !key;
    if (!key) return inner.execute(sql, parameters);
    parameters.back() = *key;
    return inner.execute(sql, parameters);
}

}  // namespace

Statement parse_statement(std::string_view sql) {
    std::vector<std::string> names;
    for (std::size_t at = sql.find('"'); at != std::string_view::npos; at = sql.find('"', at)) {
        const std::size_t end = sql.find('"', at + 1);
        if (end == std::string_view::npos) break;
        names.emplace_back(sql.substr(at + 1, end - at - 1));
        at = end + 1;
    }
    const auto begins = [&](std::string_view with) { return sql.starts_with(with); };
    if (names.empty()) return {};
    Statement statement{std::string(sql.substr(0, sql.find(' '))), names.front(), {}, {}};
    if (begins("INSERT INTO \"")) {
        statement.columns.assign(names.begin() + 1, names.end());
    } else if (begins("UPDATE \"") && names.size() > 2) {
        statement.key = names.back();
        statement.columns.assign(names.begin() + 1, names.end() - 1);
    } else if (begins("DELETE FROM \"") && names.size() == 2) {
        statement.key = names.back();
    } else {
        return {};
    }
    return statement;
}

std::vector<std::string> columns_worth_it(const Statement& statement, const store::Values& parameters) {
    std::vector<std::string> found;
    for (std::size_t place = 0; place < statement.columns.size() && place < parameters.size(); ++place) {
        const bool has_value = !std::holds_alternative<std::monostate>(parameters[place]);
        if (is_worth_it(statement.table, statement.columns[place]) && (has_value || statement.verb == "UPDATE"))
            found.push_back(statement.columns[place]);
    }
    return found;
}

std::vector<Bug> statement_bugs(std::size_t base, const Event& event) {
    std::vector<Bug> bugs;
    const auto add = [&](std::string_view kind, std::string detail = {}) { bugs.push_back({base, event, kind, std::move(detail)}); };
    const std::string verb = event.site.substr(0, event.site.find(' '));
    if (verb == "DELETE") {
        add(kNotDeleted);
        add(kAnotherGone);
        return bugs;
    }
    if (event.columns.empty()) return bugs;
    add(verb == "INSERT" ? kNotWritten : kNotChanged);
    add(verb == "INSERT" ? kTwice : kAnotherRow);
    if (verb == "INSERT") add(kRowLost);
    if (event.site == "INSERT vm_instance") add(kLeaseForgotten);
    for (const auto& [table, column] : kUnique)
        if (event.site == "INSERT " + std::string(table)) add(kNoConstraint, std::string(column));
    for (const std::string& column : event.columns) {
        if (verb == "UPDATE") add(kColumnStays, column);
        add(kColumnWrong, column);
        if (event.site == "INSERT vm_instance" && (column == "cpuNum" || column == "memorySize")) add(kColumnWrong, column + std::string(kHuge));
        if (event.site == "INSERT layer" && column == "path") add(kColumnWrong, column + std::string(kOutside));
        if (event.site != "UPDATE job" || column != "result") continue;
        add(kColumnWrong, column + std::string(kNumber));
        for (std::size_t i = 0; i < kUuidsOfAReport; ++i) add(kColumnWrong, column + std::string(kUuid) + std::to_string(i));
    }
    return bugs;
}

Result<std::int64_t> do_wrongly(const Bug& bug, const Statement& statement, store::Transaction& inner, std::string_view sql,
                                const store::Values& parameters, bool& nothing) {
    if (bug.kind == kNotWritten || bug.kind == kNotDeleted || bug.kind == kNotChanged) return 1;
    if (bug.kind == kTwice) return write_twice(statement, inner, sql, parameters);
    if (bug.kind == kAnotherRow || bug.kind == kAnotherGone) return do_to_another_row(statement, inner, sql, parameters, nothing);
    const std::size_t slash = std::min(bug.detail.find('/'), bug.detail.size());
    const std::string name = bug.detail.substr(0, slash);
    const std::string way = bug.detail.substr(slash);
    const auto column = std::ranges::find(statement.columns, name);
    if (column == statement.columns.end()) return inner.execute(sql, parameters);
    store::Values wrong = parameters;
    store::Value& value = wrong.at(static_cast<std::size_t>(column - statement.columns.begin()));
    constexpr std::int64_t kTooMuch = 1'000'000;
    if (bug.kind == kColumnStays) {
        const std::string present = "SELECT " + quoted(name) + " FROM " + quoted(statement.table) + " WHERE " + quoted(statement.key) + " = $1";
        TRY_ASSIGN(const std::optional<store::Value> old, one_value(inner, present, {parameters.back()}));
        if (old) value = *old;
    } else if (way == kHuge) {
        value = std::get<std::int64_t>(value) * kTooMuch;
    } else if (way == kOutside) {
        value = "../" + std::get<std::string>(value);
    } else if (!way.empty()) {
        value = wrong_report(std::get<std::string>(value), way);
    } else if (!std::holds_alternative<std::monostate>(value)) {
        TRY_ASSIGN(value, another_value(inner, statement, name, value));
    }
    nothing = wrong == parameters;
    return inner.execute(sql, wrong);
}

}  // namespace ramet::sim
