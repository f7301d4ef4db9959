// What the server remembers of a VM's identity: the table vm_identity. A VM without a row has the defaults and was never heard of.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "api/messages_identity_report.hpp"
#include "base/describe.hpp"
#include "store/database.hpp"

namespace ramet::guest {

enum class IdentityMode : std::uint8_t { reset, keep };
inline constexpr std::array<std::string_view, 2> kIdentityModeNames{"reset", "keep"};

struct VmIdentity {
    VmId vm_instance_uuid;
    IdentityMode mode = IdentityMode::reset;
    std::optional<VmId> source_uuid;
    std::string instance_id;                 // what its seed says; a kept guest must not take itself for a new machine
    std::optional<std::string> host_name;    // kept: the source's; absent: as its rows have it
    std::vector<std::string> source_values;  // JSON of IdentityFact each: new_value is what the source had when it was cloned
    std::vector<std::string> facts;          // JSON of IdentityFact each: what has been seen since
    std::optional<std::string> trouble;      // the guest's last refusal
};

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

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<guest::IdentityMode>{guest::kIdentityModeNames};
template <> const TypeInfo& describe<guest::VmIdentity>();
}  // namespace ramet
