// What a VM's process has of its memory in use, as the kernel counts it: for estimates, since it may change at any time.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "base/id.hpp"

namespace ramet::daemon {

// Bytes, of a VM with so much memory. Nothing when it is off, or the kernel does not let us look.
std::optional<std::int64_t> resident_memory(const std::string& run_root, const VmId& vm, std::int64_t memory_bytes);

// From the text of /proc/PID/smaps: what is resident of the guest's memory, which is the mapping of its size, or that and a neighbour as one.
std::optional<std::int64_t> resident_of_guest(std::istream& smaps, std::int64_t memory_bytes);

}  // namespace ramet::daemon
