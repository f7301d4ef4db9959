#include "daemon/resident_memory.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace ramet::daemon {
namespace {

constexpr std::int64_t kKilobyte = 1024, kMemory = 262'144 * kKilobyte;

std::optional<std::int64_t> resident_of(const std::string& text) {
    std::istringstream smaps(text);
    return resident_of_guest(smaps, kMemory);
}

TEST(ResidentMemory, IsThatOfTheMappingAsLargeAsTheGuest) {
    EXPECT_EQ(resident_of("7f00-7f10 rwxp 0 0 0\nSize:  1048576 kB\nKernelPageSize: 4 kB\nRss:  9000 kB\nPss: 1 kB\n"
                          "7e00-7e10 rw-p 0 0 0\nSize:   262144 kB\nRss:   71234 kB\nPss: 1 kB\n"
                          "7d00-7d10 rw-p 0 0 0\nSize:   131072 kB\nRss:   131072 kB\n"),
              71'234 * kKilobyte);
}

TEST(ResidentMemory, IsNoMoreThanTheGuestHas) { EXPECT_EQ(resident_of("7f00-7f10 rw-p 0 0 0\nSize:  300000 kB\nRss:  299000 kB\n"), kMemory); }

TEST(ResidentMemory, IsNotKnownWithoutSuchAMapping) {
    EXPECT_EQ(resident_of("7d00-7d10 rw-p 0 0 0\nSize:   131072 kB\nRss:   131072 kB\n"), std::nullopt);
    EXPECT_EQ(resident_of(""), std::nullopt);
    EXPECT_EQ(resident_memory("/nowhere", VmId::random(), kMemory), std::nullopt);
}

}  // namespace
}  // namespace ramet::daemon
