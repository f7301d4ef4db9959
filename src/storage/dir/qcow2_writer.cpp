#include "storage/dir/qcow2_writer.hpp"

#include <unistd.h>
#include <cerrno>

#include "base/limits.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::storage {

namespace {

constexpr std::int64_t kClusterBytes = 64 * 1024;
constexpr std::uint32_t kClusterBits = 16;
constexpr std::int64_t kL2Covers = kClusterBytes * (kClusterBytes / 8);  // 512 MiB per L1 entry
constexpr std::int64_t kRefcountTableAt = kClusterBytes;
constexpr std::int64_t kRefcountBlockAt = 2 * kClusterBytes;
constexpr std::int64_t kL1At = 3 * kClusterBytes;
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

BigEndian header_cluster(std::int64_t size_bytes, std::int64_t l1_entries, const std::optional<Qcow2Backing>& backing) {
    BigEndian extensions = backing ? backing_format_extension(backing->format) : BigEndian{};
    extensions.u64(0);  // end of the extensions
    const std::size_t backing_at = kHeaderBytes + extensions.size();
    BigEndian header;
    header.u32(kQcow2Magic);
    header.u32(3);
    header.u64(backing ? backing_at : 0);
    header.u32(backing ? backing->absolute_path.size() : 0);
    header.u32(kClusterBits);
    header.u64(static_cast<std::uint64_t>(size_bytes));
    header.u32(0);  // encryption
    header.u32(static_cast<std::uint64_t>(l1_entries));
    header.u64(static_cast<std::uint64_t>(kL1At));
    header.u64(static_cast<std::uint64_t>(kRefcountTableAt));
    header.u32(1);  // clusters of the reference count table
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

}  // namespace

Result<void> write_qcow2(int fd, std::int64_t size_bytes, const std::optional<Qcow2Backing>& backing) {
    if (size_bytes <= 0 || size_bytes > limits::kVolumeBytesMax)
        return fail(ErrorCode::invalid_argument, "a disk's size must be between 1 byte and 64 TiB");
    if (backing &&
        (backing->absolute_path.empty() || backing->absolute_path.front() != '/' || backing->absolute_path.size() > kBackingPathBytesMax)) {
        return fail(ErrorCode::invalid_argument, "the storage's directory name is too long for disks that build on others; use a shorter one",
                    backing->absolute_path);
    }
    const std::int64_t rounded = (size_bytes + 511) / 512 * 512;
    const std::int64_t l1_entries = (rounded + kL2Covers - 1) / kL2Covers;
    const std::int64_t l1_clusters = (l1_entries * 8 + kClusterBytes - 1) / kClusterBytes;
    BigEndian refcount_table;
    refcount_table.u64(static_cast<std::uint64_t>(kRefcountBlockAt));
    BigEndian refcount_block;
    for (std::int64_t cluster = 0; cluster < 3 + l1_clusters; ++cluster) refcount_block.u16(1);
    // The length first: XFS reserves blocks in advance for writes that make a file longer, five times what we need.
    if (::ftruncate(fd, kL1At + l1_clusters * kClusterBytes) != 0) return io_error("sizing a new disk", errno);
    TRY(write_all(fd, header_cluster(rounded, l1_entries, backing).bytes(), 0));
    TRY(write_all(fd, refcount_table.bytes(), kRefcountTableAt));
    TRY(write_all(fd, refcount_block.bytes(), kRefcountBlockAt));
    return {};
}

}  // namespace ramet::storage
