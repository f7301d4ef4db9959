#include "hypervisor/qemu/memory_files.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "hypervisor/qemu/memory_checksum.hpp"

namespace ramet::hypervisor {
namespace {

constexpr const char* kMemoryName = "ram";
constexpr const char* kStateName = "state";
constexpr std::size_t kRunBytesMax = 1 << 20;
constexpr mode_t kSealedMode = 0400;
constexpr mode_t kOpenMode = 0600;

std::unexpected<Error> broken(const std::string& doing, const std::string& where) { return storage::io_error(doing, errno, where); }

// Immutable where the file system knows that; the mode tells the rest.
void set_sealed(int fd, bool sealed) {
    int flags = 0;
    const bool known = ::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    int wanted = sealed ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    if (!sealed && known && wanted != flags) ::ioctl(fd, FS_IOC_SETFLAGS, &wanted);
    ::fchmod(fd, sealed ? kSealedMode : kOpenMode);
    if (sealed && known && wanted != flags) ::ioctl(fd, FS_IOC_SETFLAGS, &wanted);
}

struct Openings {
    std::mutex mutex;
    std::map<std::string, int> count;  // by directory
};
Openings& openings() {
    static Openings all;
    return all;
}

Result<Fd> open_file(const MemoryPlace& place, const char* name) {
    Fd file(::open((place.directory + "/" + name).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (file.valid()) return file;
    const bool absent = errno == ENOENT;  // anything else may pass
    return fail(absent ? ErrorCode::operation_failed : ErrorCode::internal, "The memory image to start from is not there",
                place.directory + ": " + std::strerror(errno));
}

void seal_at(const std::string& directory, bool sealed) {
    const Fd file(::open((directory + "/" + kMemoryName).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (file.valid()) set_sealed(file.get(), sealed);
}

}  // namespace

MemoryWriter::MemoryWriter(int fd, std::uint64_t memory_bytes) : fd_(fd), memory_bytes_(memory_bytes), written_(memory_bytes / kGuestPageBytes) {
    run_.reserve(kRunBytesMax);
}

Result<void> MemoryWriter::page(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (offset % kGuestPageBytes != 0 || offset >= memory_bytes_) return fail(ErrorCode::internal, "a page beyond the end of the memory");
    const std::size_t index = offset / kGuestPageBytes;
    if (written_[index]) TRY(replace(offset));
    written_[index] = !is_zero_page(bytes);
    if (!written_[index]) return {};
    sum_ += checksum_of_page(offset, bytes);
    if (!run_.empty() && (run_offset_ + run_.size() != offset || run_.size() == kRunBytesMax)) TRY(flush());
    if (run_.empty()) run_offset_ = offset;
    run_.insert(run_.end(), bytes.begin(), bytes.end());
    return {};
}

Result<void> MemoryWriter::replace(std::uint64_t offset) {
    TRY(flush());
    std::array<std::byte, kGuestPageBytes> page;
    TRY(storage::read_at(fd_, page, static_cast<std::int64_t>(offset)));
    sum_ -= checksum_of_page(offset, page);
    page.fill(std::byte{0});
    return storage::write_all(fd_, page, static_cast<std::int64_t>(offset));
}

Result<void> MemoryWriter::flush() {
    if (run_.empty()) return {};
    TRY(storage::write_all(fd_, run_, static_cast<std::int64_t>(run_offset_)));
    run_.clear();
    return {};
}

Result<void> MemoryWriter::finish() { return flush(); }

std::string MemoryWriter::checksum() const { return checksum_text(sum_); }

Result<MemoryFiles> MemoryFiles::make(const MemoryPlace& place, std::uint64_t memory_bytes) {
    if (::mkdir(place.directory.c_str(), 0700) < 0) return broken("making the memory image's directory", place.directory);
    Fd directory(::open(place.directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    Fd memory(directory.valid() ? ::openat(directory.get(), kMemoryName, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOpenMode) : -1);
    if (!memory.valid() || ::ftruncate(memory.get(), static_cast<off_t>(memory_bytes)) < 0) {
        const auto error = broken("making the memory image", place.directory);
        (void)remove_memory_files(place);
        return error;
    }
    return MemoryFiles(place.directory, std::move(directory), std::move(memory));
}

Result<void> MemoryFiles::complete(const std::string& state, const std::optional<User>& user, bool durable) {
    const Fd file(::openat(directory_.get(), kStateName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kSealedMode));
    if (!file.valid()) return broken("making the device state's file", path_);
    TRY(storage::write_all(file.get(), storage::bytes_of(state), 0));
    if (user && ::fchown(memory_.get(), user->uid, user->gid) < 0) return broken("giving the memory image to QEMU's user", path_);
    set_sealed(memory_.get(), true);
    if (!durable) return {};
    const Fd parent(::openat(directory_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (const int fd : {memory_.get(), file.get(), directory_.get(), parent.get()}) {
        if (::fsync(fd) < 0) return broken("writing the memory image through to the disk", path_);
    }
    return {};
}

std::int64_t MemoryFiles::allocated_bytes() const {
    struct stat facts{};
    return ::fstat(memory_.get(), &facts) == 0 ? static_cast<std::int64_t>(facts.st_blocks) * 512 : 0;
}

Result<MemoryOpening> MemoryOpening::begin(const MemoryPlace& place) {
    const std::string memory_path = place.directory + "/" + kMemoryName;
    TRY_ASSIGN(Fd state, open_state(place));
    Fd memory(::open(memory_path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!memory.valid()) {
        return fail(ErrorCode::operation_failed, "The memory image to start from is not there", place.directory + ": " + std::strerror(errno));
    }
    const std::lock_guard lock(openings().mutex);
    if (++openings().count[place.directory] == 1) seal_at(place.directory, false);
    return MemoryOpening(std::move(memory), std::move(state), place.directory);
}

MemoryOpening::~MemoryOpening() {
    if (key_.empty()) return;
    const std::lock_guard lock(openings().mutex);
    const auto found = openings().count.find(key_);
    if (found == openings().count.end() || --found->second > 0) return;
    openings().count.erase(found);
    seal_at(key_, true);
}

Result<Fd> open_state(const MemoryPlace& place) {
    TRY_ASSIGN(Fd state, open_file(place, kStateName));
    TRY(check_state(state.get(), place));
    return state;
}

Result<std::optional<std::string>> verify_memory_files(const MemoryPlace& place, const std::stop_token& stop) {
    const Result<Fd> state = open_state(place);
    const Result<Fd> memory = open_file(place, kMemoryName);
    const Result<void> whole = !state.has_value()    ? Result<void>(std::unexpected(state.error()))
                               : !memory.has_value() ? Result<void>(std::unexpected(memory.error()))
                                                     : check_memory(memory->get(), place, stop);
    if (whole.has_value()) return std::nullopt;
    if (whole.error().code == ErrorCode::operation_failed) return whole.error().message;
    return std::unexpected(whole.error());
}

Result<void> remove_memory_files(const MemoryPlace& place) {
    const Fd directory(::open(place.directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory.valid()) return errno == ENOENT ? Result<void>() : Result<void>(broken("removing a memory image", place.directory));
    seal_at(place.directory, false);
    forget_checked_state(place);
    for (const char* name : {kMemoryName, kStateName}) {
        if (::unlinkat(directory.get(), name, 0) < 0 && errno != ENOENT) return broken("removing a memory image", place.directory);
    }
    if (::rmdir(place.directory.c_str()) < 0 && errno != ENOENT) return broken("removing a memory image", place.directory);
    return {};
}

}  // namespace ramet::hypervisor
