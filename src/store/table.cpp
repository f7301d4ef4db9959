#include "store/table.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace ramet::store::erased {
namespace {

struct TableSql {
    std::vector<const FieldInfo*> columns;  // in the order of the description
    const FieldInfo* key = nullptr;
    std::size_t key_place = 0;  // among the columns
    std::string insert, select, count, erase;
};

bool is_column(const FieldInfo& info) { return !info.rules.relation && !info.rules.transient; }

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::string parameter(std::size_t number) { return "$" + std::to_string(number); }

TableSql make_sql(const TypeInfo& type) {
    TableSql sql;
    std::string names;
    std::string parameters;
    for (const FieldInfo& info : type.fields) {
        if (!is_column(info)) continue;
        sql.columns.push_back(&info);
        names += (names.empty() ? "" : ", ") + quoted(info.name);
        parameters += (parameters.empty() ? "" : ", ") + parameter(sql.columns.size());
        if (!info.rules.primary) continue;
        sql.key = &info;
        sql.key_place = sql.columns.size() - 1;
    }
    const std::string table = quoted(type.table);
    sql.insert = "INSERT INTO " + table + " (" + names + ") VALUES (" + parameters + ")";
    sql.select = "SELECT " + names + " FROM " + table;
    sql.count = "SELECT count(*) FROM " + table;
    sql.erase = "DELETE FROM " + table;
    return sql;
}

// Descriptions live as long as the program, so their addresses are good keys.
const TableSql& sql_of(const TypeInfo& type) {
    static std::mutex mutex;
    static std::unordered_map<const TypeInfo*, std::unique_ptr<const TableSql>> made;
    const std::lock_guard lock(mutex);
    std::unique_ptr<const TableSql>& sql = made[&type];
    if (sql == nullptr) sql = std::make_unique<const TableSql>(make_sql(type));
    return *sql;
}

std::unexpected<Error> fault(const std::string& detail) {
    return fail(ErrorCode::internal, "the server asked its database for what cannot be; this is a fault of the server, see its log", detail);
}

Result<void> check_table(const TypeInfo& type, const TableSql& sql) {
    if (type.table.empty() || sql.key == nullptr) return fault(std::string(type.name) + " is not described as a row with a key");
    return {};
}

bool speaks_text(Scalar scalar) { return scalar == Scalar::text || scalar == Scalar::id || scalar == Scalar::enumeration; }

Value list_value(const FieldInfo& info, void* member) {
    boost::json::array items;
    for (std::size_t i = 0; i < info.count(member); ++i) items.emplace_back(boost::json::string_view(info.text(info.item(member, i))));
    return boost::json::serialize(items);
}

Value column_value(const FieldInfo& info, const void* row) {
    void* const member = info.member(const_cast<void*>(row));  // descriptions address members of rows they may also fill
    if (info.shape == Shape::list) return list_value(info, member);
    if (info.count(member) == 0) return std::monostate{};
    const void* const item = info.item(member, 0);
    if (speaks_text(info.scalar)) return std::string(info.text(item));
    return info.number(item);
}

void read_list(const FieldInfo& info, std::string_view text, void* member) {
    boost::system::error_code problem;
    const boost::json::value parsed = boost::json::parse(text, problem);
    if (problem || !parsed.is_array()) return;
    for (const boost::json::value& item : parsed.get_array()) {
        if (!item.is_string()) continue;
        info.set_text(info.append(member), std::string_view(item.get_string().data(), item.get_string().size()));
    }
}

void read_column(const FieldInfo& info, const Value& value, void* row) {
    void* const member = info.member(row);
    info.clear(member);
    if (const auto* text = std::get_if<std::string>(&value)) {
        if (info.shape == Shape::list) {
            read_list(info, *text, member);
        } else if (speaks_text(info.scalar)) {
            info.set_text(info.append(member), *text);
        }
    } else if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && info.set_number != nullptr && info.shape != Shape::list) {
        info.set_number(info.append(member), *number);
    }
}

Values row_values(const TableSql& sql, const void* row) {
    Values values;
    values.reserve(sql.columns.size());
    for (const FieldInfo* info : sql.columns) values.push_back(column_value(*info, row));
    return values;
}

