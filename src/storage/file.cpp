#include "storage/file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace ramet::storage {

namespace {

constexpr std::int64_t kHoleBlockBytes = 4096;  // the smallest hole that common file systems keep

bool all_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

Result<void> write_owned(int fd, std::span<const std::byte> bytes, const std::optional<FileOwner>& owner, const std::string& path) {
    if (owner && ::fchown(fd, owner->uid, owner->gid) != 0) return io_error("giving a new file to its user", errno, path);
    SparseWriter writer(fd);
    TRY(writer.append(bytes));
    TRY(writer.finish());
    return sync_file(fd);
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = other.release();
    }
    return *this;
}

void UniqueFd::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

std::unexpected<Error> io_error(const std::string& doing, int error_number, const std::string& where) {
    const char* text = ::strerrordesc_np(error_number);
    const std::string reason = text != nullptr ? text : "error " + std::to_string(error_number);
    const std::string detail = doing + (where.empty() ? std::string{} : " " + where) + ": " + reason;
    if (error_number == ENOSPC || error_number == EDQUOT) {
        return fail(ErrorCode::storage_full, doing + ": the storage is full; free some space or use another storage", detail);
    }
    return fail(ErrorCode::operation_failed, doing + ": " + reason, detail);
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

Result<void> write_all(int fd, std::span<const std::byte> bytes, std::int64_t offset) {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return io_error("writing a file", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += written;
    }
    return {};
}

Result<std::size_t> read_at(int fd, std::span<std::byte> buffer, std::int64_t offset) {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const ssize_t count = ::pread(fd, buffer.data() + done, buffer.size() - done, offset + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return io_error("reading a file", errno);
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return done;
}

Result<void> sync_file(int fd) {
    if (::fsync(fd) != 0) return io_error("bringing a file to disk", errno);
    return {};
}

Result<void> sync_directory(int fd) {
    if (::fsync(fd) != 0 && errno != EINVAL) return io_error("bringing a directory to disk", errno);
    return {};
}

Result<void> SparseWriter::append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        // Up to the next block boundary of the file, so that holes fall on whole blocks.
        const std::int64_t room = kHoleBlockBytes - length_ % kHoleBlockBytes;
        std::size_t piece = std::min(bytes.size(), static_cast<std::size_t>(room));
        const bool hole = all_zero(bytes.first(piece));
        while (piece < bytes.size()) {  // gather neighbours of the same kind into one write
            const std::size_t next = std::min(bytes.size() - piece, static_cast<std::size_t>(kHoleBlockBytes));
            if (all_zero(bytes.subspan(piece, next)) != hole) break;
            piece += next;
        }
        if (!hole) TRY(write_all(fd_, bytes.first(piece), length_));
        length_ += static_cast<std::int64_t>(piece);
        bytes = bytes.subspan(piece);
    }
    return {};
}

Result<void> SparseWriter::finish() {
    if (::ftruncate(fd_, length_) != 0) return io_error("sizing a file", errno);
    return {};
}

Result<void> publish_bytes(const std::string& absolute_path, std::span<const std::byte> bytes, const std::optional<FileOwner>& owner) {
    const std::size_t slash = absolute_path.rfind('/');
    if (absolute_path.empty() || absolute_path.front() != '/' || slash + 1 == absolute_path.size()) {
        return fail(ErrorCode::internal, "a file was to be written at a place that is no absolute path", absolute_path);
    }
    const std::string name = absolute_path.substr(slash + 1);
    const std::string partial = name + std::string(kPartialSuffix);
    const UniqueFd directory(::open(absolute_path.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return io_error("opening the directory of a new file", errno, absolute_path);
    const UniqueFd file(::openat(directory.get(), partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) return io_error("making a file", errno, absolute_path);
    Result<void> outcome = write_owned(file.get(), bytes, owner, absolute_path);
    if (outcome.has_value() && ::renameat(directory.get(), partial.c_str(), directory.get(), name.c_str()) != 0) {
        outcome = io_error("publishing a file", errno, absolute_path);
    }
    if (!outcome.has_value()) {
        ::unlinkat(directory.get(), partial.c_str(), 0);
        return outcome;
    }
    return sync_directory(directory.get());
}

}  // namespace ramet::storage
