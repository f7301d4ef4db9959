// Identifiers of the virtual hardware, made from the VM's uuid.
#pragma once

#include <string>
#include <string_view>

#include "base/id.hpp"

namespace ramet::hypervisor {

// 32 hex digits as 8-4-4-4-12.
inline std::string dashed(const std::string& uuid) {
    return uuid.substr(0, 8) + "-" + uuid.substr(8, 4) + "-" + uuid.substr(12, 4) + "-" + uuid.substr(16, 4) + "-" + uuid.substr(20);
}

// The VM generation id: differs between any two VMs, and between any two generations of one.
inline std::string generation_id(const VmId& vm, std::string_view generation = {}) {
    return dashed(derived_uuid_text(vm.text(), "vm-generation-id" + std::string(generation)));
}

}  // namespace ramet::hypervisor
