// Names a chain of layers to qemu-img so completely that it probes nothing and follows no path out of a header.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/file.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::storage {

struct ChainSource {
    std::string json_name;        // "json:{...}"; names the files by their number in the child
    std::int64_t virtual_bytes;   // of the top layer
    std::vector<UniqueFd> files;  // top first, open for reading; to be inherited from number `first_inherited` on
};

// Checks each layer's header (no foreign data file, no encryption, whole tables) and that the chain is the complete one: a layer that
// builds on another has a next one here, the last one builds on nothing. operation_failed otherwise.
Result<ChainSource> chain_source(const std::vector<Place>& chain_top_first, std::size_t first_inherited);

}  // namespace ramet::storage
