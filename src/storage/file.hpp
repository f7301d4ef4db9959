// Small pieces for files that must be whole or absent: a descriptor that closes itself, writes that end completely, fsync with errors.
#pragma once

#include <sys/types.h>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.hpp"

namespace ramet::storage {

// Who owns the files we make: the unprivileged user that QEMU runs as.
struct FileOwner {
    uid_t uid;
    gid_t gid;
};

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept;
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }
    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }
    int release() {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }
    void reset();

private:
    int fd_ = -1;
};

// storage_full for ENOSPC and EDQUOT, operation_failed for the rest. `where` (a path) goes into `detail` alone.
std::unexpected<Error> io_error(const std::string& doing, int error_number, const std::string& where = {});

// Of a value as it lies in a file of big-endian numbers, and back.
constexpr std::uint64_t from_big_endian(std::uint64_t stored) { return std::endian::native == std::endian::big ? stored : __builtin_bswap64(stored); }
constexpr std::uint64_t to_big_endian(std::uint64_t value) { return from_big_endian(value); }

Result<void> write_all(int fd, std::span<const std::byte> bytes, std::int64_t offset);
std::span<const std::byte> bytes_of(std::string_view text);

// Reads until the buffer is full or the file ends; returns the number of bytes read.
Result<std::size_t> read_at(int fd, std::span<std::byte> buffer, std::int64_t offset);

Result<void> sync_file(int fd);
Result<void> sync_directory(int fd);  // file systems that cannot sync a directory (EINVAL) need none

// Appends to an empty file and leaves holes for aligned blocks of zeros, so that a sparse disk stays sparse.
class SparseWriter {
public:
    explicit SparseWriter(int fd) : fd_(fd) {}
    Result<void> append(std::span<const std::byte> bytes);
    Result<void> finish();  // gives the file its length when it ends in a hole
    std::int64_t length() const { return length_; }

private:
    int fd_;
    std::int64_t length_ = 0;
};

// Writes <absolute_path>.partial, fsyncs, renames, fsyncs the directory. Mode 0600. Nothing is left when it fails.
Result<void> publish_bytes(const std::string& absolute_path, std::span<const std::byte> bytes, const std::optional<FileOwner>& owner);

inline constexpr std::string_view kPartialSuffix = ".partial";

}  // namespace ramet::storage
