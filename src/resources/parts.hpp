// What the use cases of this folder work with. Built once by the daemon's wiring; outlives every call.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "hypervisor/plumbing.hpp"
#include "resources/inventory.hpp"
#include "storage/primary_storage.hpp"
#include "store/database.hpp"
#include "workflow/engine.hpp"

namespace ramet::resources {

struct Parts {
    store::Database& database;
    Clock& clock;
    storage::PrimaryStorages& storages;
    hypervisor::Plumbing& plumbing;
    Inventory& inventory;
    workflow::Engine& engine;
    std::string data_dir;  // absolute
};

}  // namespace ramet::resources
