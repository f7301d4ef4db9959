#include "storage/dir/merge_layers.hpp"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <thread>

#include "storage/dir/qcow2_layer.hpp"
#include "storage/dir/qcow2_writer.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::storage {

namespace {

using Holds = Qcow2Layer::Holds;

constexpr std::int64_t kCluster = kQcow2ClusterBytes;
constexpr std::int64_t kRegionBytes = kCluster * kQcow2L2Entries;
constexpr std::int64_t kClustersPerRefcountBlock = kCluster / 2;
constexpr std::int64_t kRefcountTableAt = kCluster;  // as qcow2_writer lays a new image out
constexpr std::int64_t kRefcountBlocksMax = kCluster / 8;
constexpr std::int64_t kL1At = 3 * kCluster;
constexpr std::uint64_t kZero = 1;
constexpr std::int64_t kRunClustersMax = 64;  // 4 MiB between two looks at `stop`

std::array<std::byte, 8> big_endian(std::uint64_t value) {
    std::array<std::byte, 8> bytes{};
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(value >> (56 - 8 * i));
    return bytes;
}

// Copies within the kernel, by reference where the file system can; by hand where it cannot.
Result<void> copy_bytes(int from, std::int64_t from_offset, int to, std::int64_t to_offset, std::int64_t bytes) {
    while (bytes > 0) {
        off_t source = from_offset, target = to_offset;
        ssize_t copied = ::copy_file_range(from, &source, to, &target, static_cast<std::size_t>(bytes), 0);
        if (copied < 0 && errno == EINTR) continue;
        if (copied < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
            std::array<std::byte, 64 * 1024> buffer;
            const std::span<std::byte> part(buffer.data(), static_cast<std::size_t>(std::min<std::int64_t>(bytes, std::ssize(buffer))));
            TRY_ASSIGN(const std::size_t got, read_at(from, part, from_offset));
            TRY(write_all(to, part.first(got), to_offset));
            copied = static_cast<ssize_t>(got);
        }
        if (copied < 0) return io_error("merging the layers of a disk", errno);
        if (copied == 0) return {};  // the file ends inside its last cluster: the rest is zeros
        from_offset += copied;
        to_offset += copied;
        bytes -= copied;
    }
    return {};
}

// What is a hole stays one. A file system that knows no holes calls everything data.
Result<void> copy_range(int from, std::int64_t from_offset, int to, std::int64_t to_offset, std::int64_t bytes) {
    const std::int64_t end = from_offset + bytes, shift = to_offset - from_offset;
    std::int64_t at = from_offset;
    while (at < end) {
        const off_t data = ::lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) return {};
        const off_t hole = data < 0 ? -1 : ::lseek(from, data, SEEK_HOLE);
        const std::int64_t begin = data < 0 ? at : std::max<std::int64_t>(data, at), stop = hole < 0 ? end : std::min<std::int64_t>(hole, end);
        if (begin >= end) return {};
        TRY(copy_bytes(from, begin, to, begin + shift, stop - begin));
        at = stop;
    }
    return {};
}

class Merge {
public:
    Merge(int fd, const MergeSpec& spec, const CopyObserver& observer, const std::stop_token& stop)
        : fd_(fd),
          spec_(spec),
          observer_(observer),
          stop_(stop) {}

    Result<void> run() {
        TRY(write_qcow2(fd_, spec_.size_bytes, Qcow2Backing{spec_.base.root + "/" + spec_.base.path, spec_.base.format}));
        for (const Place& place : spec_.upper_top_first) {
            TRY_ASSIGN(Qcow2Layer layer, Qcow2Layer::open(place));
            layers_.push_back(std::move(layer));
        }
        const std::int64_t regions = (spec_.size_bytes + kRegionBytes - 1) / kRegionBytes;
        next_cluster_ = kL1At / kCluster + (regions * 8 + kCluster - 1) / kCluster;
        for (std::int64_t region = 0; region < regions; ++region) {
            if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "merging the layers of a disk was cancelled");
            TRY(merge_region(region));
            report(std::min(spec_.size_bytes, (region + 1) * kRegionBytes));
        }
        return write_reference_counts();
    }

