// The fields of a qcow2 header, read with bounds, and the judgement whether such an image stands on its own.
// Source of the format: QEMU docs/interop/qcow2.txt. Nothing here follows a path that the header names.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace ramet::storage {

inline constexpr std::uint32_t kQcow2Magic = 0x514649fb;  // "QFI\xfb"
inline constexpr std::uint32_t kQcow2BackingFormatExtension = 0xe2792aca;
inline constexpr std::uint32_t kQcow2DataFileExtension = 0x44415441;
inline constexpr std::uint32_t kQcow2EncryptionExtension = 0x0537be77;
inline constexpr std::uint64_t kQcow2ExtendedL2 = 1U << 4;  // incompatible feature

// Parts of the entries of L1 and L2 tables, once they are in the machine's byte order.
inline constexpr std::uint64_t kQcow2OffsetMask = 0x00fffffffffffe00;  // bits 9 to 55
inline constexpr std::uint64_t kQcow2Compressed = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kQcow2Copied = std::uint64_t{1} << 63;  // the reference count is one: for writers, no meaning for readers
inline constexpr std::uint64_t kQcow2ReadsAsZeros = 1;                 // version 3

struct Qcow2Header {
    std::uint32_t version = 0;
    std::uint64_t backing_offset = 0;
    std::uint32_t backing_bytes = 0;
    std::uint32_t cluster_bits = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint32_t encryption = 0;
    std::uint32_t l1_entries = 0;
    std::uint64_t l1_offset = 0;
    std::uint64_t refcount_table_offset = 0;
    std::uint32_t refcount_table_clusters = 0;
    std::uint32_t snapshots = 0;
    std::uint64_t snapshots_offset = 0;
    std::uint64_t incompatible = 0;  // feature bits
    std::uint32_t refcount_order = 4;
    std::uint32_t header_bytes = 72;
    std::uint8_t compression = 0;
    bool names_data_file = false;  // from the header extensions
    bool names_encryption = false;
};

// image_failed when the bytes are no whole qcow2 header of version 2 or 3.
Result<Qcow2Header> read_qcow2_header(int fd, std::int64_t file_bytes);

// The name that the header has for what the image stands on, as it is written there; empty: it stands on nothing. At most 1023 bytes, the
// format's own bound.
// image_failed when it cannot be read.
Result<std::string> read_backing_name(int fd, const Qcow2Header& header);

// May the image be opened as one layer? Everything except its backing file: sizes, tables, features, encryption, data file.
Result<void> check_qcow2_layer(const Qcow2Header& header, std::int64_t file_bytes);

}  // namespace ramet::storage
