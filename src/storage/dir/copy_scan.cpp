#include "storage/dir/copy_scan.hpp"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <limits>

namespace ramet::storage {

namespace {

constexpr std::int64_t kNoMore = std::numeric_limits<std::int64_t>::max();

}  // namespace

Result<CopyScan> CopyScan::make(const ChainSource& source, std::int64_t size_bytes, const std::stop_token& stop) {
    CopyScan scan;
    scan.size_bytes_ = size_bytes;
    TRY_ASSIGN(const Qcow2Layout empty, qcow2_layout(size_bytes, 0, 0));  // also checks the size
    scan.regions_.resize(static_cast<std::size_t>(empty.l1_entries));
    ChainMap map(source);
    std::vector<DataRange> known(source.layers.size());
    for (std::int64_t index = 0; index < empty.l1_entries; ++index) {
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the copy was cancelled");
        TRY(scan.scan_region(source, map, index, known));
    }
    return scan;
}

Result<void> CopyScan::scan_region(const ChainSource& source, ChainMap& map, std::int64_t index, std::vector<DataRange>& known) {
    TRY_ASSIGN(const std::vector<Piece> pieces, map.pieces(index * kRegionBytes, std::min((index + 1) * kRegionBytes, size_bytes_)));
    for (const Piece& piece : pieces) {
        if (piece.holds == Holds::compressed) {
            has_compressed_ = true;
            ++extents_;
            mark(piece.guest, piece.guest + piece.bytes);
            continue;
        }
        TRY(hide_base(piece, source.base_bytes));
        if (piece.holds == Holds::data) TRY(scan_data(source, piece, known[piece.layer]));
    }
    return {};
}

Result<void> CopyScan::scan_data(const ChainSource& source, const Piece& piece, DataRange& range) {
    const int file = source.layers[piece.layer].file.get();
    for (std::int64_t at = piece.host; at < piece.host + piece.bytes; at = range.end) {
        if (at < range.from || at >= range.end) {
            const off_t begin = ::lseek(file, at, SEEK_DATA);
            if (begin < 0 && errno != ENXIO && errno != EINVAL) return io_error("looking for the data of a layer", errno);
            if (begin < 0)
                range = errno == ENXIO ? DataRange{at, kNoMore, kNoMore} : DataRange{at, at, kNoMore};  // EINVAL: holes are not told
            else
                range = {at, begin, std::max<std::int64_t>(::lseek(file, begin, SEEK_HOLE), begin + 1)};
        }
        const std::int64_t from = std::max(at, range.begin);
        const std::int64_t to = std::min(piece.host + piece.bytes, range.end);
        if (from >= to) break;
        ++extents_;
        mark(piece.guest + (from - piece.host), piece.guest + (to - piece.host));
    }
    return {};
}

// Of a copy over the source's base: nothing of the base shows where the piece is, be it zeros or a hole of the layer's file.
Result<void> CopyScan::hide_base(const Piece& piece, std::int64_t base_bytes) {
    const std::int64_t end = std::min(piece.guest + piece.bytes, base_bytes);
    if (piece.guest >= end) return {};
    const std::int64_t first = piece.guest / kClusterBytes;
    const auto bit = static_cast<std::size_t>(first % kTableClusters);
    // Our clusters are whole; only where a layer ends that is smaller than the base could one show half of it.
    const Region& region = region_of(first);
    if (piece.guest % kClusterBytes != 0 && !region.allocated[bit] && !region.zeros[bit])
        return fail(ErrorCode::operation_failed, "a layer of the disk ends inside a cluster, above a larger one; the layers cannot be merged");
    for (std::int64_t cluster = first; cluster <= (end - 1) / kClusterBytes; ++cluster) {
        region_of(cluster).zeros.set(static_cast<std::size_t>(cluster % kTableClusters));
    }
    return {};
}

CopyScan::Region& CopyScan::region_of(std::int64_t cluster) {
    std::unique_ptr<Region>& region = regions_[static_cast<std::size_t>(cluster / kTableClusters)];
    if (region == nullptr) region = std::make_unique<Region>();
    return *region;
}

void CopyScan::mark(std::int64_t begin, std::int64_t end) {
    for (std::int64_t cluster = begin / kClusterBytes; cluster <= (end - 1) / kClusterBytes; ++cluster) {
        Region& region = region_of(cluster);
        const auto bit = static_cast<std::size_t>(cluster % kTableClusters);
        if (region.allocated[bit]) continue;
        region.allocated.set(bit);
        ++data_clusters_;
    }
}

Result<Qcow2Layout> CopyScan::layout(Provisioning provisioning) const {
    const auto tables = static_cast<std::int64_t>(regions_with_tables(provisioning).size());
    const bool thick = provisioning == Provisioning::thick;
    return qcow2_layout(size_bytes_, tables, thick ? (size_bytes_ + kClusterBytes - 1) / kClusterBytes : data_clusters_);
}

std::vector<std::int64_t> CopyScan::regions_with_tables(Provisioning provisioning) const {
    std::vector<std::int64_t> indexes;
    for (std::int64_t index = 0; index < region_count(); ++index) {
        if (provisioning == Provisioning::thick || region(index) != nullptr) indexes.push_back(index);
    }
    return indexes;
}

}  // namespace ramet::storage
