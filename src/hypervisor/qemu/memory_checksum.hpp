// The checksum of a memory image's two files, "MEMORY:STATE" in hex digits. It guards against accidents: a disk that forgets, a file that was
// written to or restored half. Images of earlier servers have that of the memory alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"

namespace ramet::hypervisor {

// The memory's is the sum of its pages', so that it does not depend on the order in which they come. Pages of zeros count nothing.
std::uint64_t checksum_of_page(std::uint64_t offset, std::span<const std::byte> bytes);
bool is_zero_page(std::span<const std::byte> bytes);

std::string checksum_text(std::uint64_t memory_sum);
std::string checksum_of_files(const std::string& memory_text, const std::string& state);

// operation_failed when the device state in `fd` is not what the place's checksum was made of. A file that was found to be so is read again only
// when it has changed.
Result<void> check_state(int fd, const MemoryPlace& place);
void forget_checked_state(const MemoryPlace& place);

// The same of the memory. Reads all that the file occupies, every time; cancelled.
Result<void> check_memory(int fd, const MemoryPlace& place, const std::stop_token& stop);

}  // namespace ramet::hypervisor
