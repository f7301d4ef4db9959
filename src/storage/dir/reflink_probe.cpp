#include "storage/dir/reflink_probe.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cerrno>

#include "storage/dir/disk_copier.hpp"

namespace ramet::storage {

namespace {

constexpr std::uint32_t kClusterBitsMin = 12;  // smaller clusters are smaller than the blocks that file systems share

std::unexpected<Error> cannot(const std::string& why) { return fail(ErrorCode::unsupported, why); }

Result<void> probe_layer(int probe, const OpenLayer& layer, std::int64_t alignment) {
    if (layer.file_bytes < alignment) return {};  // nothing in it to share
    const file_clone_range range{layer.file.get(), 0, static_cast<std::uint64_t>(alignment), 0};
    if (::ioctl(probe, FICLONERANGE, &range) == 0) return {};
    switch (errno) {
    case EOPNOTSUPP:
    case ENOTTY:
    case ENOSYS: return cannot("the storage's file system cannot share blocks between files; XFS and btrfs can");
    case EXDEV: return cannot("the source's disks are on another file system than the copy would be");
    default: return io_error("trying to share blocks between files", errno);
    }
}

}  // namespace

Result<void> probe_reflink(int directory, const ChainSource& source) {
    for (const OpenLayer& layer : source.layers) {
        if (layer.format == DiskFormat::qcow2 && layer.header.cluster_bits < kClusterBitsMin)
            return cannot("a layer of the disk has clusters that are smaller than the file system's blocks");
    }
    const UniqueFd probe(::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!probe.valid()) return cannot("the storage's file system has no nameless files, so sharing blocks cannot be tried");
    TRY_ASSIGN(const std::int64_t alignment, share_alignment(probe.get()));
    for (const OpenLayer& layer : source.layers) TRY(probe_layer(probe.get(), layer, alignment));
    return {};
}

}  // namespace ramet::storage
