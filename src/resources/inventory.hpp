// Reads inventories as the API shows them: rows with their children and their computed fields.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "api/message.hpp"
#include "base/id.hpp"
#include "identity/caller.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"
#include "query/query.hpp"
#include "resources/row_set.hpp"
#include "store/database.hpp"

namespace ramet::resources {

// Physical facts that no row holds; asked outside of transactions.
struct PhysicalCapacity {
    std::int64_t total_bytes = 0;
    std::int64_t available_bytes = 0;
};
struct LiveFacts {
    std::function<PhysicalCapacity(const std::string& directory)> capacity;
    std::function<std::int64_t(const std::string& directory, const std::string& path)> allocated_bytes;
};

class Inventory {
public:
    Inventory(store::Database& database, LiveFacts facts) : database_(database), facts_(std::move(facts)) {}
    // The whole reply body of a query message: {"inventories":[...],"total":n,"schema":{...}}.
    Result<std::string> query(const api::MessageInfo& message, const query::Parameters& parameters, const identity::Caller& caller);
    // Rows of a type that has no table: `append_all` is asked at each query. Before the first query; every caller may see them.
    void offer(const TypeInfo& row, std::function<void(RowSet&)> append_all) { offered_[&row] = std::move(append_all); }
    // One complete row by key, as replies carry it (VM with NICs and volumes, storage with capacities, ...).
    template <class T>
    Result<T> get(std::string_view key) {
        T row{};
        TRY(get_erased(describe<T>(), key, &row));
        return row;
    }
    // {"inventory":{...}}; the edge adds "schema" when asked (api/reply_schema.hpp).
    template <class T>
    Result<std::string> reply(std::string_view key) {
        TRY_ASSIGN(T row, get<T>(key));
        return wrap(describe<T>(), &row);
    }

private:
    Result<std::string> query_offered(const TypeInfo& row, const std::function<void(RowSet&)>& append_all, const query::Parameters& parameters);
    Result<void> get_erased(const TypeInfo& row, std::string_view key, void* target);
    static std::string wrap(const TypeInfo& row, const void* value);
    store::Database& database_;
    LiveFacts facts_;
    std::map<const TypeInfo*, std::function<void(RowSet&)>> offered_;
};

}  // namespace ramet::resources