private:
    struct Piece {
        std::size_t layer = 0;
        Qcow2Layer::Cluster cluster;
    };

    Result<Piece> uppermost(std::int64_t index, std::int64_t offset_in_disk) const {
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            TRY_ASSIGN(const Qcow2Layer::Cluster cluster, layers_[i].cluster(index));
            if (cluster.holds != Holds::nothing) return Piece{i, cluster};
            // Beyond a smaller layer's end nothing of what lies below it shows.
            if (i + 1 < layers_.size() && offset_in_disk >= layers_[i + 1].virtual_bytes()) return Piece{i, {Holds::zeros, 0}};
        }
        return Piece{};
    }

    Result<void> merge_region(std::int64_t region) {
        bool holds_any = false;
        for (Qcow2Layer& layer : layers_) {
            TRY_ASSIGN(const bool here, layer.enter_region(region));
            holds_any = holds_any || here;
        }
        if (!holds_any) return {};
        const std::int64_t table_at = next_cluster_++ * kCluster;
        std::vector<std::byte> table(static_cast<std::size_t>(kCluster));
        const std::int64_t clusters = std::min(kQcow2L2Entries, (spec_.size_bytes - region * kRegionBytes + kCluster - 1) / kCluster);
        for (std::int64_t index = 0; index < clusters; ++index) {
            TRY_ASSIGN(const Piece piece, uppermost(index, region * kRegionBytes + index * kCluster));
            if (piece.cluster.holds == Holds::nothing) continue;
            std::uint64_t entry = kZero;
            if (piece.cluster.holds == Holds::data) {
                entry = static_cast<std::uint64_t>(next_cluster_ * kCluster) | kQcow2Copied;
                TRY(take(piece));
            }
            const auto bytes = big_endian(entry);
            std::copy(bytes.begin(), bytes.end(), table.begin() + index * 8);
        }
        TRY(flush());
        TRY(write_all(fd_, table, table_at));
        return write_all(fd_, big_endian(static_cast<std::uint64_t>(table_at) | kQcow2Copied), kL1At + region * 8);
    }

    // The next cluster of the new file; runs of neighbours are copied in one go.
    Result<void> take(const Piece& piece) {
        const bool goes_on = run_clusters_ > 0 && run_clusters_ < kRunClustersMax && piece.layer == run_.layer &&
                             piece.cluster.offset == run_.cluster.offset + run_clusters_ * kCluster;
        if (!goes_on) {
            TRY(flush());
            run_ = piece;
            run_target_ = next_cluster_ * kCluster;
        }
        ++run_clusters_;
        ++next_cluster_;
        return {};
    }

    Result<void> flush() {
        if (run_clusters_ == 0) return {};
        if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "merging the layers of a disk was cancelled");
        const std::int64_t bytes = run_clusters_ * kCluster;
        TRY(copy_range(layers_[run_.layer].fd(), run_.cluster.offset, fd_, run_target_, bytes));
        run_clusters_ = 0;
        copied_bytes_ += bytes;
        keep_to_the_rate();
        return {};
    }

    void keep_to_the_rate() const {
        if (spec_.bytes_per_second_max <= 0) return;
        const std::chrono::duration<double> due(static_cast<double>(copied_bytes_) / static_cast<double>(spec_.bytes_per_second_max));
        std::this_thread::sleep_until(begun_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(due));
    }

    // The first block is there; more are put at the end. Every cluster of the file has one user.
    Result<void> write_reference_counts() {
        std::int64_t blocks = 1;
        while (blocks * kClustersPerRefcountBlock < next_cluster_ + blocks - 1) ++blocks;
        if (blocks > kRefcountBlocksMax) return fail(ErrorCode::operation_failed, "the layers of the disk are too large to be merged");
        const std::int64_t first_new = next_cluster_;
        next_cluster_ += blocks - 1;
        for (std::int64_t block = 0; block < blocks; ++block) {
            const std::int64_t at = block == 0 ? 2 * kCluster : (first_new + block - 1) * kCluster;
            std::vector<std::byte> counts(static_cast<std::size_t>(kCluster));
            const std::int64_t used = std::min(kClustersPerRefcountBlock, next_cluster_ - block * kClustersPerRefcountBlock);
            for (std::int64_t i = 0; i < used; ++i) counts[static_cast<std::size_t>(2 * i + 1)] = std::byte{1};
            TRY(write_all(fd_, counts, at));
            TRY(write_all(fd_, big_endian(static_cast<std::uint64_t>(at)), kRefcountTableAt + block * 8));
        }
        if (::ftruncate(fd_, next_cluster_ * kCluster) != 0) return io_error("sizing a merged layer", errno);
        return {};
    }

    void report(std::int64_t done) const {
        if (observer_) observer_(CopyProgress{done, spec_.size_bytes});
    }

    int fd_;
    const MergeSpec& spec_;
    const CopyObserver& observer_;
    const std::stop_token& stop_;
    std::vector<Qcow2Layer> layers_;
    std::int64_t next_cluster_ = 0;
    Piece run_;
    std::int64_t run_target_ = 0;
    std::int64_t run_clusters_ = 0;
    std::int64_t copied_bytes_ = 0;
    const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace

Result<void> write_merged_layer(int fd, const MergeSpec& spec, const CopyObserver& observer, const std::stop_token& stop) {
    if (spec.upper_top_first.empty()) return fail(ErrorCode::internal, "there are no layers to merge");
    return Merge(fd, spec, observer, stop).run();
}

}  // namespace ramet::storage
