// What stands on what, as the API shows it.
#pragma once

#include "api/messages_lineage.hpp"
#include "identity/caller.hpp"
#include "lifecycle/parts.hpp"

namespace ramet::lifecycle {

// Of one VM, or of everything the caller may see. Volumes of other accounts are counted, not named. The bytes are those at the time of the
// call; while jobs make or remove layers the sum can be off by these.
Result<std::string> lineage(Parts& parts, const identity::Caller& caller, const std::optional<VmId>& vm);

}  // namespace ramet::lifecycle
