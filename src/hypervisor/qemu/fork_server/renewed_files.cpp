#include "hypervisor/qemu/fork_server/renewed_files.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "hypervisor/qemu/fork_server/protected_memory.hpp"

namespace ramet::hypervisor {

namespace {

constexpr int kTapCallsMax = 256;
constexpr int kFilesMax = 1024;

struct TapCall {
    int fd;
    unsigned long request;
    unsigned long value;  // of an int, or of what ifreq's flags say
};

bool remembers = false;
TapCall tap_calls[kTapCallsMax];
int tap_calls_known = 0;

int put(int file, int place) {
    const int flags = ::fcntl(place, F_GETFD);
    return ::dup3(file, place, flags >= 0 && (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) < 0 ? errno : 0;
}

int put_and_close(int file, int place) {
    if (file < 0) return errno;
    const int error = put(file, place);
    ::close(file);
    return error;
}

int listen_anew(int place, const sockaddr_un& address) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return errno;
    const mode_t before = ::umask(0177);
    const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(socket, 1) == 0;
    ::umask(before);
    if (!bound) return errno;
    ::fcntl(socket, F_SETFL, ::fcntl(place, F_GETFL));
    return put_and_close(socket, place);
}

bool ends_in(const char* text, const char* end) {
    const std::size_t length = std::strlen(text), wanted = std::strlen(end);
    return length >= wanted && std::strcmp(text + length - wanted, end) == 0;
}

int renew_socket(int place, const int* files) {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(place, reinterpret_cast<sockaddr*>(&address), &size) < 0 || address.sun_family != AF_UNIX || address.sun_path[0] == 0) return 0;
    int listens = 0;
    socklen_t listens_size = sizeof listens;
    ::getsockopt(place, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size);
    const bool monitor = ends_in(address.sun_path, "qmp.sock");
    if (!monitor) return listens != 0 ? listen_anew(place, address) : 0;
    const int given = files[listens != 0 ? kTemplateListener : kTemplateConnection];
    if (listens == 0) ::fcntl(given, F_SETFL, ::fcntl(place, F_GETFL));
    return put(given, place);
}

// The queues of a tap come in the order of their numbers.
int renew_tap(int place, const TemplateOrder& order, const int* files, unsigned* queues_taken) {
    ifreq known{};
    if (::ioctl(place, TUNGETIFF, &known) < 0) return errno;
    unsigned file = kTemplateFilesBefore + (order.has_seed != 0 ? 1 : 0);
    for (unsigned i = 0; i < order.nics; ++i) {
        if (std::strncmp(known.ifr_name, order.nic[i].old_tap, IFNAMSIZ) != 0) {
            file += order.nic[i].queues;
            continue;
        }
        const unsigned queue = queues_taken[i]++;
        if (queue >= order.nic[i].queues) return EINVAL;
        const int given = files[file + queue];
        for (int call = 0; call < tap_calls_known; ++call) {
            if (tap_calls[call].fd != place) continue;
            unsigned long value = tap_calls[call].value;
            int number = static_cast<int>(value);
            ifreq flags{};
            flags.ifr_flags = static_cast<short>(value);
            const unsigned long request = tap_calls[call].request;
            const int done = request == TUNSETOFFLOAD ? ::ioctl(given, request, value)
                                                      : ::ioctl(given, request, request == TUNSETQUEUE ? static_cast<void*>(&flags) : &number);
            if (done < 0) return errno;
        }
        ::fcntl(given, F_SETFL, ::fcntl(place, F_GETFL));
        return put(given, place);
    }
    return EINVAL;
}

}  // namespace

void share_nothing_later() { remembers = true; }

