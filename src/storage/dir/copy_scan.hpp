// What a copy of a disk would hold, found without reading any data: from the layers' tables and the holes of their files.
// A copy has clusters of 64 KiB; one is allocated when any layer has bytes for it. Blocks that hold nothing but written zeros are data:
// so the size of the copy is known before it is made. A copy that stands on the base of its source also has clusters that read as zeros:
// where the layers hide what the base has.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/dir/chain_map.hpp"
#include "storage/primary_storage.hpp"
#include "storage/qcow2_writer.hpp"

namespace ramet::storage {

class CopyScan {
public:
    // `size_bytes`: of the copy; at least the source's.
    static Result<CopyScan> make(const ChainSource& source, std::int64_t size_bytes, const std::stop_token& stop);

    struct Region {
        std::bitset<kTableClusters> allocated;
        std::bitset<kTableClusters> zeros;  // where not allocated
    };
    const Region* region(std::int64_t index) const { return regions_.at(static_cast<std::size_t>(index)).get(); }  // null: nothing there
    std::int64_t region_count() const { return static_cast<std::int64_t>(regions_.size()); }

    std::int64_t size_bytes() const { return size_bytes_; }
    std::int64_t data_clusters() const { return data_clusters_; }
    std::int64_t extents() const { return extents_; }  // pieces of the layers' files that make up the data
    bool has_compressed() const { return has_compressed_; }

    Result<Qcow2Layout> layout(Provisioning provisioning) const;
    std::vector<std::int64_t> regions_with_tables(Provisioning provisioning) const;

private:
    struct DataRange {  // from `from` on, the next data of a file is [begin, end)
        std::int64_t from = 0, begin = 0, end = 0;
    };
    Result<void> scan_region(const ChainSource& source, ChainMap& map, std::int64_t index, std::vector<DataRange>& known);
    Result<void> scan_data(const ChainSource& source, const Piece& piece, DataRange& range);
    Result<void> hide_base(const Piece& piece, std::int64_t base_bytes);
    Region& region_of(std::int64_t cluster);
    void mark(std::int64_t begin, std::int64_t end);

    std::int64_t size_bytes_ = 0;
    std::vector<std::unique_ptr<Region>> regions_;
    std::int64_t data_clusters_ = 0;
    std::int64_t extents_ = 0;
    bool has_compressed_ = false;
};

}  // namespace ramet::storage
