#include "daemon/resident_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/limits.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/run_directory.hpp"
#include "storage/file.hpp"

namespace ramet::daemon {

namespace {

// "Rss:   1234 kB" in bytes; nothing for another line.
std::optional<std::int64_t> field_bytes(const std::string& line, const std::string& name) {
    if (!line.starts_with(name)) return std::nullopt;
    std::int64_t kilobytes = 0;
    std::istringstream(line.substr(name.size())) >> kilobytes;
    return kilobytes * limits::kKiB;
}

// "7f6347e00000-7f634fe00000 rw-p ...": its first number; nothing for another line.
std::optional<std::uint64_t> begin_of_mapping(const std::string& line) {
    std::uint64_t begin = 0;
    const char* const end = line.data() + line.size();
    const auto [rest, error] = std::from_chars(line.data(), end, begin, 16);
    if (error != std::errc{} || rest == end || *rest != '-') return std::nullopt;
    return begin;
}

constexpr std::int64_t kPageBytes = 4096;
constexpr std::int64_t kPagesLookedAt = 16'384;  // some 20 ms; of a guest's pages in use it tells the number to about one percent
constexpr std::uint64_t kPagePresent = 1ULL << 63;

}  // namespace

std::optional<GuestMapping> mapping_of_guest(std::istream& smaps, std::int64_t memory_bytes) {
    GuestMapping mapping;
    std::optional<GuestMapping> guest;
    for (std::string line; std::getline(smaps, line);) {
        if (const std::optional<std::uint64_t> begin = begin_of_mapping(line)) mapping.begin = *begin;
        if (const std::optional<std::int64_t> bytes = field_bytes(line, "Size:")) mapping.bytes = *bytes;
        const std::optional<std::int64_t> resident = field_bytes(line, "Rss:");
        if (!resident || mapping.bytes < memory_bytes || (guest && mapping.bytes >= guest->bytes)) continue;
        guest = mapping;
        guest->resident_bytes = std::min(*resident, memory_bytes);
    }
    return guest;
}

std::optional<double> part_in_use(int pid, const GuestMapping& mapping) {
    const std::string process = "/proc/" + std::to_string(pid);
    const storage::UniqueFd entries(::open((process + "/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
    const storage::UniqueFd memory(::open((process + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    if (!entries.valid() || !memory.valid()) return std::nullopt;
    const std::int64_t pages = mapping.bytes / kPageBytes;
    const std::int64_t pace = pages / kPagesLookedAt | 1;  // odd: what a guest lays out, it lays out in powers of two
    std::int64_t present = 0, in_use = 0;
    std::string page(kPageBytes, '\0');
    for (std::int64_t i = 0; i < pages; i += pace) {
        const std::uint64_t address = mapping.begin + static_cast<std::uint64_t>(i) * kPageBytes;
        std::uint64_t entry = 0;
        if (::pread(entries.get(), &entry, sizeof entry, static_cast<off_t>(address / kPageBytes * sizeof entry)) != sizeof entry)
            return std::nullopt;
        if ((entry & kPagePresent) == 0) continue;  // reading it would bring it in
        if (::pread(memory.get(), page.data(), page.size(), static_cast<off_t>(address)) != kPageBytes) return std::nullopt;
        ++present;
        in_use += page.find_first_not_of('\0') == std::string::npos ? 0 : 1;
    }
    if (present == 0) return std::nullopt;
    return static_cast<double>(in_use) / static_cast<double>(present);
}

std::optional<std::int64_t> resident_memory(const std::string& run_root, const VmId& vm, std::int64_t memory_bytes) {
    const Result<std::optional<hypervisor::RunDirectory>> directory = hypervisor::RunDirectory::find(run_root, vm);
    if (!directory.has_value() || !*directory) return std::nullopt;
    const std::optional<std::pair<pid_t, std::uint64_t>> process = (*directory)->read_pid();
    if (!process || hypervisor::start_time_of(process->first) != process->second) return std::nullopt;
    std::ifstream smaps("/proc/" + std::to_string(process->first) + "/smaps");
    const std::optional<GuestMapping> mapping = mapping_of_guest(smaps, memory_bytes);
    if (!mapping) return std::nullopt;
    return std::llround(static_cast<double>(mapping->resident_bytes) * part_in_use(process->first, *mapping).value_or(1));
}

}  // namespace ramet::daemon
