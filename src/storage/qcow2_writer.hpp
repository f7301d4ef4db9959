// Writes the metadata of new qcow2 images, whatever they are made for: header, reference counts, L1 and L2 tables. No child process, no fsync.
// Source of the format: QEMU docs/interop/qcow2.txt. Version 3, 64 KiB clusters, 16-bit reference counts, no incompatible features.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.hpp"
#include "model/states.hpp"

namespace ramet::storage {

inline constexpr std::int64_t kClusterBytes = 64 * 1024;
inline constexpr std::int64_t kTableClusters = kClusterBytes / 8;             // entries of an L2 table
inline constexpr std::int64_t kRegionBytes = kClusterBytes * kTableClusters;  // 512 MiB of the disk per L2 table

struct Qcow2Backing {
    std::string absolute_path;
    DiskFormat format;
};

// Where everything of a new image lies: header, reference count table and blocks, L1 table, L2 tables, data. All offsets in bytes of the
// file, cluster by cluster without gaps.
struct Qcow2Layout {
    std::int64_t size_bytes = 0;  // of the disk, whole sectors
    std::int64_t l1_entries = 0;
    std::int64_t refcount_table_clusters = 0;
    std::int64_t refcount_block_at = 0;
    std::int64_t l1_at = 0;
    std::int64_t l2_at = 0;  // the first table
    std::int64_t data_at = 0;
    std::int64_t file_bytes = 0;

    // What the metadata occupies on a file system of 4 KiB blocks: tables are written as far as they have entries, L2 tables whole.
    std::int64_t metadata_bytes() const;
};

// invalid_argument: the size is not 1 byte to 64 TiB. It is rounded up to whole sectors of 512 bytes, as qemu-img does.
Result<Qcow2Layout> qcow2_layout(std::int64_t size_bytes, std::int64_t l2_tables, std::int64_t data_clusters);

// Into an empty file: sizes it, and writes all but the L2 tables and the data. `regions`: the L1 entries that get a table, ascending; as
// many as the layout has tables.
// invalid_argument: the backing path is not absolute or longer than the 1023 bytes the format allows.
Result<void> write_qcow2_frame(int fd, const Qcow2Layout& layout, const std::optional<Qcow2Backing>& backing, std::span<const std::int64_t> regions);

// The L2 table number `table` of the layout. entries[i]: where in the file cluster i of its region lies; 0: nowhere, so that what lies below
// shows; kReadsAsZeros: nowhere, and nothing shows.
inline constexpr std::int64_t kReadsAsZeros = 1;
Result<void> write_qcow2_table(int fd, const Qcow2Layout& layout, std::int64_t table, std::span<const std::int64_t> entries);

// An image without data, into an empty file.
// invalid_argument: of the size or of the backing path, as above.
Result<void> write_qcow2(int fd, std::int64_t size_bytes, const std::optional<Qcow2Backing>& backing);

}  // namespace ramet::storage
