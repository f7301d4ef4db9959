// Preloaded into rametd: makes chosen calls of the C library fail, as a test says in a file that both have mapped (RAMET_FAULTS).
// Children of rametd are left alone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// The order is that of CALLS in faults.py.
enum call { OPEN, READ, WRITE, FSYNC, RENAME, UNLINK, MKDIR, SOCKET, CONNECT, SEND, RECEIVE, ALLOCATE };

struct faults {  // see faults.py
    atomic_int armed;
    int call;
    int error;         // an errno; 0: the call does half of what was asked
    int first, count;  // which passages fail
    char path[128];    // part of the file's path; empty: any
    atomic_int passed, fired;
};

static struct faults* faults;

__attribute__((constructor)) static void begin(void) {
    const char* const path = getenv("RAMET_FAULTS");
    unsetenv("LD_PRELOAD");
    unsetenv("RAMET_FAULTS");
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void* const mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) faults = mapped;
}

static int fits(int fd, const char* path) {
    if (faults->path[0] == '\0') return 1;
    char link[64], name[4096];
    if (path == NULL || fd >= 0) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        const ssize_t length = readlink(link, name, sizeof(name) - 1);
        name[length < 0 ? 0 : length] = '\0';
        if (strstr(name, faults->path) != NULL) return 1;
    }
    return path != NULL && strstr(path, faults->path) != NULL;
}

// Whether this passage fails. errno is set then.
static int fails(enum call call, int fd, const char* path) {
    if (faults == NULL || !atomic_load(&faults->armed) || faults->call != (int)call) return 0;
    const int before = errno;
    const int meant = fits(fd, path);
    errno = before;
    if (!meant) return 0;
    const int passage = atomic_fetch_add(&faults->passed, 1) + 1;
    if (passage < faults->first || passage >= faults->first + faults->count) return 0;
    atomic_fetch_add(&faults->fired, 1);
    errno = faults->error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

static int mode_of(int flags, va_list arguments) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0; }

#define OPEN_LIKE(name)                                                    \
    int name(const char* path, int flags, ...) {                           \
        va_list arguments;                                                 \
        va_start(arguments, flags);                                        \
        const int mode = mode_of(flags, arguments);                        \
        va_end(arguments);                                                 \
        return fails(OPEN, -1, path) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)

#define OPENAT_LIKE(name)                                                      \
    int name(int at, const char* path, int flags, ...) {                       \
        va_list arguments;                                                     \
        va_start(arguments, flags);                                            \
        const int mode = mode_of(flags, arguments);                            \
        va_end(arguments);                                                     \
        return fails(OPEN, at, path) ? -1 : REAL(name)(at, path, flags, mode); \
    }
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)

#define TRANSFER(name, call, constness, ...)                                                    \
    ssize_t name(int fd, constness void* data, size_t size __VA_OPT__(, off_t offset)) {        \
        if (!fails(call, fd, NULL)) return REAL(name)(fd, data, size __VA_OPT__(, offset));     \
        return faults->error == 0 ? REAL(name)(fd, data, half(size) __VA_OPT__(, offset)) : -1; \
    }
TRANSFER(read, READ, )
TRANSFER(pread, READ, , offset)
TRANSFER(pread64, READ, , offset)
TRANSFER(write, WRITE, const)
TRANSFER(pwrite, WRITE, const, offset)
TRANSFER(pwrite64, WRITE, const, offset)

int fsync(int fd) { return fails(FSYNC, fd, NULL) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(FSYNC, fd, NULL) ? -1 : REAL(fdatasync)(fd); }
int rename(const char* from, const char* to) { return fails(RENAME, -1, to) ? -1 : REAL(rename)(from, to); }
int renameat(int from, const char* old, int to, const char* new) { return fails(RENAME, to, new) ? -1 : REAL(renameat)(from, old, to, new); }
int unlink(const char* path) { return fails(UNLINK, -1, path) ? -1 : REAL(unlink)(path); }
int unlinkat(int at, const char* path, int flags) { return fails(UNLINK, at, path) ? -1 : REAL(unlinkat)(at, path, flags); }
int mkdir(const char* path, mode_t mode) { return fails(MKDIR, -1, path) ? -1 : REAL(mkdir)(path, mode); }
int mkdirat(int at, const char* path, mode_t mode) { return fails(MKDIR, at, path) ? -1 : REAL(mkdirat)(at, path, mode); }
int fallocate(int fd, int mode, off_t offset, off_t length) { return fails(ALLOCATE, fd, NULL) ? -1 : REAL(fallocate)(fd, mode, offset, length); }
int ftruncate(int fd, off_t length) { return fails(ALLOCATE, fd, NULL) ? -1 : REAL(ftruncate)(fd, length); }
int socket(int domain, int type, int protocol) { return fails(SOCKET, -1, NULL) ? -1 : REAL(socket)(domain, type, protocol); }
int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length) { return fails(CONNECT, fd, NULL) ? -1 : REAL(connect)(fd, address, length); }

// libnftables ends the whole process when its talk with the kernel goes wrong. Nothing disturbs it in truth: no signal reaches the
// server's threads, so that its netlink sockets are left alone here.
static int is_netlink(int fd) {
    int domain = 0;
    socklen_t length = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_NETLINK;
}

static int talk_fails(enum call call, int fd) { return faults != NULL && atomic_load(&faults->armed) && !is_netlink(fd) && fails(call, fd, NULL); }

ssize_t send(int fd, const void* data, size_t size, int flags) {
    if (!talk_fails(SEND, fd)) return REAL(send)(fd, data, size, flags);
    return faults->error == 0 ? REAL(send)(fd, data, half(size), flags) : -1;
}

ssize_t recv(int fd, void* data, size_t size, int flags) {
    if (!talk_fails(RECEIVE, fd)) return REAL(recv)(fd, data, size, flags);
    return faults->error == 0 ? REAL(recv)(fd, data, half(size), flags) : -1;
}

// Half a message is the peer's business; these only fail.
ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
    return talk_fails(SEND, fd) && faults->error != 0 ? -1 : REAL(sendmsg)(fd, message, flags);
}
ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
    return talk_fails(RECEIVE, fd) && faults->error != 0 ? -1 : REAL(recvmsg)(fd, message, flags);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    return fails(ALLOCATE, fd, NULL) ? faults->error : REAL(posix_fallocate)(fd, offset, length);
}

// The C library has no openat2().
long syscall(long number, ...) {
    va_list arguments;
    va_start(arguments, number);
    long a[6];
    for (int i = 0; i < 6; ++i) a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_openat2 && fails(OPEN, (int)a[0], (const char*)a[1])) return -1;
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
