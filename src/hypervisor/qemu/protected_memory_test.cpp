#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "hypervisor/qemu/fork_server/protected_memory.hpp"

// What the library does with QEMU's calls about the memory that is captured; the kernel's side is a list of what it is asked.
namespace ramet::hypervisor {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Range = std::pair<unsigned long, unsigned long>;  // first address, length

constexpr int kFd = 900;
constexpr unsigned long kPage = 4096, kHuge = 2UL << 20, kBlock = 1UL << 30, kLength = 64UL << 20;

std::mutex mutex;
std::vector<Range> protected_ranges, released_ranges;
int told_error = 0;

int kernel(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    const auto* const wanted = va_arg(rest, const uffdio_writeprotect*);
    va_end(rest);
    EXPECT_EQ(std::pair(kFd, static_cast<unsigned long>(UFFDIO_WRITEPROTECT)), std::pair(fd, request));
    const std::lock_guard lock(mutex);
    (wanted->mode == UFFDIO_WRITEPROTECT_MODE_WP ? protected_ranges : released_ranges).emplace_back(wanted->range.start, wanted->range.len);
    errno = told_error;
    return told_error == 0 ? 0 : -1;
}

class ProtectedMemory : public ::testing::Test {
protected:
    void SetUp() override {
        told_error = 0;
        protected_ranges.clear();
        EXPECT_EQ(0, change(kBlock, kLength, UFFDIO_WRITEPROTECT_MODE_WP));
        released_ranges.clear();
    }
    // Of a capture that ended otherwise.
    void TearDown() override { (void)change(kBlock, kLength, 0); }

    static int change(unsigned long start, unsigned long length, unsigned long mode) {
        uffdio_writeprotect wanted{{start, length}, mode};
        return change_protection(kernel, kFd, &wanted);
    }
    static int release(unsigned long start, unsigned long length = kPage) { return change(start, length, 0); }
    static void release_pages(unsigned long first, unsigned long end) {
        for (unsigned long page = first; page < end; page += kPage) EXPECT_EQ(0, release(page));
    }
    // QEMU reads that the guest waits for `address`.
    static void fault(unsigned long address) {
        static unsigned long awaited;
        awaited = address;
        const Read read = [](int, void* bytes, size_t) -> ssize_t {
            uffd_msg message{};
            message.event = UFFD_EVENT_PAGEFAULT;
            message.arg.pagefault.address = awaited;
            std::memcpy(bytes, &message, sizeof message);
            return sizeof message;
        };
        uffd_msg message{};
        EXPECT_EQ(static_cast<ssize_t>(sizeof message), read_fault(read, kFd, &message, sizeof message));
    }
};

}  // namespace

TEST_F(ProtectedMemory, PagesThatFollowEachOtherAreReleasedWithTheirHugePage) {
    release_pages(kBlock, kBlock + kHuge - kPage);
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock, kPage}));  // the first follows none
    EXPECT_EQ(0, release(kBlock + kHuge - kPage));
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock, kPage}, Range{kBlock + kPage, kHuge - kPage}));
    released_ranges.clear();
    release_pages(kBlock + kHuge, kBlock + 3 * kHuge);
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock + kHuge, kHuge}, Range{kBlock + 2 * kHuge, kHuge}));
}

TEST_F(ProtectedMemory, APageTheGuestWaitsForIsReleasedAtOnce) {
    release_pages(kBlock, kBlock + 4 * kPage);
    released_ranges.clear();
    fault(kBlock + 4 * kPage + 16);  // the very next one
    EXPECT_EQ(0, release(kBlock + 4 * kPage));
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock + kPage, 3 * kPage}, Range{kBlock + 4 * kPage, kPage}));
    released_ranges.clear();
    release_pages(kBlock + 5 * kPage, kBlock + 9 * kPage);
    EXPECT_THAT(released_ranges, IsEmpty());
    fault(kBlock + 6 * kPage);  // saved before, and held back: QEMU releases it again
    EXPECT_EQ(0, release(kBlock + 6 * kPage));
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock + 5 * kPage, 4 * kPage}, Range{kBlock + 6 * kPage, kPage}));
}

TEST_F(ProtectedMemory, WhatIsHeldBackIsReleasedWithAPageElsewhere) {
    release_pages(kBlock, kBlock + 3 * kPage);
    released_ranges.clear();
    EXPECT_EQ(0, release(kBlock + 8 * kHuge));
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock + kPage, 2 * kPage}, Range{kBlock + 8 * kHuge, kPage}));
}

TEST_F(ProtectedMemory, TheEndOfACaptureReleasesAll) {
    release_pages(kBlock, kBlock + 3 * kPage);
    released_ranges.clear();
    EXPECT_EQ(0, release(kBlock + 3 * kPage, kLength));  // even where it follows the last page
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock + kPage, 2 * kPage}, Range{kBlock + 3 * kPage, kLength}));
    released_ranges.clear();
    release_pages(kBlock, kBlock + 2 * kPage);
    EXPECT_THAT(released_ranges, ElementsAre(Range{kBlock, kPage}, Range{kBlock + kPage, kPage}));
}

TEST_F(ProtectedMemory, ABigBlockIsProtectedInPartsThatCutNoHugePage) {
    protected_ranges.clear();
    EXPECT_EQ(0, change(kBlock, 513 * kHuge, UFFDIO_WRITEPROTECT_MODE_WP));
    unsigned long sum = 0;
    for (const Range& range : protected_ranges) {
        EXPECT_EQ(0, range.first % kHuge);
        sum += range.second;
    }
    EXPECT_EQ(513 * kHuge, sum);
    told_error = EFAULT;
    EXPECT_EQ(-1, change(kBlock, 513 * kHuge, UFFDIO_WRITEPROTECT_MODE_WP));
    EXPECT_EQ(EFAULT, errno);
    EXPECT_EQ(-1, release(kBlock));
}

TEST_F(ProtectedMemory, AGuestThatHasJustGoneOnIsGivenAMomentToAsk) {
    static int reads, pipe[2];
    ASSERT_EQ(0, ::pipe2(pipe, O_NONBLOCK));
    ASSERT_EQ(kFd, ::dup2(pipe[0], kFd));
    const Read read = [](int fd, void* bytes, size_t size) -> ssize_t {
        ++reads;
        return ::read(fd, bytes, size);
    };
    uffd_msg message{};
    for (int i = 0; i < 100 && reads != 2; ++i) {  // a busy machine may be late
        reads = 0;
        EXPECT_EQ(0, change(kBlock, kLength, UFFDIO_WRITEPROTECT_MODE_WP));
        EXPECT_EQ(-1, read_fault(read, kFd, &message, sizeof message));
    }
    EXPECT_EQ(2, reads);
    ::usleep(30'000);
    EXPECT_EQ(-1, read_fault(read, kFd, &message, sizeof message));
    EXPECT_EQ(3, reads);
    EXPECT_EQ(-1, read_fault(read, pipe[0], &message, sizeof message));  // any other file
    EXPECT_EQ(4, reads);
    for (const int fd : {pipe[0], pipe[1], kFd}) ::close(fd);
}

}  // namespace ramet::hypervisor
