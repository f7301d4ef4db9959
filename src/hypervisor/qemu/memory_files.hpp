// The files of a memory image: written once while the stream comes in, sealed, then opened by every clone's QEMU.
//
// QEMU 7.2 opens a memory file for writing even when it maps it privately. So the file is sealed in the kernel (immutable, where the file
// system can: then writes fail even through such a descriptor) at all times but the moments in which a QEMU opens it.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/stream_splitter.hpp"

namespace ramet::hypervisor {

// Writes pages in runs, leaves holes for zeros. Sums up a checksum that depends neither on the pages' order nor on which of zeros were sent whole.
class MemoryWriter final : public PageSink {
public:
    MemoryWriter(int fd, std::uint64_t memory_bytes);
    Result<void> page(std::uint64_t offset, std::span<const std::byte> bytes) override;
    Result<void> finish();
    std::string checksum() const;

private:
    Result<void> flush();
    Result<void> replace(std::uint64_t offset);  // forgets what an earlier record of this page has said
    int fd_;
    std::uint64_t memory_bytes_;
    std::vector<bool> written_;
    std::vector<std::byte> run_;
    std::uint64_t run_offset_ = 0;
    std::uint64_t sum_ = 0;
};

class MemoryFiles {
public:
    // A new, empty directory with the file for the memory, as large as it. conflict when it is there.
    static Result<MemoryFiles> make(const MemoryPlace& place, std::uint64_t memory_bytes);
    int memory() const { return memory_.get(); }
    // Writes the device state, gives the memory to `user` and seals it; waits for the disk when `durable`.
    Result<void> complete(const std::string& state, const std::optional<User>& user, bool durable);
    std::int64_t allocated_bytes() const;

private:
    MemoryFiles(std::string directory, Fd fd, Fd memory) : path_(std::move(directory)), directory_(std::move(fd)), memory_(std::move(memory)) {}
    std::string path_;
    Fd directory_, memory_;
};

// A memory image that a QEMU is about to open; sealed again when the last opener is gone. Any thread.
class MemoryOpening {
public:
    static Result<MemoryOpening> begin(const MemoryPlace& place);
    MemoryOpening(MemoryOpening&& other) noexcept
        : memory(std::move(other.memory)),
          state(std::move(other.state)),
          key_(std::exchange(other.key_, {})) {}
    MemoryOpening& operator=(MemoryOpening&&) = delete;
    ~MemoryOpening();
    Fd memory, state;  // an O_PATH handle; a stream at its beginning

private:
    MemoryOpening(Fd memory_handle, Fd state_file, std::string key)
        : memory(std::move(memory_handle)),
          state(std::move(state_file)),
          key_(std::move(key)) {}
    std::string key_;
};

// The stream, at its beginning; operation_failed when it is not the one that was captured.
Result<Fd> open_state(const MemoryPlace& place);
// See Hypervisor::verify_memory.
Result<std::optional<std::string>> verify_memory_files(const MemoryPlace& place, const std::stop_token& stop);
Result<void> remove_memory_files(const MemoryPlace& place);  // absent: success

}  // namespace ramet::hypervisor
