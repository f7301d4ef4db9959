// Reads the header of a foreign image with bounds of our own before any tool opens it. Formats are recognised by the caller's
// word or the qcow2 magic, never by a tool's probing.
// Refused, with a message that says what to do: backing file, external data file, encryption, unknown incompatible features,
// absurd sizes (limits.hpp), an L1 or refcount table outside the file, VMDK/VHD/VDI/ISO content declared as a disk, an empty file.
// Source of the format: QEMU docs/interop/qcow2.txt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "model/states.hpp"

namespace ramet::storage {

struct ImageFacts {
    DiskFormat format;
    std::int64_t virtual_bytes;
    std::int64_t file_bytes;
    std::int64_t allocated_bytes;
};

// `declared`: the format the user named, or nothing (then: qcow2 if the magic says so, else raw).
Result<ImageFacts> inspect_image(const std::string& absolute_path, std::optional<DiskFormat> declared);

}  // namespace ramet::storage
