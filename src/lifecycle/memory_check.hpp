// Whether captured memory is still what was captured. It is read as a whole, which is why nothing but an operator's wish begins it; what is found
// stays in the image's row: the doctor tells of it, and nothing is started from it any more.
#pragma once

#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_memory_check_saga(workflow::Engine& engine, Parts& parts);
Result<JobId> verify_memory_images(Parts& parts, const Request& request);

}  // namespace ramet::lifecycle
