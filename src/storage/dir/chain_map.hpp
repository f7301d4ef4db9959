// Which bytes of which file a disk consists of: the one reader of the tables of a chain of qcow2 and raw layers, for copies and merges.
// Tables are hostile input: every offset, index and size is checked, nothing is followed twice without end, memory is bounded by one
// table per layer. Source of the format: QEMU docs/interop/qcow2.txt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/dir/chain_source.hpp"

namespace ramet::storage {

enum class Holds : std::uint8_t {
    data,
    compressed,  // the content is not at `host`; only that there is some is known
    zeros,       // whatever lies below
};

// Bytes of the disk that one layer decides about. What no piece names reads as zeros, or as the base that the chain stands on.
struct Piece {
    std::int64_t guest = 0;  // where in the disk
    std::int64_t bytes = 0;
    std::size_t layer = 0;  // 0: the top
    std::int64_t host = 0;  // of data: where in the layer's file; may reach beyond its end, which reads as zeros
    Holds holds = Holds::data;
};

// One thread at a time. The source outlives the map.
class ChainMap {
public:
    // The reason why the layers cannot be read here though they are whole and qemu-img can: internal snapshots, extended L2 entries.
    static std::optional<std::string> unusual(const ChainSource& source);

    explicit ChainMap(const ChainSource& source);

    // The pieces of [begin, end), by guest offset, neighbours joined. operation_failed naming the layer whose tables are damaged.
    Result<std::vector<Piece>> pieces(std::int64_t begin, std::int64_t end);

private:
    struct Tables {
        std::int64_t loaded_l1 = -1;     // index of the table in `l2`
        std::vector<std::uint64_t> l2;   // empty: unallocated as a whole
        std::int64_t clusters_seen = 0;  // data clusters met so far: more than the file can hold means overlapping entries
        std::int64_t counted_until = 0;  // clusters of the disk below this number are counted
    };
    Result<void> collect(std::size_t layer, std::int64_t begin, std::int64_t end, std::vector<Piece>& out);
    Result<void> collect_qcow2(std::size_t layer, std::int64_t begin, std::int64_t end, std::vector<Piece>& out);
    Result<void> load(std::size_t layer, std::int64_t l1_index);
    Result<void> add_cluster(std::size_t layer, std::uint64_t entry, Piece piece, std::vector<Piece>& out);
    std::unexpected<Error> damaged(std::size_t layer, const std::string& why) const;

    const ChainSource& source_;
    std::vector<Tables> tables_;
};

}  // namespace ramet::storage