// " WHERE ..." and its parameters; columns that the row does not have are refused here, not by the database.
Result<std::string> where_clause(const TypeInfo& type, const Matches& matches, Values& parameters) {
    std::string clause;
    for (const auto& [column, value] : matches) {
        const FieldInfo* const info = type.find(column);
        if (info == nullptr || !is_column(*info)) return fault(std::string(type.name) + " has no column " + std::string(column));
        clause += clause.empty() ? " WHERE " : " AND ";
        clause += quoted(column);
        if (std::holds_alternative<std::monostate>(value)) {
            clause += " IS NULL";
        } else {
            parameters.push_back(value);
            clause += " = " + parameter(parameters.size());
        }
    }
    return clause;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(' ');
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// "createDate desc, uuid" becomes `"createDate" DESC, "uuid"`.
Result<std::string> order_clause(const TypeInfo& type, const TableSql& sql, std::string_view order_by) {
    if (order_by.empty()) return " ORDER BY " + quoted(sql.key->name);
    std::string clause;
    while (!order_by.empty()) {
        const std::size_t comma = std::min(order_by.find(','), order_by.size());
        const std::string_view part = trimmed(order_by.substr(0, comma));
        order_by.remove_prefix(std::min(comma + 1, order_by.size()));
        const std::size_t blank = std::min(part.find(' '), part.size());
        const std::string_view column = part.substr(0, blank);
        const std::string_view direction = trimmed(part.substr(blank));
        const bool down = direction == "desc" || direction == "DESC";
        const FieldInfo* const info = type.find(column);
        if (info == nullptr || !is_column(*info) || !(down || direction.empty() || direction == "asc" || direction == "ASC")) {
            return fault(std::string(type.name) + " cannot be ordered by '" + std::string(part) + "'");
        }
        clause += (clause.empty() ? " ORDER BY " : ", ") + quoted(column) + (down ? " DESC" : "");
    }
    return clause;
}

}  // namespace

Result<void> insert(Transaction& transaction, const TypeInfo& type, const void* row) {
    const TableSql& sql = sql_of(type);
    TRY(check_table(type, sql));
    TRY(transaction.execute(sql.insert, row_values(sql, row)));
    return {};
}

// Only what differs is written: a database rewrites every index whose column is set, to the same value too, and most changes
// of a row with a dozen indexes touch two columns of it.
Result<void> update(Transaction& transaction, const TypeInfo& type, const void* row) {
    const TableSql& sql = sql_of(type);
    TRY(check_table(type, sql));
    Values wanted = row_values(sql, row);
    const Value key = wanted[sql.key_place];
    const std::string where = " WHERE " + quoted(sql.key->name) + " = ";
    TRY_ASSIGN(const std::vector<Values> present, transaction.query(sql.select + where + "$1", {key}));
    if (present.empty()) {
        const auto* const text = std::get_if<std::string>(&key);
        const std::string uuid = text == nullptr ? "" : *text;
        return fail(ErrorCode::not_found, "there is no " + std::string(type.name) + " with uuid '" + uuid + "'; check the uuid");
    }
    std::string settings;
    Values parameters;
    for (std::size_t place = 0; place < wanted.size(); ++place) {
        if (wanted[place] == present.front()[place]) continue;
        parameters.push_back(std::move(wanted[place]));
        settings += (settings.empty() ? "" : ", ") + quoted(sql.columns[place]->name) + " = " + parameter(parameters.size());
    }
    if (parameters.empty()) return {};
    parameters.push_back(key);
    TRY(transaction.execute("UPDATE " + quoted(type.table) + " SET " + settings + where + parameter(parameters.size()), parameters));
    return {};
}

Result<std::int64_t> erase(Transaction& transaction, const TypeInfo& type, const Matches& matches) {
    const TableSql& sql = sql_of(type);
    TRY(check_table(type, sql));
    if (matches.empty()) return fault("erasing every " + std::string(type.name) + " is never meant: name what to match");
    Values parameters;
    TRY_ASSIGN(const std::string where, where_clause(type, matches, parameters));
    return transaction.execute(sql.erase + where, parameters);
}

Result<void> select(Transaction& transaction, const TypeInfo& type, const Matches& matches, std::string_view order_by,
                    const std::function<void*()>& append) {
    const TableSql& sql = sql_of(type);
    TRY(check_table(type, sql));
    Values parameters;
    TRY_ASSIGN(const std::string where, where_clause(type, matches, parameters));
    TRY_ASSIGN(const std::string order, order_clause(type, sql, order_by));
    TRY_ASSIGN(const std::vector<Values> rows, transaction.query(sql.select + where + order, parameters));
    for (const Values& values : rows) read_columns(type, values, 0, append());
    return {};
}

Result<std::int64_t> count(Transaction& transaction, const TypeInfo& type, const Matches& matches) {
    const TableSql& sql = sql_of(type);
    TRY(check_table(type, sql));
    Values parameters;
    TRY_ASSIGN(const std::string where, where_clause(type, matches, parameters));
    TRY_ASSIGN(const std::vector<Values> rows, transaction.query(sql.count + where, parameters));
    return std::get<std::int64_t>(rows.at(0).at(0));
}

std::string column_list(const TypeInfo& type, std::string_view alias) {
    std::string list;
    for (const FieldInfo* info : sql_of(type).columns) {
        list += list.empty() ? "" : ", ";
        if (!alias.empty()) list += std::string(alias) + ".";
        list += quoted(info->name);
    }
    return list;
}

void read_columns(const TypeInfo& type, const Values& values, std::size_t first, void* row) {
    const TableSql& sql = sql_of(type);
    for (std::size_t i = 0; i < sql.columns.size(); ++i) read_column(*sql.columns[i], values.at(first + i), row);
}

}  // namespace ramet::store::erased
