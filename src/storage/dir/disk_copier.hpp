// Copies a disk out of its chain of layers into one qcow2 file: several threads, large pieces, past the page cache where the file system
// allows it; data that is in the page cache already is taken from there. Or makes the new file share the layers' blocks (reflink).
#pragma once

#include <stop_token>

#include "base/result.hpp"
#include "storage/dir/copy_scan.hpp"
#include "storage/primary_storage.hpp"
#include "storage/qcow2_writer.hpp"
#include "storage/throttle.hpp"

namespace ramet::storage {

enum class CopyWay : std::uint8_t { move_bytes, share_blocks };

struct CopyForm {
    Provisioning provisioning = Provisioning::thin;
    CopyWay way = CopyWay::move_bytes;         // share_blocks: every aligned piece of the layers is shared, never copied instead; thin only
    std::optional<Qcow2Backing> backing = {};  // what the source's layers stand on; thin only
};

struct CopyControl {
    const CopyObserver& observer;  // called by one thread at a time; counts bytes of the new file
    std::stop_token stop;
    Throttle* throttle = nullptr;
};

// `target`: an empty file, open for reading and writing. `scan` was made of `source`, which must not change meanwhile.
// cancelled (within one piece of 2 MiB), storage_full, operation_failed. The caller makes the file durable.
Result<void> copy_disk(int target, const ChainSource& source, const CopyScan& scan, const CopyForm& form, const CopyControl& control);

// A disk without data into an empty file; thick: with all its blocks.
Result<void> write_empty(int target, std::int64_t size_bytes, Provisioning provisioning);

// What one block of a file that is shared must be aligned to.
Result<std::int64_t> share_alignment(int target);

}  // namespace ramet::storage
