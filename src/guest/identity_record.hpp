// What is known of a VM's identity, in and out of its row (model/vm_identity.hpp).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/messages_identity_report.hpp"
#include "model/vm_identity.hpp"
#include "store/database.hpp"

namespace ramet::guest {

Result<std::optional<VmIdentity>> find_identity(store::Transaction& transaction, const VmId& vm);

// Keeps the facts that were seen; one with the same identifier replaces an earlier one. Makes the row when there is none. How any part of
// the server adds an identifier to the report:
//   note_facts(transaction, vm, {{"clock", std::nullopt, "2026-01-01T00:00:00Z", api::FactState::fresh, "agent", "set after the resume"}});
Result<void> note_facts(store::Transaction& transaction, const VmId& vm, const std::vector<api::IdentityFact>& facts);
Result<void> note_trouble(store::Transaction& transaction, const VmId& vm, const std::string& trouble);

std::vector<std::string> to_texts(const std::vector<api::IdentityFact>& facts);
std::vector<api::IdentityFact> from_texts(const std::vector<std::string>& texts);                              // leaves out what is not readable
const api::IdentityFact* find_fact(const std::vector<api::IdentityFact>& facts, std::string_view identifier);  // null when there is none

}  // namespace ramet::guest
