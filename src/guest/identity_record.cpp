#include "guest/identity_record.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "store/table.hpp"

namespace ramet::guest {
namespace {

Result<void> alter(store::Transaction& transaction, const VmId& vm, const std::function<void(VmIdentity&)>& change) {
    TRY_ASSIGN(std::optional<VmIdentity> row, find_identity(transaction, vm));
    const bool present = row.has_value();
    if (!row) {
        row.emplace();
        row->vm_instance_uuid = vm;
        row->instance_id = vm.text();
    }
    change(*row);
    return present ? store::update(transaction, *row) : store::insert(transaction, *row);
}

}  // namespace

Result<std::optional<VmIdentity>> find_identity(store::Transaction& transaction, const VmId& vm) {
    return store::find<VmIdentity>(transaction, {{"vmInstanceUuid", vm.text()}});
}

Result<void> note_facts(store::Transaction& transaction, const VmId& vm, const std::vector<api::IdentityFact>& facts) {
    return alter(transaction, vm, [&](VmIdentity& row) {
        std::vector<api::IdentityFact> known = from_texts(row.facts);
        for (const api::IdentityFact& fact : facts) {
            std::erase_if(known, [&](const api::IdentityFact& other) { return other.identifier == fact.identifier; });
            known.push_back(fact);
        }
        row.facts = to_texts(known);
        row.trouble.reset();
    });
}

Result<void> note_trouble(store::Transaction& transaction, const VmId& vm, const std::string& trouble) {
    return alter(transaction, vm, [&](VmIdentity& row) { row.trouble = trouble; });
}

std::vector<std::string> to_texts(const std::vector<api::IdentityFact>& facts) {
    std::vector<std::string> texts;
    texts.reserve(facts.size());
    for (const api::IdentityFact& fact : facts) texts.push_back(api::to_json(fact, api::Audience::storage));
    return texts;
}

std::vector<api::IdentityFact> from_texts(const std::vector<std::string>& texts) {
    std::vector<api::IdentityFact> facts;
    for (const std::string& text : texts) {
        Result<api::IdentityFact> fact = api::from_json<api::IdentityFact>(text);
        if (fact.has_value()) facts.push_back(std::move(*fact));
    }
    return facts;
}

const api::IdentityFact* find_fact(const std::vector<api::IdentityFact>& facts, std::string_view identifier) {
    const auto found = std::ranges::find(facts, identifier, &api::IdentityFact::identifier);
    return found == facts.end() ? nullptr : &*found;
}

}  // namespace ramet::guest