int renew_files(const TemplateOrder& order, const int* files) {
    remembers = false;
    if (::fchdir(files[kTemplateDirectory]) < 0) return errno;
    int error = put(files[kTemplateLog], 1);
    if (error == 0) error = put(files[kTemplateLog], 2);
    if (error == 0) error = put(files[kTemplateLock], kFirstInheritedFd);
    if (error != 0) return error;
    unsigned queues_taken[kTemplateNicsMax] = {};
    DIR* const directory = ::opendir("/proc/self/fd");
    if (directory == nullptr) return errno;
    static int numbers[kFilesMax];
    int count = 0;
    while (const dirent* const entry = ::readdir(directory)) {
        const int number = std::atoi(entry->d_name);
        bool given = number == ::dirfd(directory) || entry->d_name[0] == '.';
        for (unsigned i = 0; i < order.files; ++i) given = given || files[i] == number;
        if (given) continue;
        if (count == kFilesMax) return EMFILE;  // what is not exchanged would be shared
        numbers[count++] = number;
    }
    ::closedir(directory);
    for (int i = 0; i < count && error == 0; ++i) {
        const int number = numbers[i];
        char link[64], target[512];
        std::snprintf(link, sizeof link, "/proc/self/fd/%d", number);
        const ssize_t length = ::readlink(link, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        if (std::strcmp(target, "anon_inode:[eventfd]") == 0)
            error = put_and_close(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), number);
        else if (std::strncmp(target, "socket:", 7) == 0)
            error = renew_socket(number, files);
        else if (std::strcmp(target, "/dev/net/tun") == 0)
            error = renew_tap(number, order, files, queues_taken);
        else if (std::strncmp(target, "/memfd:seed", 11) == 0 && order.has_seed != 0)
            error = put(files[kTemplateFilesBefore], number);
        else if (ends_in(target, "/serial.log"))
            error = put_and_close(::open("serial.log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600), number);
    }
    return error;
}

}  // namespace ramet::hypervisor

using namespace ramet::hypervisor;

#define RAMET_EXPORT extern "C" __attribute__((visibility("default")))

// The guest's memory goes into forks.
RAMET_EXPORT int madvise(void* address, size_t size, int advice) {
    static const auto advise = reinterpret_cast<int (*)(void*, size_t, int)>(::dlsym(RTLD_NEXT, "madvise"));
    return remembers && advice == MADV_DONTFORK ? 0 : advise(address, size, advice);
}

// A ring would be shared with forks; QEMU does without.
RAMET_EXPORT int io_uring_queue_init(unsigned entries, void* ring, unsigned flags) {
    static const auto make = reinterpret_cast<int (*)(unsigned, void*, unsigned)>(::dlsym(RTLD_NEXT, "io_uring_queue_init"));
    return remembers || make == nullptr ? -ENOSYS : make(entries, ring, flags);
}

// As protected_memory.hpp says.
RAMET_EXPORT ssize_t read(int fd, void* bytes, size_t size) {
    static const auto call = reinterpret_cast<Read>(::dlsym(RTLD_NEXT, "read"));
    return read_fault(call, fd, bytes, size);
}

// What is set on a tap is set on the fork's. Memory is protected as protected_memory.hpp says.
RAMET_EXPORT int ioctl(int fd, unsigned long request, ...) {
    static const auto call = reinterpret_cast<IoControl>(::dlsym(RTLD_NEXT, "ioctl"));
    va_list rest;
    va_start(rest, request);
    void* const argument = va_arg(rest, void*);
    va_end(rest);
    if (request == UFFDIO_WRITEPROTECT) return change_protection(call, fd, static_cast<uffdio_writeprotect*>(argument));
    const int result = call(fd, request, argument);
    const bool kept =
        request == TUNSETOFFLOAD || request == TUNSETVNETHDRSZ || request == TUNSETSNDBUF || request == TUNSETVNETLE || request == TUNSETQUEUE;
    if (remembers && kept && result >= 0 && tap_calls_known < kTapCallsMax) {
        unsigned long value = reinterpret_cast<unsigned long>(argument);
        if (request == TUNSETQUEUE)
            value = static_cast<unsigned short>(static_cast<ifreq*>(argument)->ifr_flags);
        else if (request != TUNSETOFFLOAD)
            value = static_cast<unsigned long>(*static_cast<int*>(argument));
        tap_calls[tap_calls_known++] = {fd, request, value};
    }
    return result;
}
