// What the use cases of this folder and of clone/ work with. Built once by the daemon's wiring; outlives every call.
#pragma once

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

    store::Database& database() const { return shared.database; }
    Timestamp now() const { return shared.clock.now(); }
};

}  // namespace ramet::lifecycle
