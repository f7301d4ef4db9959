// What kind of place memory images are kept in.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace ramet::lifecycle {

struct MemoryPlaceFacts {
    bool tmpfs = false;  // in the host's memory: gone after a power cut, and userfaultfd protects private mappings of it
    std::int64_t available_bytes = 0;
};

// Of the file system that `directory` is on, or will be on when it is made.
Result<MemoryPlaceFacts> memory_place_facts(const std::string& directory);

}  // namespace ramet::lifecycle
