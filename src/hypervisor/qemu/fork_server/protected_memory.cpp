#include "hypervisor/qemu/fork_server/protected_memory.hpp"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace ramet::hypervisor {

namespace {

constexpr unsigned long kWorthIt = 128UL << 20;
constexpr unsigned long kHugePage = 2UL << 20;  // none is cut in two
constexpr unsigned kPartsMax = 4;

struct Part {
    IoControl call;
    int fd;
    uffdio_writeprotect wanted;
    int error;
};

void* protect_part(void* argument) {
    Part& part = *static_cast<Part*>(argument);
    part.error = part.call(part.fd, UFFDIO_WRITEPROTECT, &part.wanted) < 0 ? errno : 0;
    return nullptr;
}

int protect(IoControl call, int fd, uffdio_writeprotect* wanted) {
    const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted->range.len < kWorthIt || processors < 2) return call(fd, UFFDIO_WRITEPROTECT, wanted);
    const unsigned count = processors < static_cast<long>(kPartsMax) ? static_cast<unsigned>(processors) : kPartsMax;
    Part parts[kPartsMax];
    pthread_t threads[kPartsMax];
    bool begun[kPartsMax] = {};
    const unsigned long end = wanted->range.start + wanted->range.len;
    unsigned long start = wanted->range.start;
    for (unsigned i = 0; i < count; ++i) {
        const unsigned long next = i + 1 == count ? end : (wanted->range.start + wanted->range.len / count * (i + 1)) / kHugePage * kHugePage;
        parts[i] = {call, fd, *wanted, 0};
        parts[i].wanted.range = {start, next - start};
        start = next;
        begun[i] = i + 1 < count && ::pthread_create(&threads[i], nullptr, protect_part, &parts[i]) == 0;
    }
    int error = 0;
    for (unsigned i = 0; i < count; ++i)
        if (!begun[i]) protect_part(&parts[i]);
    for (unsigned i = 0; i < count; ++i) {
        if (begun[i]) ::pthread_join(threads[i], nullptr);
        if (error == 0) error = parts[i].error;
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

// Of the capture that runs.
std::atomic<int> captured = -1;  // its userfaultfd; other threads read from theirs
unsigned long awaited = 0;       // an address in the page that the guest waits for; 0: it waits for none
unsigned long held_from = 0;     // saved and not yet released, up to
unsigned long saved_up_to = 0;   // which is where the page that was saved last ends
timespec guest_comes_first_until{};

constexpr long kGuestComesFirst = 20'000'000;  // nanoseconds; half a thousand pages are written by a guest that has stood, most of them at once
constexpr timespec kMomentToAsk{0, 500'000};

timespec after(long nanoseconds) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    now.tv_nsec += nanoseconds;
    if (now.tv_nsec >= 1'000'000'000) now = {now.tv_sec + 1, now.tv_nsec - 1'000'000'000};
    return now;
}

bool is_before(const timespec& end) {
    const timespec now = after(0);
    return now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec);
}

int release_held(IoControl call, int fd) {
    if (held_from == saved_up_to) return 0;
    uffdio_writeprotect all{};
    all.range = {held_from, saved_up_to - held_from};
    held_from = saved_up_to;
    return call(fd, UFFDIO_WRITEPROTECT, &all);
}

int release(IoControl call, int fd, uffdio_writeprotect* wanted) {
    const unsigned long start = wanted->range.start, end = start + wanted->range.len;
    const bool is_awaited = start <= awaited && awaited < end;
    const bool is_block = wanted->range.len >= kHugePage;  // of the guest's memory, whole: the capture ends
    if (fd == captured && start == saved_up_to && !is_awaited && !is_block) {
        saved_up_to = end;
        return end % kHugePage == 0 ? release_held(call, fd) : 0;
    }
    if (is_awaited) awaited = 0;
    if (is_block) captured = -1;
    if (release_held(call, fd) < 0) return -1;
    held_from = saved_up_to = end;
    return call(fd, UFFDIO_WRITEPROTECT, wanted);
}

}  // namespace

int change_protection(IoControl call, int fd, uffdio_writeprotect* wanted) {
    if ((wanted->mode & UFFDIO_WRITEPROTECT_MODE_WP) == 0) return release(call, fd, wanted);
    captured = fd;
    awaited = held_from = saved_up_to = 0;
    const int result = protect(call, fd, wanted);
    guest_comes_first_until = after(kGuestComesFirst);
    return result;
}

ssize_t read_fault(Read call, int fd, void* bytes, size_t size) {
    ssize_t result = call(fd, bytes, size);
    if (fd != captured) return result;
    if (result < 0 && errno == EAGAIN && is_before(guest_comes_first_until)) {
        pollfd faults{fd, POLLIN, 0};
        ::ppoll(&faults, 1, &kMomentToAsk, nullptr);
        result = call(fd, bytes, size);
    }
    uffd_msg message;
    if (result != static_cast<ssize_t>(sizeof message)) return result;  // QEMU reads them one by one
    std::memcpy(&message, bytes, sizeof message);
    if (message.event == UFFD_EVENT_PAGEFAULT) awaited = message.arg.pagefault.address;
    return result;
}

}  // namespace ramet::hypervisor
