#include "storage/qcow2_header.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/limits.hpp"
#include "storage/file.hpp"

namespace ramet::storage {

namespace {

constexpr std::size_t kVersion2Bytes = 72;
constexpr std::size_t kVersion3Bytes = 104;
constexpr std::size_t kHeaderReadBytes = 112;
constexpr std::uint64_t kDirty = 1U << 0;
constexpr std::uint64_t kCorrupt = 1U << 1;
constexpr std::uint64_t kExternalData = 1U << 2;
constexpr std::uint64_t kCompressionType = 1U << 3;
constexpr std::uint64_t kRefcountTableBytesMax = 8ULL << 20;  // QEMU's own bound
constexpr std::uint32_t kSnapshotsMax = 65536;                // QEMU's own bound
constexpr std::uint64_t kSnapshotEntryBytesMin = 40;
constexpr std::uint32_t kBackingBytesMax = 1023;  // the format's own bound
constexpr int kExtensionsMax = 64;                // real images carry two or three

std::unexpected<Error> refuse(const std::string& why) { return fail(ErrorCode::image_failed, "the image is refused: " + why); }

std::uint64_t big_endian(std::span<const std::byte> bytes) {
    std::uint64_t value = 0;
    for (const std::byte byte : bytes) value = (value << 8) | std::to_integer<std::uint64_t>(byte);
    return value;
}

struct FieldReader {
    std::span<const std::byte> bytes;
    std::uint32_t u32(std::size_t at) const { return static_cast<std::uint32_t>(big_endian(bytes.subspan(at, 4))); }
    std::uint64_t u64(std::size_t at) const { return big_endian(bytes.subspan(at, 8)); }
};

Result<void> read_extensions(int fd, Qcow2Header& header) {
    const std::uint64_t end =
        header.backing_offset != 0 ? std::min<std::uint64_t>(header.backing_offset, 1ULL << header.cluster_bits) : 1ULL << header.cluster_bits;
    std::uint64_t at = header.header_bytes;
    for (int count = 0; at + 8 <= end; ++count) {
        if (count == kExtensionsMax) return refuse("its header has too many extensions");
        std::array<std::byte, 8> head{};
        TRY_ASSIGN(const std::size_t got, read_at(fd, head, static_cast<std::int64_t>(at)));
        if (got < head.size()) return {};  // the file ends inside its first cluster: no further extensions
        const FieldReader field{head};
        const std::uint32_t type = field.u32(0);
        const std::uint64_t bytes = field.u32(4);
        if (type == 0) return {};
        if (at + 8 + bytes > end) return refuse("a header extension is longer than the header");
        if (type == kQcow2DataFileExtension) header.names_data_file = true;
        if (type == kQcow2EncryptionExtension) header.names_encryption = true;
        at += 8 + (bytes + 7) / 8 * 8;
    }
    return {};
}

// Is [offset, offset + bytes) a cluster-aligned part of the file behind the header?
bool inside(std::uint64_t offset, std::uint64_t bytes, std::uint64_t cluster, std::uint64_t file_bytes) {
    return offset >= cluster && offset % cluster == 0 && offset <= file_bytes && bytes <= file_bytes - offset;
}

Result<void> check_features(const Qcow2Header& header) {
    const std::uint64_t known = kDirty | kCorrupt | kExternalData | kCompressionType | kQcow2ExtendedL2;
    if ((header.incompatible & kExternalData) != 0 || header.names_data_file) {
        return refuse("its data lies in another file; make a complete one with 'qemu-img convert -O qcow2'");
    }
    if (header.encryption != 0 || header.names_encryption) { return refuse("it is encrypted; decrypt it with 'qemu-img convert' first"); }
    if ((header.incompatible & ~known) != 0)
        return refuse("it uses qcow2 features that are not known here; rewrite it with 'qemu-img convert -O qcow2'");
    if ((header.incompatible & (kDirty | kCorrupt)) != 0) {
        return refuse("it is marked as damaged or not cleanly closed; repair it with 'qemu-img check -r all'");
    }
    const bool named = (header.incompatible & kCompressionType) != 0;
    if (header.compression > 1 || named != (header.compression != 0)) return refuse("its compression type is not known");
    if ((header.incompatible & kQcow2ExtendedL2) != 0 && header.cluster_bits < 14)
        return refuse("its clusters are too small for extended L2 entries");
    return {};
}

Result<void> check_tables(const Qcow2Header& header, std::uint64_t file_bytes) {
    const std::uint64_t cluster = 1ULL << header.cluster_bits;
    const std::uint64_t l2_entries = cluster / ((header.incompatible & kQcow2ExtendedL2) != 0 ? 16 : 8);
    const std::uint64_t covered = cluster * l2_entries;
    const std::uint64_t l1_bytes = std::uint64_t{header.l1_entries} * 8;
    if (l1_bytes > static_cast<std::uint64_t>(limits::kQcow2L1BytesMax)) return refuse("its L1 table is larger than 32 MiB");
    if (header.l1_entries < (header.virtual_bytes + covered - 1) / covered) return refuse("its L1 table is too small for its size");
    if (!inside(header.l1_offset, l1_bytes, cluster, file_bytes)) return refuse("its L1 table lies outside the file; the file may be cut off");
    const std::uint64_t table_bytes = std::uint64_t{header.refcount_table_clusters} * cluster;
    if (table_bytes == 0 || table_bytes > kRefcountTableBytesMax) return refuse("its reference count table has an impossible size");
    if (!inside(header.refcount_table_offset, table_bytes, cluster, file_bytes)) {
        return refuse("its reference count table lies outside the file; the file may be cut off");
    }
    if (header.snapshots > kSnapshotsMax) return refuse("it claims an impossible number of snapshots");
    if (header.snapshots > 0 && !inside(header.snapshots_offset, header.snapshots * kSnapshotEntryBytesMin, cluster, file_bytes)) {
        return refuse("its snapshot table lies outside the file; the file may be cut off");
    }
    return {};
}

}  // namespace

Result<Qcow2Header> read_qcow2_header(int fd, std::int64_t file_bytes) {
    std::array<std::byte, kHeaderReadBytes> bytes{};
    TRY_ASSIGN(const std::size_t got, read_at(fd, bytes, 0));
    const FieldReader field{bytes};
    if (got < 8 || field.u32(0) != kQcow2Magic)
        return refuse("it is not a qcow2 image; name its real format, or convert it with 'qemu-img convert -O qcow2'");
    Qcow2Header header;
    header.version = field.u32(4);
    if (header.version != 2 && header.version != 3) return refuse("its qcow2 version is not 2 or 3; rewrite it with 'qemu-img convert -O qcow2'");
    if (got < (header.version == 2 ? kVersion2Bytes : kVersion3Bytes) || file_bytes < static_cast<std::int64_t>(got)) {
        return refuse("the file ends inside its header; it is cut off");
    }
    header.backing_offset = field.u64(8);
    header.backing_bytes = field.u32(16);
    header.cluster_bits = field.u32(20);
    header.virtual_bytes = field.u64(24);
    header.encryption = field.u32(32);
    header.l1_entries = field.u32(36);
    header.l1_offset = field.u64(40);
    header.refcount_table_offset = field.u64(48);
    header.refcount_table_clusters = field.u32(56);
    header.snapshots = field.u32(60);
    header.snapshots_offset = field.u64(64);
    if (header.cluster_bits < 9 || header.cluster_bits > 21) return refuse("its cluster size is not between 512 bytes and 2 MiB");
    if (header.version == 3) {
        header.incompatible = field.u64(72);
        header.refcount_order = field.u32(96);
        header.header_bytes = field.u32(100);
        if (header.header_bytes < kVersion3Bytes || header.header_bytes % 8 != 0 || header.header_bytes > (1ULL << header.cluster_bits)) {
            return refuse("its header has an impossible length");
        }
        if (header.header_bytes > kVersion3Bytes && got > kVersion3Bytes) header.compression = std::to_integer<std::uint8_t>(bytes[kVersion3Bytes]);
    }
    TRY(read_extensions(fd, header));
    return header;
}

Result<std::string> read_backing_name(int fd, const Qcow2Header& header) {
    if (header.backing_offset == 0) return std::string();
    std::string name(std::min(header.backing_bytes, kBackingBytesMax), '\0');
    TRY_ASSIGN(const std::size_t got, read_at(fd, std::as_writable_bytes(std::span(name)), static_cast<std::int64_t>(header.backing_offset)));
    if (got != name.size()) return refuse("its backing file's name cannot be read");
    return name;
}

Result<void> check_qcow2_layer(const Qcow2Header& header, std::int64_t file_bytes) {
    if (header.virtual_bytes == 0) return refuse("its size is 0");
    if (header.virtual_bytes > static_cast<std::uint64_t>(limits::kImageVirtualBytesMax)) return refuse("it claims a size above 64 TiB");
    if (header.virtual_bytes % 512 != 0) return refuse("its size is not a multiple of 512 bytes");
    if (header.refcount_order > 6) return refuse("its reference counts have an impossible width");
    TRY(check_features(header));
    return check_tables(header, static_cast<std::uint64_t>(file_bytes));
}

}  // namespace ramet::storage
