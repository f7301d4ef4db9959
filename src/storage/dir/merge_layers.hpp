// Several layers of a chain made into one: a new overlay over `base` that holds what they hold, the upper one winning.
#pragma once

#include <stop_token>

#include "storage/primary_storage.hpp"

namespace ramet::storage {

// Into an empty file below `directory`. Shares the blocks of the layers where the file system can. Every layer stays as it is.
// operation_failed when a layer is not of the form we make.
Result<void> write_merged_layer(int directory, int fd, const MergeSpec& spec, const CopyObserver& observer, const std::stop_token& stop);

}  // namespace ramet::storage
