// What the server remembers of a VM's identity. A VM without a row has the defaults and was never heard of.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/describe.hpp"

namespace ramet {

enum class IdentityMode : std::uint8_t { reset, keep };
inline constexpr std::array<std::string_view, 2> kIdentityModeNames{"reset", "keep"};
template <> inline constexpr std::span<const std::string_view> enum_names<IdentityMode>{kIdentityModeNames};

struct VmIdentity {
    VmId vm_instance_uuid;
    IdentityMode mode = IdentityMode::reset;
    std::optional<VmId> source_uuid;
    std::string instance_id;                 // what its seed says; a kept guest must not take itself for a new machine
    std::optional<std::string> host_name;    // kept: the source's; absent: as its rows have it
    std::vector<std::string> source_values;  // JSON of api::IdentityFact each: new_value is what the source had when it was cloned
    std::vector<std::string> facts;          // JSON of api::IdentityFact each: what has been seen since
    std::optional<std::string> trouble;      // the guest's last refusal
};
template <> const TypeInfo& describe<VmIdentity>();

}  // namespace ramet
