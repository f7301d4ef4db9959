#include "storage/qcow2_writer.hpp"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/disk_size.hpp"
#include "base/limits.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::storage {

namespace {

constexpr std::uint32_t kClusterBits = 16;
constexpr std::int64_t kRefcountTableAt = kClusterBytes;
constexpr std::int64_t kRefcountsPerBlock = kClusterBytes / 2;
constexpr std::int64_t kBlockBytes = 4096;  // of the file system; what the prediction of sizes reckons with
constexpr std::uint32_t kHeaderBytes = 112;
constexpr std::size_t kBackingPathBytesMax = 1023;

class BigEndian {
public:
    void u16(std::uint64_t value) { put(value, 2); }
    void u32(std::uint64_t value) { put(value, 4); }
    void u64(std::uint64_t value) { put(value, 8); }
    void text(std::string_view value) { bytes_ += value; }
    void pad_to(std::size_t multiple) { bytes_.resize((bytes_.size() + multiple - 1) / multiple * multiple, '\0'); }
    std::span<const std::byte> bytes() const { return bytes_of(bytes_); }
    std::size_t size() const { return bytes_.size(); }

private:
    void put(std::uint64_t value, int width) {
        for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) bytes_ += static_cast<char>((value >> shift) & 0xff);
    }
    std::string bytes_;
};

BigEndian backing_format_extension(DiskFormat format) {
    BigEndian extension;
    const std::string_view name = name_of(format);
    extension.u32(kQcow2BackingFormatExtension);
    extension.u32(name.size());
    extension.text(name);
    extension.pad_to(8);
    return extension;
}

std::int64_t clusters_for(std::int64_t bytes) { return (bytes + kClusterBytes - 1) / kClusterBytes; }
std::int64_t whole_blocks(std::int64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes; }

BigEndian header_cluster(const Qcow2Layout& layout, const std::optional<Qcow2Backing>& backing) {
    BigEndian extensions = backing ? backing_format_extension(backing->format) : BigEndian{};
    extensions.u64(0);  // end of the extensions
    const std::size_t backing_at = kHeaderBytes + extensions.size();
    BigEndian header;
    header.u32(kQcow2Magic);
    header.u32(3);
    header.u64(backing ? backing_at : 0);
    header.u32(backing ? backing->absolute_path.size() : 0);
    header.u32(kClusterBits);
    header.u64(static_cast<std::uint64_t>(layout.size_bytes));
    header.u32(0);  // encryption
    header.u32(static_cast<std::uint64_t>(layout.l1_entries));
    header.u64(static_cast<std::uint64_t>(layout.l1_at));
    header.u64(static_cast<std::uint64_t>(kRefcountTableAt));
    header.u32(static_cast<std::uint64_t>(layout.refcount_table_clusters));
    header.u32(0);  // snapshots
    header.u64(0);
    header.u64(0);  // incompatible, compatible and autoclear features
    header.u64(0);
    header.u64(0);
    header.u32(4);  // reference counts of 2^4 bits
    header.u32(kHeaderBytes);
    header.u64(0);  // compression type 0, padding
    header.text({reinterpret_cast<const char*>(extensions.bytes().data()), extensions.size()});
    if (backing) header.text(backing->absolute_path);
    return header;
}

// Every cluster of the file is used once.
Result<void> write_refcounts(int fd, const Qcow2Layout& layout) {
    const std::int64_t blocks = (layout.l1_at - layout.refcount_block_at) / kClusterBytes;
    BigEndian table;
    for (std::int64_t block = 0; block < blocks; ++block) table.u64(static_cast<std::uint64_t>(layout.refcount_block_at + block * kClusterBytes));
    TRY(write_all(fd, table.bytes(), kRefcountTableAt));
    const std::int64_t clusters = layout.file_bytes / kClusterBytes;
    for (std::int64_t block = 0; block < blocks; ++block) {
        BigEndian counts;
        const std::int64_t here = std::min(kRefcountsPerBlock, clusters - block * kRefcountsPerBlock);
        for (std::int64_t cluster = 0; cluster < here; ++cluster) counts.u16(1);
        TRY(write_all(fd, counts.bytes(), layout.refcount_block_at + block * kClusterBytes));
    }
    return {};
}

}  // namespace

