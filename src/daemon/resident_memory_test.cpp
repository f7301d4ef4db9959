#include "daemon/resident_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace ramet::daemon {
namespace {

constexpr std::int64_t kKilobyte = 1024, kMemory = 262'144 * kKilobyte;

std::optional<std::int64_t> resident_of(const std::string& text) {
    std::istringstream smaps(text);
    const std::optional<GuestMapping> mapping = mapping_of_guest(smaps, kMemory);
    return mapping ? std::optional(mapping->resident_bytes) : std::nullopt;
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

TEST(ResidentMemory, CountsPagesThatAreNotZerosAndTouchesNoOther) {
    constexpr std::int64_t kBytes = 4096 * 3000;
    void* const area = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(area, MAP_FAILED);
    ::madvise(area, kBytes, MADV_NOHUGEPAGE);
    auto* const bytes = static_cast<volatile char*>(area);
    for (int page = 0; page < 2000; ++page) bytes[4096 * page + 17] = page % 4 == 0 ? 1 : 0;  // a quarter of those that are touched
    const std::optional<double> part = part_in_use(::getpid(), {reinterpret_cast<std::uint64_t>(area), kBytes, 4096 * 2000});
    ASSERT_TRUE(part.has_value());
    EXPECT_NEAR(*part, 0.25, 0.01);
    std::array<unsigned char, 1000> present{};
    ASSERT_EQ(::mincore(static_cast<char*>(area) + 4096 * 2000, 4096 * 1000, present.data()), 0);
    EXPECT_EQ(std::ranges::count(present, 0), 1000);
    ::munmap(area, kBytes);
}

}  // namespace
}  // namespace ramet::daemon
