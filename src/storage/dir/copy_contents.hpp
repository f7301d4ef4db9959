// Copies a file's contents: shared blocks where the file system can (FICLONE), else its data extents, holes kept.
#pragma once

#include <stop_token>

#include "base/result.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::storage {

// `target` is empty and open for writing. Progress counts bytes of the file, holes included.
Result<void> copy_contents(int source, int target, const CopyObserver& observer, const std::stop_token& stop);

}  // namespace ramet::storage