std::int64_t Qcow2Layout::metadata_bytes() const {
    const std::int64_t clusters = file_bytes / kClusterBytes;
    const std::int64_t blocks = (l1_at - refcount_block_at) / kClusterBytes;
    const std::int64_t l2_bytes = data_at - l2_at;
    return kBlockBytes + whole_blocks(blocks * 8) + whole_blocks(clusters * 2) + (l2_bytes > 0 ? whole_blocks(l1_entries * 8) : 0) + l2_bytes;
}

Result<Qcow2Layout> qcow2_layout(std::int64_t size_bytes, std::int64_t l2_tables, std::int64_t data_clusters) {
    if (size_bytes <= 0 || size_bytes > limits::kVolumeBytesMax)
        return fail(ErrorCode::invalid_argument, "a disk's size must be between 1 byte and 64 TiB");
    Qcow2Layout layout;
    layout.size_bytes = whole_sectors(size_bytes);
    layout.l1_entries = (layout.size_bytes + kRegionBytes - 1) / kRegionBytes;
    const std::int64_t l1_clusters = clusters_for(layout.l1_entries * 8);
    // The reference counts count themselves too: more of them until they suffice.
    std::int64_t blocks = 1;
    std::int64_t total = 0;
    for (;;) {
        layout.refcount_table_clusters = clusters_for(blocks * 8);
        total = 1 + layout.refcount_table_clusters + blocks + l1_clusters + l2_tables + data_clusters;
        const std::int64_t needed = (total + kRefcountsPerBlock - 1) / kRefcountsPerBlock;
        if (needed <= blocks) break;
        blocks = needed;
    }
    layout.refcount_block_at = kRefcountTableAt + layout.refcount_table_clusters * kClusterBytes;
    layout.l1_at = layout.refcount_block_at + blocks * kClusterBytes;
    layout.l2_at = layout.l1_at + l1_clusters * kClusterBytes;
    layout.data_at = layout.l2_at + l2_tables * kClusterBytes;
    layout.file_bytes = total * kClusterBytes;
    return layout;
}

Result<void> write_qcow2_frame(int fd, const Qcow2Layout& layout, const std::optional<Qcow2Backing>& backing, std::span<const std::int64_t> regions) {
    if (backing &&
        (backing->absolute_path.empty() || backing->absolute_path.front() != '/' || backing->absolute_path.size() > kBackingPathBytesMax)) {
        return fail(ErrorCode::invalid_argument, "the storage's directory name is too long for disks that build on others; use a shorter one",
                    backing->absolute_path);
    }
    // The length first: XFS reserves blocks in advance for writes that make a file longer, five times what we need.
    if (::ftruncate(fd, layout.file_bytes) != 0) return io_error("sizing a new disk", errno);
    TRY(write_all(fd, header_cluster(layout, backing).bytes(), 0));
    TRY(write_refcounts(fd, layout));
    if (regions.empty()) return {};  // an all-zero L1 table is a hole
    std::vector<std::uint64_t> l1(static_cast<std::size_t>(layout.l1_entries));
    for (std::size_t table = 0; table < regions.size(); ++table) {
        const std::int64_t at = layout.l2_at + static_cast<std::int64_t>(table) * kClusterBytes;
        l1.at(static_cast<std::size_t>(regions[table])) = to_big_endian(static_cast<std::uint64_t>(at) | kQcow2Copied);
    }
    return write_all(fd, std::as_bytes(std::span(l1)), layout.l1_at);
}

Result<void> write_qcow2_table(int fd, const Qcow2Layout& layout, std::int64_t table, std::span<const std::int64_t> entries) {
    std::vector<std::uint64_t> l2(static_cast<std::size_t>(kTableClusters));
    for (std::size_t index = 0; index < std::min(entries.size(), l2.size()); ++index) {
        const auto entry = static_cast<std::uint64_t>(entries[index]);
        if (entry != 0) l2[index] = to_big_endian(entries[index] == kReadsAsZeros ? kQcow2ReadsAsZeros : entry | kQcow2Copied);
    }
    return write_all(fd, std::as_bytes(std::span(l2)), layout.l2_at + table * kClusterBytes);
}

Result<void> write_qcow2(int fd, std::int64_t size_bytes, const std::optional<Qcow2Backing>& backing) {
    TRY_ASSIGN(const Qcow2Layout layout, qcow2_layout(size_bytes, 0, 0));
    return write_qcow2_frame(fd, layout, backing, {});
}

}  // namespace ramet::storage
