// What the use cases of this folder have in common: one write transaction, checks inside it, then the inventory as the answer.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::resources {

// The uuid a create call asks for, or a new one. invalid_argument when it is not a UUID's 32 digits.
Result<std::string> uuid_or_new(std::string_view wanted);
template <class AnyId>
Result<AnyId> id_or_new(const std::optional<AnyId>& wanted) {
    TRY_ASSIGN(std::string text, uuid_or_new(wanted ? std::string_view(wanted->text()) : std::string_view()));
    return AnyId::trusted(std::move(text));
}

// The same for what a job makes: the job asked for again makes the same thing again.
template <class AnyId>
Result<AnyId> id_or_derived(const std::optional<AnyId>& wanted, const JobId& job, std::string_view name) {
    if (wanted) return id_or_new(wanted);
    return AnyId::derived(job.text(), name);
}

// For what gets its row later than its job: nobody may have the uuid already.
Result<void> require_free_uuid(store::Transaction& transaction, const std::string& uuid);

// Says that a uuid is taken in words of the request; other errors pass.
Error explain_conflict(Error error, std::string_view vo_type, std::string_view uuid);

inline bool asks_for_validation_only(const std::vector<std::string>& tags) {
    return std::find(tags.begin(), tags.end(), kValidationOnlyTag) != tags.end();
}

// Runs `work` in a write transaction; when it only validates, success takes back all that it wrote.
Result<void> write_or_validate(store::Database& database, bool validates_only, const store::Database::Work& work);

// The row, its owner and its tags.
template <class Row>
Result<void> insert_owned(store::Transaction& transaction, const identity::Caller& caller, const Row& row,
                          const std::vector<std::string>& system_tags, const std::vector<std::string>& user_tags, Timestamp now) {
    const std::string_view vo_type = describe<Row>().vo_type;
    const std::string& uuid = row.uuid.text();
    if (Result<void> inserted = store::insert(transaction, row); !inserted.has_value())
        return explain_conflict(std::move(inserted.error()), vo_type, uuid);
    if (Result<void> owned = identity::own(transaction, caller, uuid, vo_type); !owned.has_value())
        return explain_conflict(std::move(owned.error()), vo_type, uuid);
    TRY(add_system_tags(transaction, vo_type, uuid, system_tags, now, "systemTags", caller.admin));
    return add_user_tags(transaction, vo_type, uuid, user_tags, now, "userTags");
}

template <class Row>
Result<void> erase_owned(store::Transaction& transaction, const Row& row) {
    TRY(remove_tags_of(transaction, row.uuid.text()));
    TRY(identity::disown(transaction, row.uuid.text()));
    TRY(store::erase<Row>(transaction, {{"uuid", row.uuid.text()}}));
    return {};
}

// Makes a row in one transaction. `check` (Transaction& -> Result<void>) sees the state before; `after` adds what belongs to the row.
template <class Row, class Request, class Check, class After>
Result<std::string> create(Parts& parts, const identity::Caller& caller, Row& row, const Request& request, const Check& check, const After& after) {
    row.create_date = row.last_op_date = parts.clock.now();
    const bool validation_only = asks_for_validation_only(request.system_tags);
    TRY(write_or_validate(parts.database, validation_only, [&](store::Transaction& transaction) -> Result<void> {
        TRY(check(transaction));
        TRY(insert_owned(transaction, caller, row, request.system_tags, request.user_tags, row.create_date));
        return after(transaction);
    }));
    if (validation_only) return "{}";
    return parts.inventory.reply<Row>(row.uuid.text());
}
template <class Row, class Request, class Check>
Result<std::string> create(Parts& parts, const identity::Caller& caller, Row& row, const Request& request, const Check& check) {
    return create(parts, caller, row, request, check, [](store::Transaction&) -> Result<void> { return {}; });
}

// Reads the row, lets `change` (Row&, Transaction& -> Result<void>) alter it, writes it back.
template <class Row, class Change>
Result<std::string> alter(Parts& parts, std::string_view uuid, const Change& change) {
    const auto work = [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(Row row, store::get<Row>(transaction, uuid));
        TRY(change(row, transaction));
        row.last_op_date = parts.clock.now();
        return store::update(transaction, row);
    };
    TRY(parts.database.write(work));
    return parts.inventory.reply<Row>(uuid);
}

template <class Row, class Request>
Result<void> take_name_and_description(Row& row, const Request& request) {
    if (request.name && request.name->empty()) return fail(ErrorCode::invalid_argument, "name: must not be empty");
    if (request.name) row.name = *request.name;
    if (request.description) row.description = *request.description;
    return {};
}

template <class Row, class Request>
Result<std::string> rename(Parts& parts, const Request& request) {
    return alter<Row>(parts, request.uuid.text(), [&](Row& row, store::Transaction&) { return take_name_and_description(row, request); });
}

// "enable" and "disable"; anything else is `unsupported`, saying `instead`.
Result<Enablement> state_after(std::string_view event, std::string_view instead);

template <class Row, class Request>
Result<std::string> change_state(Parts& parts, const Request& request, std::string_view instead = {}) {
    return alter<Row>(parts, request.uuid.text(), [&](Row& row, store::Transaction&) -> Result<void> {
        TRY_ASSIGN(row.state, state_after(request.state_event, instead));
        return {};
    });
}

// Deletes a row with its owner and tags. A uuid that names nothing is success; `check` (const Row&, Transaction& -> Result<void>) may refuse
// and takes away what belongs to the row.
template <class Row, class Check>
Result<std::string> remove(Parts& parts, const decltype(Row::uuid)& uuid, const Check& check) {
    TRY(decltype(Row::uuid)::parse(uuid.text()));
    const auto work = [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<Row> row, store::find<Row>(transaction, {{"uuid", uuid.text()}}));
        if (!row) return {};
        TRY(check(*row, transaction));
        return erase_owned(transaction, *row);
    };
    TRY(parts.database.write(work));
    return "{}";
}

// Collects what still depends on a resource, for a refusal that says what to delete first.
class Dependants {
public:
    explicit Dependants(store::Transaction& transaction) : transaction_(transaction) {}
    template <class Row>
    Result<void> count(std::string_view noun, std::string_view plural, const store::Matches& matches) {
        TRY_ASSIGN(const std::vector<Row> rows, store::list<Row>(transaction_, matches));
        std::vector<std::string> names;
        names.reserve(rows.size());
        for (const Row& row : rows) names.push_back(row.name);
        add(noun, plural, names);
        return {};
    }
    void add(std::string_view noun, std::string_view plural, const std::vector<std::string>& names);
    // operation_failed when there are any: "zone 'zone1' still has 1 cluster (cluster1): delete it first".
    Result<void> none(std::string_view noun, std::string_view name) const;

private:
    store::Transaction& transaction_;
    std::string found_;
    std::size_t total_ = 0;
};

}  // namespace ramet::resources
