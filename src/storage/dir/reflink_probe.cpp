#include "storage/dir/reflink_probe.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cerrno>
#include <vector>

#include "storage/dir/disk_copier.hpp"

namespace ramet::storage {

namespace {

constexpr std::uint32_t kClusterBitsMin = 12;  // smaller clusters are smaller than the blocks that file systems share

std::unexpected<Error> cannot(const std::string& why) { return fail(ErrorCode::unsupported, why); }

bool is_unknown_here(int error_number) { return error_number == EOPNOTSUPP || error_number == ENOTTY || error_number == ENOSYS; }

UniqueFd nameless_file(int directory) { return UniqueFd(::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)); }

Result<void> probe_layer(int probe, const OpenLayer& layer, std::int64_t alignment) {
    if (layer.file_bytes < alignment) return {};  // nothing in it to share
    const file_clone_range range{layer.file.get(), 0, static_cast<std::uint64_t>(alignment), 0};
    if (::ioctl(probe, FICLONERANGE, &range) == 0) return {};
    if (is_unknown_here(errno)) return cannot("the storage's file system cannot share blocks between files; XFS and btrfs can");
    if (errno == EXDEV) return cannot("the source's disks are on another file system than the copy would be");
    return io_error("trying to share blocks between files", errno);
}

}  // namespace

Result<bool> file_system_shares_blocks(int directory) {
    const UniqueFd probe = nameless_file(directory);
    if (!probe.valid()) return io_error("making a nameless file on the storage", errno);
    TRY_ASSIGN(const std::int64_t block, share_alignment(probe.get()));
    TRY(write_all(probe.get(), std::vector<std::byte>(static_cast<std::size_t>(block), std::byte{1}), 0));
    const file_clone_range range{probe.get(), 0, static_cast<std::uint64_t>(block), static_cast<std::uint64_t>(block)};
    if (::ioctl(probe.get(), FICLONERANGE, &range) == 0) return true;
    if (is_unknown_here(errno)) return false;
    return io_error("trying to share blocks between files", errno);
}

Result<void> probe_reflink(int directory, const ChainSource& source) {
    for (const OpenLayer& layer : source.layers) {
        if (layer.format == DiskFormat::qcow2 && layer.header.cluster_bits < kClusterBitsMin)
            return cannot("a layer of the disk has clusters that are smaller than the file system's blocks");
    }
    const UniqueFd probe = nameless_file(directory);
    if (!probe.valid()) return cannot("the storage's file system has no nameless files, so sharing blocks cannot be tried");
    TRY_ASSIGN(const std::int64_t alignment, share_alignment(probe.get()));
    for (const OpenLayer& layer : source.layers) TRY(probe_layer(probe.get(), layer, alignment));
    return {};
}

}  // namespace ramet::storage
