// FlattenVmInstance and FlattenVolume (contract 4.1, 4.6): volumes that stand alone afterwards. A running VM goes on meanwhile.
#pragma once

#include <string>
#include <variant>

#include "api/messages_lineage.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_flatten_saga(workflow::Engine& engine, Parts& parts);  // before Engine::recover()

// A job, or with dryRun the answer: the inventory as it is and bytesToCopy.
using FlattenAnswer = std::variant<JobId, std::string>;
Result<FlattenAnswer> flatten_vm(Parts& parts, const Request& request, const api::FlattenVmInstance& message);
Result<FlattenAnswer> flatten_volume(Parts& parts, const Request& request, const api::FlattenVolume& message);

}  // namespace ramet::lifecycle
