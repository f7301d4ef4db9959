#include "daemon/resident_memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/limits.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/run_directory.hpp"

namespace ramet::daemon {

namespace {

// "Rss:   1234 kB" in bytes; nothing for another line.
std::optional<std::int64_t> field_bytes(const std::string& line, const std::string& name) {
    if (!line.starts_with(name)) return std::nullopt;
    std::int64_t kilobytes = 0;
    std::istringstream(line.substr(name.size())) >> kilobytes;
    return kilobytes * limits::kKiB;
}

}  // namespace

std::optional<std::int64_t> resident_of_guest(std::istream& smaps, std::int64_t memory_bytes) {
    std::int64_t size = 0, nearest = std::numeric_limits<std::int64_t>::max();
    std::optional<std::int64_t> resident;
    for (std::string line; std::getline(smaps, line);) {
        if (const std::optional<std::int64_t> bytes = field_bytes(line, "Size:")) size = *bytes;
        const std::optional<std::int64_t> bytes = field_bytes(line, "Rss:");
        if (!bytes || size < memory_bytes || size >= nearest) continue;
        nearest = size;
        resident = std::min(*bytes, memory_bytes);
    }
    return resident;
}

std::optional<std::int64_t> resident_memory(const std::string& run_root, const VmId& vm, std::int64_t memory_bytes) {
    const Result<std::optional<hypervisor::RunDirectory>> directory = hypervisor::RunDirectory::find(run_root, vm);
    if (!directory.has_value() || !*directory) return std::nullopt;
    const std::optional<std::pair<pid_t, std::uint64_t>> process = (*directory)->read_pid();
    if (!process || hypervisor::start_time_of(process->first) != process->second) return std::nullopt;
    std::ifstream smaps("/proc/" + std::to_string(process->first) + "/smaps");
    return resident_of_guest(smaps, memory_bytes);
}

}  // namespace ramet::daemon
