#include "hypervisor/qemu/memory_checksum.hpp"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "hypervisor/qemu/stream_splitter.hpp"
#include "storage/file.hpp"

namespace ramet::hypervisor {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;  // whole pages
constexpr std::size_t kSumDigits = 16;

// Fixed: the sum must be the same wherever it is taken.
constexpr std::array<unsigned char, crypto_shorthash_KEYBYTES> kChecksumKey{'r', 'a', 'm', 'e', 't', ' ', 'm', 'e', 'm', 'o', 'r', 'y'};

std::string memory_part(const std::string& checksum) { return checksum.substr(0, kSumDigits); }
std::string state_part(const std::string& checksum) { return checksum.size() > kSumDigits ? checksum.substr(kSumDigits + 1) : ""; }

// What shows that a file may have changed: whoever writes to it changes these.
using Stamp = std::array<std::int64_t, 5>;

Result<Stamp> stamp_of(int fd) {
    struct stat facts{};
    if (::fstat(fd, &facts) < 0) return storage::io_error("looking at a captured device state", errno);
    return Stamp{static_cast<std::int64_t>(facts.st_dev), static_cast<std::int64_t>(facts.st_ino), facts.st_size, facts.st_ctim.tv_sec,
                 facts.st_ctim.tv_nsec};
}

struct CheckedStates {
    std::mutex mutex;
    std::map<std::string, Stamp> by_directory;
};
CheckedStates& checked_states() {
    static CheckedStates all;
    return all;
}

Result<std::string> state_checksum(int fd, std::int64_t bytes) {
    if (bytes > static_cast<std::int64_t>(kStateBytesMax)) return std::string("larger than any");
    std::vector<std::byte> state(static_cast<std::size_t>(bytes));
    TRY_ASSIGN(const std::size_t count, storage::read_at(fd, state, 0));
    return checksum_text(checksum_of_page(0, std::span(state).first(count)));
}

std::unexpected<Error> damaged(const std::string& what, const MemoryPlace& place, const std::string& found, const std::string& expected) {
    return fail(ErrorCode::operation_failed,
                "The captured " + what +
                    " is damaged: its file is not what the capture wrote. Clone without memory, or delete the checkpoint and make it anew",
                place.directory + ": " + found + ", not " + expected);
}

}  // namespace

std::uint64_t checksum_of_page(std::uint64_t offset, std::span<const std::byte> bytes) {
    std::array<unsigned char, crypto_shorthash_BYTES> hash;
    std::array<unsigned char, crypto_shorthash_KEYBYTES> key = kChecksumKey;
    std::memcpy(key.data() + key.size() / 2, &offset, sizeof offset);  // the same page elsewhere is another page
    crypto_shorthash(hash.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), key.data());
    std::uint64_t value;
    std::memcpy(&value, hash.data(), sizeof value);
    return value;
}

bool is_zero_page(std::span<const std::byte> bytes) {
    return bytes.empty() || (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

std::string checksum_text(std::uint64_t memory_sum) {
    std::array<char, kSumDigits + 1> text;
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(memory_sum));
    return text.data();
}

std::string checksum_of_files(const std::string& memory_text, const std::string& state) {
    return memory_text + ":" + checksum_text(checksum_of_page(0, storage::bytes_of(state)));
}

Result<void> check_state(int fd, const MemoryPlace& place) {
    const std::string expected = state_part(place.checksum);
    if (expected.empty()) return {};
    TRY_ASSIGN(const Stamp stamp, stamp_of(fd));
    CheckedStates& checked = checked_states();
    {
        const std::lock_guard lock(checked.mutex);
        const auto known = checked.by_directory.find(place.directory);
        if (known != checked.by_directory.end() && known->second == stamp) return {};
    }
    TRY_ASSIGN(const std::string found, state_checksum(fd, stamp[2]));
    if (found != expected) return damaged("device state", place, found, expected);
    const std::lock_guard lock(checked.mutex);
    checked.by_directory[place.directory] = stamp;
    return {};
}

void forget_checked_state(const MemoryPlace& place) {
    const std::lock_guard lock(checked_states().mutex);
    checked_states().by_directory.erase(place.directory);
}

Result<void> check_memory(int fd, const MemoryPlace& place, const std::stop_token& stop) {
    std::vector<std::byte> buffer(kReadBytes);
    std::uint64_t sum = 0;
    for (off_t at = 0; (at = ::lseek(fd, at, SEEK_DATA)) >= 0;) {
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
        at -= at % static_cast<off_t>(kGuestPageBytes);  // a file system's blocks may be smaller
        TRY_ASSIGN(const std::size_t count, storage::read_at(fd, buffer, at));
        if (count == 0) break;
        for (std::size_t page = 0; page < count; page += kGuestPageBytes) {
            const auto bytes = std::span(buffer).subspan(page, std::min(kGuestPageBytes, count - page));
            if (!is_zero_page(bytes)) sum += checksum_of_page(static_cast<std::uint64_t>(at) + page, bytes);
        }
        at += static_cast<off_t>(count);
    }
    if (const std::string found = checksum_text(sum), expected = memory_part(place.checksum); found != expected)
        return damaged("memory", place, found, expected);
    return {};
}

}  // namespace ramet::hypervisor
