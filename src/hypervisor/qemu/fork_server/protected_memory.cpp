#include "hypervisor/qemu/fork_server/protected_memory.hpp"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

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

}  // namespace

int protect_memory(IoControl call, int fd, uffdio_writeprotect* wanted) {
    const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
    if ((wanted->mode & UFFDIO_WRITEPROTECT_MODE_WP) == 0 || wanted->range.len < kWorthIt || processors < 2)
        return call(fd, UFFDIO_WRITEPROTECT, wanted);
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

}  // namespace ramet::hypervisor
