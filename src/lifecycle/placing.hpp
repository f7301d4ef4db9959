// The facts that placement decides on, read from the rows. Inside the caller's transaction.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "lifecycle/parts.hpp"
#include "placement/placement.hpp"
#include "store/database.hpp"

namespace ramet::lifecycle {

Result<std::vector<placement::HostFacts>> host_facts(store::Transaction& transaction);
Result<std::vector<L2NetworkId>> l2_networks_of(store::Transaction& transaction, const std::vector<L3NetworkId>& l3_networks);

// Storages with their cluster attachments; `available` is the free space of the file system. Not inside a transaction: it asks the storages.
Result<std::vector<placement::StorageFacts>> storage_facts(Parts& parts);

}  // namespace ramet::lifecycle
