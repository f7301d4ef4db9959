// Writes the few clusters of a new qcow2 image: header, reference counts, an all-zero L1 table (a hole). No child process, no fsync.
// Source of the format: QEMU docs/interop/qcow2.txt. Version 3, 64 KiB clusters, 16-bit reference counts, no incompatible features.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "model/states.hpp"

namespace ramet::storage {

struct Qcow2Backing {
    std::string absolute_path;
    DiskFormat format;
};

// Into an empty file. `size_bytes` is rounded up to whole sectors of 512 bytes, as qemu-img does; 1 byte to 64 TiB.
// invalid_argument: the size is out of range, or the backing path is not absolute or longer than the 1023 bytes the format allows.
Result<void> write_qcow2(int fd, std::int64_t size_bytes, const std::optional<Qcow2Backing>& backing);

}  // namespace ramet::storage
