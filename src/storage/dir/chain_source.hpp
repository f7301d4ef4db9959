// The layers of a disk, opened and looked at: what every way of copying starts from. Follows no path out of a header.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/file.hpp"
#include "storage/primary_storage.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::storage {

struct OpenLayer {
    UniqueFd file;  // for reading
    DiskFormat format = DiskFormat::qcow2;
    Qcow2Header header;  // of a qcow2 layer
    std::int64_t file_bytes = 0;
    std::int64_t virtual_bytes = 0;
};

struct ChainSource {
    std::vector<OpenLayer> layers;  // top first; at least one
    std::int64_t base_bytes = 0;    // of what the lowest of them stands on, which is not looked into; 0: they are the complete chain
    std::int64_t virtual_bytes() const { return layers.front().virtual_bytes; }
};

// Checks each layer's header (no foreign data file, no encryption, whole tables) and that the chain is the complete one: a layer that
// builds on another has a next one here, the last one builds on nothing. operation_failed otherwise.
Result<ChainSource> open_chain(const std::vector<Place>& chain_top_first);

// The same for the layers above `base`, each of which builds on another.
Result<ChainSource> open_layers_above(const Place& base, const std::vector<Place>& upper_top_first);

// "json:{...}": names the chain to qemu-img so completely that it probes nothing. The files are named by their number in the child, the
// top layer's being inherited_name(first_inherited).
std::string tool_name_of(const ChainSource& source, std::size_t first_inherited);

}  // namespace ramet::storage
