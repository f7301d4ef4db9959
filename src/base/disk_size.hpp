// Sizes of disks, which are whole sectors.
#pragma once

#include <cstdint>
#include <limits>

namespace ramet {

// The size of the smallest disk that holds so many bytes. A number that no disk can have stays as it is, for its maker to refuse.
constexpr std::int64_t whole_sectors(std::int64_t bytes) {
    constexpr std::int64_t kSectorBytes = 512;
    const std::int64_t rest = bytes % kSectorBytes;
    if (rest <= 0 || bytes > std::numeric_limits<std::int64_t>::max() - kSectorBytes) return bytes;
    return bytes - rest + kSectorBytes;
}

}  // namespace ramet
