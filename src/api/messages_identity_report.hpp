// GetVmInstanceIdentity: every identifier of a VM instance, and how it is known that it is its own. Field meaning: messages_identity_report.cpp.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"

namespace ramet::api {

//   pending ──► fresh   the guest has been seen to have a value of its own
//      └──────► kept    it has the source's, because that was asked for or because it could not be changed
enum class FactState : std::uint8_t { pending, fresh, kept };
inline constexpr std::array<std::string_view, 3> kFactStateNames{"pending", "new", "kept"};

// One identifier. Also the form in which the server remembers what it has seen.
struct IdentityFact {
    std::string identifier;  // "machine-id"; with a number or kind where there may be several: "mac.0", "ssh-host-key.ed25519"
    std::optional<std::string> old_value, new_value;
    FactState state = FactState::pending;
    std::string means;  // row, hypervisor, seed, cloud-init, agent, none
    std::optional<std::string> reason;
};

struct GetVmInstanceIdentity {
    VmId uuid;
};

struct VmIdentityReport {
    VmId vm_instance_uuid;
    std::string name;
    std::string mode;                 // reset, keep
    std::optional<VmId> source_uuid;  // absent: not a clone
    FactState state = FactState::pending;
    std::vector<IdentityFact> facts;
};

std::vector<const MessageInfo*> identity_report_messages();

}  // namespace ramet::api

namespace ramet {

template <> inline constexpr std::span<const std::string_view> enum_names<api::FactState>{api::kFactStateNames};
template <> const TypeInfo& describe<api::IdentityFact>();
template <> const TypeInfo& describe<api::GetVmInstanceIdentity>();
template <> const TypeInfo& describe<api::VmIdentityReport>();
namespace api {
template <> const MessageInfo& message<GetVmInstanceIdentity>();
}

}  // namespace ramet
