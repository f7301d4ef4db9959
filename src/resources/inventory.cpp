#include "resources/inventory.hpp"

#include "api/json.hpp"
#include "resources/computed_fields.hpp"
#include "resources/computed_query.hpp"
#include "resources/row_set.hpp"
#include "store/table.hpp"

namespace ramet::resources {
namespace {

using Schema = std::vector<std::pair<std::string, std::string>>;

void append_schema_member(std::string& out, const Schema& schema) {
    out += ",\"schema\":{";
    for (std::size_t i = 0; i < schema.size(); ++i) {
        if (i > 0) out += ',';
        api::append_json_string(out, schema[i].first);
        out += ':';
        api::append_json_string(out, schema[i].second);
    }
    out += '}';
}

Result<std::int64_t> read_total(store::Transaction& transaction, const query::Statement& statement) {
    TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(statement.count_sql, statement.values));
    const auto* const total = rows.empty() || rows.front().empty() ? nullptr : std::get_if<std::int64_t>(&rows.front().front());
    if (total == nullptr) return fail(ErrorCode::internal, "the rows could not be counted; see the server's log", "count returned no number");
    return *total;
}

struct Page {
    std::unique_ptr<RowSet> rows;
    RowsByType all;
    ComputedInputs inputs;
    std::int64_t total = 0;
};

Result<void> read_page(store::Transaction& transaction, const TypeInfo& row, const query::Statement& statement, const query::Parameters& parameters,
                       Page& page) {
    if (parameters.count || parameters.reply_with_count) {
        TRY_ASSIGN(page.total, read_total(transaction, statement));
        if (parameters.count) return {};
    }
    page.rows = make_row_set(row);
    page.all.clear();
    TRY_ASSIGN(const std::vector<store::Values> found, transaction.query(statement.select_sql, statement.select_values));
    for (const store::Values& values : found) store::erased::read_columns(row, values, 0, page.rows->append());
    TRY(fill_relations(transaction, row, page.rows->rows(), parameters.fields, page.all));
    TRY_ASSIGN(page.inputs, read_computed_inputs(transaction, page.all));
    return {};
}

std::string_view key_of(const TypeInfo& row) {
    for (const FieldInfo& field : row.fields)
        if (field.rules.primary) return field.name;
    return "uuid";
}

// Those of the complete `rows` that are wanted, in order.
Result<std::vector<void*>> choose(store::Transaction& transaction, const TypeInfo& row, const std::vector<void*>& rows,
                                  const query::Parameters& parameters, std::int64_t& total) {
    std::vector<void*> chosen;
    if (rows.empty()) return chosen;
    const std::vector<const void*> given(rows.begin(), rows.end());
    TRY_ASSIGN(const query::Statement statement, query::compile_given(row, given, parameters));
    TRY_ASSIGN(total, read_total(transaction, statement));
    const FieldInfo& key = *row.find(key_of(row));
    std::map<std::string, void*, std::less<>> by_key;
    for (void* const each : rows) by_key.emplace(key.text(key.item(key.member(each), 0)), each);
    TRY_ASSIGN(const std::vector<store::Values> found, transaction.query(statement.select_sql, statement.select_values));
    for (const store::Values& values : found) chosen.push_back(by_key.at(std::get<std::string>(values.at(0))));
    return chosen;
}

std::string count_body(std::int64_t total) { return "{\"total\":" + std::to_string(total) + ",\"schema\":{}}"; }

std::string list_body(const TypeInfo& row, const std::vector<void*>& rows, const query::Parameters& parameters, std::int64_t total) {
    std::string out = "{\"inventories\":[";
    Schema schema;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (i > 0) out += ',';
        api::write_json(out, row, rows[i], api::Audience::wire, parameters.fields);
        api::append_schema(schema, "inventories[" + std::to_string(i) + "]", row, rows[i]);
    }
    out += ']';
    if (parameters.reply_with_count) out += ",\"total\":" + std::to_string(total);
    append_schema_member(out, schema);
    return out + "}";
}

Result<void> check_fields(const TypeInfo& row, const std::vector<std::string>& fields) {
    for (const std::string& name : fields) {
        const FieldInfo* const field = row.find(name);
        if (field != nullptr && !field->rules.internal) continue;
        return fail(ErrorCode::bad_query, "'" + name.substr(0, 128) + "' in fields is not a field of " + std::string(row.name) + "Inventory");
    }
    return {};
}

}  // namespace

Result<std::string> Inventory::query(const api::MessageInfo& message, const query::Parameters& parameters, const identity::Caller& caller) {
    const TypeInfo& row = message.query_row();
    TRY(check_fields(row, parameters.fields));
    if (const auto offered = offered_.find(&row); offered != offered_.end()) return query_offered(row, offered->second, parameters);
    TRY_ASSIGN(const std::optional<ComputedQuery> split, split_computed(row, parameters));
    const query::Parameters& stored = split ? split->of_stored : parameters;
    TRY_ASSIGN(const query::Statement statement, query::compile(row, stored, caller));
    Page page;
    page.rows = make_row_set(row);
    if (page.rows == nullptr)
        return fail(ErrorCode::internal, "this list cannot be read", std::string(row.name) + " is not registered in row_set.cpp");
    TRY(database_.read([&](store::Transaction& transaction) { return read_page(transaction, row, statement, stored, page); }));
    if (stored.count) return count_body(page.total);
    fill_computed(page.all, page.inputs, facts_);
    std::vector<void*> rows = page.rows->rows();
    if (split) {
        const auto wanted = [&](store::Transaction& transaction) { return choose(transaction, row, rows, split->of_computed, page.total); };
        TRY_ASSIGN(rows, store::read(database_, wanted));
    }
    return parameters.count ? count_body(page.total) : list_body(row, rows, parameters, page.total);
}

Result<std::string> Inventory::query_offered(const TypeInfo& row, const std::function<void(RowSet&)>& append_all,
                                             const query::Parameters& parameters) {
    const std::unique_ptr<RowSet> all = make_row_set(row);
    append_all(*all);
    std::int64_t total = 0;
    const auto wanted = [&](store::Transaction& transaction) { return choose(transaction, row, all->rows(), parameters, total); };
    TRY_ASSIGN(const std::vector<void*> rows, store::read(database_, wanted));
    return parameters.count ? count_body(total) : list_body(row, rows, parameters, total);
}

Result<void> Inventory::get_erased(const TypeInfo& row, std::string_view key, void* target) {
    RowsByType all;
    ComputedInputs inputs;
    const auto read = [&](store::Transaction& transaction) -> Result<void> {
        all.clear();
        std::string_view key_column = "uuid";
        for (const FieldInfo& field : row.fields)
            if (field.rules.primary) key_column = field.name;
        bool found = false;
        TRY(store::erased::select(transaction, row, {{key_column, store::Value{std::string(key)}}}, {}, [&]() -> void* {
            found = true;
            return target;
        }));
        if (!found)
            return fail(ErrorCode::not_found, "there is no " + std::string(row.name) + " with uuid '" + std::string(key) + "'; check the uuid");
        TRY(fill_relations(transaction, row, {target}, {}, all));
        TRY_ASSIGN(inputs, read_computed_inputs(transaction, all));
        return {};
    };
    TRY(database_.read(read));
    fill_computed(all, inputs, facts_);
    return {};
}

std::string Inventory::wrap(const TypeInfo& row, const void* value) {
    std::string out = "{\"inventory\":";
    api::write_json(out, row, value);
    return out + "}";
}

}  // namespace ramet::resources
