#include "storage/dir/chain_map.hpp"

#include <algorithm>

namespace ramet::storage {

namespace {

void append(std::vector<Piece>& out, Piece piece) {
    if (!out.empty()) {
        Piece& last = out.back();
        const bool joins = last.layer == piece.layer && last.holds == piece.holds && last.guest + last.bytes == piece.guest &&
                           (piece.holds != Holds::data || last.host + last.bytes == piece.host);
        if (joins) {
            last.bytes += piece.bytes;
            return;
        }
    }
    out.push_back(piece);
}

}  // namespace

std::optional<std::string> ChainMap::unusual(const ChainSource& source) {
    for (std::size_t index = 0; index < source.layers.size(); ++index) {
        const OpenLayer& layer = source.layers[index];
        if (layer.format != DiskFormat::qcow2) continue;
        const std::string where = " in layer " + std::to_string(index);
        if (layer.header.snapshots != 0) return "internal snapshots" + where;
        if ((layer.header.incompatible & kQcow2ExtendedL2) != 0) return "extended L2 entries" + where;
    }
    return std::nullopt;
}

ChainMap::ChainMap(const ChainSource& source) : source_(source), tables_(source.layers.size()) {}

std::unexpected<Error> ChainMap::damaged(std::size_t layer, const std::string& why) const {
    return fail(ErrorCode::operation_failed,
                "layer " + std::to_string(layer) + " of the disk is damaged: " + why + "; look at it with 'qemu-img check'");
}

Result<std::vector<Piece>> ChainMap::pieces(std::int64_t begin, std::int64_t end) {
    std::vector<Piece> out;
    TRY(collect(0, begin, end, out));
    return out;
}

Result<void> ChainMap::collect(std::size_t layer, std::int64_t begin, std::int64_t end, std::vector<Piece>& out) {
    if (layer == source_.layers.size()) return {};
    const std::int64_t visible = std::clamp(source_.layers[layer].virtual_bytes, begin, end);
    if (begin < visible && source_.layers[layer].format == DiskFormat::raw) append(out, Piece{begin, visible - begin, layer, begin, Holds::data});
    if (begin < visible && source_.layers[layer].format == DiskFormat::qcow2) TRY(collect_qcow2(layer, begin, visible, out));
    // QEMU: beyond the end of a lower layer nothing of what lies below it shows.
    if (visible < end) append(out, Piece{visible, end - visible, layer, 0, Holds::zeros});
    return {};
}

Result<void> ChainMap::collect_qcow2(std::size_t layer, std::int64_t begin, std::int64_t end, std::vector<Piece>& out) {
    const Qcow2Header& header = source_.layers[layer].header;
    const std::int64_t cluster = std::int64_t{1} << header.cluster_bits;
    const std::int64_t covered = cluster * (cluster / 8);  // by one L2 table
    std::int64_t below = begin;                            // from here to `at` this layer has nothing: the lower one is asked for it in one go
    std::int64_t at = begin;
    while (at < end) {
        // The lower layers' answers come before this layer's next piece, so that the pieces stay in order.
        TRY(load(layer, at / covered));
        const std::vector<std::uint64_t>& l2 = tables_[layer].l2;
        if (l2.empty()) {
            at = std::min(end, (at / covered + 1) * covered);
            continue;
        }
        const std::int64_t next = std::min(end, (at / cluster + 1) * cluster);
        const std::uint64_t entry = l2[static_cast<std::size_t>(at % covered / cluster)];
        const bool has_something = (entry & ~kQcow2Copied) != 0;
        if (has_something) {
            if (below < at) TRY(collect(layer + 1, below, at, out));
            TRY(add_cluster(layer, entry, Piece{at, next - at, layer, at % cluster, Holds::data}, out));
            below = next;
        }
        at = next;
    }
    return below < end ? collect(layer + 1, below, end, out) : Result<void>{};
}

// `piece.host` is the offset inside the cluster.
Result<void> ChainMap::add_cluster(std::size_t layer, std::uint64_t entry, Piece piece, std::vector<Piece>& out) {
    const OpenLayer& open = source_.layers[layer];
    const std::int64_t cluster = std::int64_t{1} << open.header.cluster_bits;
    if ((entry & kQcow2Compressed) != 0) {
        piece.holds = Holds::compressed;
        append(out, piece);
        return {};
    }
    if ((entry & ~(kQcow2OffsetMask | kQcow2Copied | kQcow2ReadsAsZeros)) != 0) return damaged(layer, "an L2 entry has bits that no version knows");
    if ((entry & kQcow2ReadsAsZeros) != 0) {
        if (open.header.version < 3) return damaged(layer, "an L2 entry has bits that its version does not know");
        piece.holds = Holds::zeros;
        append(out, piece);
        return {};
    }
    const auto offset = static_cast<std::int64_t>(entry & kQcow2OffsetMask);
    if (offset % cluster != 0) return damaged(layer, "a cluster's offset is not aligned");
    // A file may end inside its last cluster, which then reads as zeros from there on.
    if (offset < cluster || offset >= open.file_bytes) return damaged(layer, "a cluster lies outside the file");
    Tables& tables = tables_[layer];
    if (const std::int64_t number = piece.guest / cluster; number >= tables.counted_until) {
        tables.counted_until = number + 1;
        if (++tables.clusters_seen > open.file_bytes / cluster + 1) return damaged(layer, "its entries name more clusters than the file has");
    }
    piece.host += offset;
    append(out, piece);
    return {};
}

Result<void> ChainMap::load(std::size_t layer, std::int64_t l1_index) {
    Tables& tables = tables_[layer];
    if (tables.loaded_l1 == l1_index) return {};
    const OpenLayer& open = source_.layers[layer];
    const std::int64_t cluster = std::int64_t{1} << open.header.cluster_bits;
    tables.loaded_l1 = -1;
    tables.l2.clear();
    // check_qcow2_layer: the table covers the layer's size and lies in the file.
    if (l1_index >= std::int64_t{open.header.l1_entries}) return damaged(layer, "its L1 table is too small");
    std::uint64_t stored = 0;
    const auto l1_at = static_cast<std::int64_t>(open.header.l1_offset) + l1_index * 8;
    TRY_ASSIGN(std::size_t got, read_at(open.file.get(), std::as_writable_bytes(std::span(&stored, 1)), l1_at));
    if (got != sizeof stored) return damaged(layer, "its L1 table ends too early");
    const std::uint64_t entry = from_big_endian(stored);
    if ((entry & ~(kQcow2OffsetMask | kQcow2Copied)) != 0) return damaged(layer, "an L1 entry has bits that no version knows");
    const auto offset = static_cast<std::int64_t>(entry & kQcow2OffsetMask);
    if (offset != 0) {
        if (offset % cluster != 0 || offset < cluster || offset > open.file_bytes - cluster)
            return damaged(layer, "an L2 table lies outside the file");
        tables.l2.resize(static_cast<std::size_t>(cluster / 8));
        TRY_ASSIGN(got, read_at(open.file.get(), std::as_writable_bytes(std::span(tables.l2)), offset));
        if (got != static_cast<std::size_t>(cluster)) return damaged(layer, "an L2 table ends too early");
        for (std::uint64_t& value : tables.l2) value = from_big_endian(value);
    }
    tables.loaded_l1 = l1_index;
    return {};
}

}  // namespace ramet::storage
