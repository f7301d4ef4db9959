#include "storage/dir/qcow2_layer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>
#include <cstring>
#include <span>

#include "storage/qcow2_header.hpp"

namespace ramet::storage {

namespace {

constexpr std::uint32_t kClusterBits = 16;

std::unexpected<Error> not_ours(const std::string& why, const std::string& path) {
    return fail(ErrorCode::operation_failed, "a layer of the disk cannot be merged with others: " + why, path);
}

Result<std::vector<std::uint64_t>> read_table(int fd, std::int64_t offset, std::size_t entries) {
    std::vector<std::uint64_t> table(entries);
    TRY_ASSIGN(const std::size_t got, read_at(fd, std::as_writable_bytes(std::span(table)), offset));
    if (got != entries * sizeof(std::uint64_t)) return fail(ErrorCode::operation_failed, "a layer of the disk ends inside its tables");
    for (std::uint64_t& entry : table) entry = from_big_endian(entry);
    return table;
}

}  // namespace

Result<Qcow2Layer> Qcow2Layer::open(const Place& place) {
    const std::string path = place.root + "/" + place.path;
    if (place.format != DiskFormat::qcow2) return not_ours("it is not a qcow2 file", path);
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) return io_error("opening a layer of the disk", errno, path);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return io_error("looking at a layer of the disk", errno, path);
    if (!S_ISREG(status.st_mode)) return not_ours("it is not an ordinary file", path);
    Qcow2Layer layer(std::move(file), path);
    TRY_ASSIGN(const Qcow2Header header, read_qcow2_header(layer.fd(), status.st_size));
    TRY(check_qcow2_layer(header, status.st_size));
    if (header.cluster_bits != kClusterBits || (header.incompatible & kQcow2ExtendedL2) != 0) return not_ours("its clusters have another form", path);
    layer.virtual_bytes_ = static_cast<std::int64_t>(header.virtual_bytes);
    layer.file_bytes_ = status.st_size;
    TRY_ASSIGN(layer.l1_, read_table(layer.fd(), static_cast<std::int64_t>(header.l1_offset), header.l1_entries));
    return layer;
}

Result<bool> Qcow2Layer::enter_region(std::int64_t region) {
    l2_.clear();
    if (region >= std::ssize(l1_)) return false;
    const auto offset = static_cast<std::int64_t>(l1_[static_cast<std::size_t>(region)] & kQcow2OffsetMask);
    if (offset == 0) return false;
    if (offset % kQcow2ClusterBytes != 0 || offset > file_bytes_ - kQcow2ClusterBytes) return not_ours("a table lies outside the file", path_);
    TRY_ASSIGN(l2_, read_table(file_.get(), offset, static_cast<std::size_t>(kQcow2L2Entries)));
    return true;
}

Result<Qcow2Layer::Cluster> Qcow2Layer::cluster(std::int64_t index_in_region) const {
    if (l2_.empty()) return Cluster{};
    const std::uint64_t entry = l2_[static_cast<std::size_t>(index_in_region)];
    if ((entry & kQcow2Compressed) != 0) return not_ours("it holds compressed data", path_);
    if ((entry & kQcow2ReadsAsZeros) != 0) return Cluster{Holds::zeros, 0};
    const auto offset = static_cast<std::int64_t>(entry & kQcow2OffsetMask);
    if (offset == 0) return Cluster{};
    if (offset % kQcow2ClusterBytes != 0 || offset >= file_bytes_) return not_ours("its data lies outside the file", path_);
    return Cluster{Holds::data, offset};
}

}  // namespace ramet::storage
