// What a VM's process has of its memory in use, as the kernel counts it, without pages of zeros: for estimates, since it may change at any time.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "base/id.hpp"

namespace ramet::daemon {

// Bytes, of a VM with so much memory. Nothing when it is off, or the kernel does not let us look. Where it does not let us look into the pages,
// those of zeros are counted too. Of a large memory a part is looked at, evenly.
std::optional<std::int64_t> resident_memory(const std::string& run_root, const VmId& vm, std::int64_t memory_bytes);

struct GuestMapping {
    std::uint64_t begin = 0;  // its address
    std::int64_t bytes = 0, resident_bytes = 0;
};
// From the text of /proc/PID/smaps: the guest's memory, which is the mapping of its size, or that and a neighbour as one.
std::optional<GuestMapping> mapping_of_guest(std::istream& smaps, std::int64_t memory_bytes);

// Of the resident pages of a mapping of process `pid`, the part that is not zeros; nothing where that cannot be seen.
std::optional<double> part_in_use(int pid, const GuestMapping& mapping);

}  // namespace ramet::daemon
