// Can blocks be shared between files here? Asked of the kernel itself, with the very files and a nameless one beside the copy to be.
#pragma once

#include "base/result.hpp"
#include "storage/dir/chain_source.hpp"

namespace ramet::storage {

// Can the file system below the storage's open directory do it at all? False is its own answer; everything else is an error.
Result<bool> file_system_shares_blocks(int directory);

// `directory`: the storage's, open. unsupported with the reason for the caller. Leaves nothing behind.
Result<void> probe_reflink(int directory, const ChainSource& source);

}  // namespace ramet::storage
