// What the use cases of this folder and of clone/ work with. Built once by the daemon's wiring; outlives every call.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "guest/identity_keeper.hpp"
#include "hypervisor/hypervisor.hpp"
#include "resources/parts.hpp"

namespace ramet::lifecycle {

struct Parts {
    resources::Parts& shared;
    hypervisor::Hypervisor& hypervisor;
    guest::IdentityKeeper& identity_keeper;
    std::string memory_dir = shared.data_dir + "/memory";  // of memory images; absolute, outside every primary storage
    std::size_t ready_processes = 0;                       // per checkpoint with memory (Hypervisor::keep_ready)
    // How many of so many bytes of its memory a VM on this machine has in use; nothing where that cannot be seen. For estimates alone.
    std::function<std::optional<std::int64_t>(const VmId&, std::int64_t memory_bytes)> resident_memory{};

    store::Database& database() const { return shared.database; }
    Timestamp now() const { return shared.clock.now(); }
};

}  // namespace ramet::lifecycle
