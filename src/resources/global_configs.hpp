// Global settings: which exist, what they may be, and what they are now (contract 9.4).
#pragma once

#include <string_view>

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Inserts a row with the default for each known setting that has none; part of the first start, and of every later one.
Result<void> seed_global_configs(store::Transaction& transaction);

// The setting's value, its default when it was never set. internal when no such setting is known.
Result<std::string> global_config(store::Transaction& transaction, std::string_view category, std::string_view name);
Result<std::int64_t> global_config_number(store::Transaction& transaction, std::string_view category, std::string_view name);
Result<double> global_config_ratio(store::Transaction& transaction, std::string_view category, std::string_view name);

// How many virtual CPUs a host with so many CPUs may give away.
Result<std::int64_t> cpu_capacity(store::Transaction& transaction, std::int64_t cpus);
// How many bytes of memory a host may give away for each that it has; at least 1.
Result<double> memory_ratio(store::Transaction& transaction);

// How many bytes of virtual disks a primary storage may promise for each that it has; 0: no bound.
Result<double> storage_ratio(store::Transaction& transaction);

// How many data volumes a VM instance may have: kvm.dataVolume.maxNum, and never more than a VM has room for.
Result<std::int64_t> data_volumes_max(store::Transaction& transaction);

// Answers with the JSON body of the reply. Without a value: back to the default.
Result<std::string> update_global_config(Parts& parts, const identity::Caller& caller, const api::UpdateGlobalConfig& request);

}  // namespace ramet::resources
