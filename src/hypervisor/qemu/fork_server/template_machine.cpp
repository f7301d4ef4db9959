// QEMU 7.2 is not made to be forked once it has threads. What a fork lacks or must not share is made anew in it before it goes on: its threads
// (renewed_threads.hpp), its files (renewed_files.hpp), its identity (renewed_identity.hpp).
#include "hypervisor/qemu/fork_server/template_machine.hpp"

#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "hypervisor/qemu/fork_server/confine.hpp"
#include "hypervisor/qemu/fork_server/entry_point.hpp"
#include "hypervisor/qemu/fork_server/renewed_files.hpp"
#include "hypervisor/qemu/fork_server/renewed_identity.hpp"
#include "hypervisor/qemu/fork_server/renewed_threads.hpp"
#include "hypervisor/qemu/fork_server_protocol.hpp"

namespace ramet::hypervisor {

namespace {

int orders = -1;
alignas(TemplateOrder) TemplateOrder order;
int files[kForkFilesMax];

bool receive() {
    alignas(cmsghdr) static char control[CMSG_SPACE(kForkFilesMax * sizeof(int))];
    iovec part{&order, sizeof order};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t count;
    do count = ::recvmsg(orders, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    if (count != static_cast<ssize_t>(sizeof order)) return false;
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || order.files > kForkFilesMax || order.files < kTemplateFilesBefore ||
        header->cmsg_len != CMSG_LEN(order.files * sizeof(int)))
        return false;
    std::memcpy(files, CMSG_DATA(header), order.files * sizeof(int));
    return true;
}

void report(int error) {
    const ForkReport said{error, ::getpid()};
    (void)!::write(files[0], &said, sizeof said);
    ::close(files[0]);
}

void become_machine(pid_t between) {
    forget_threads();
    int error = renew_files(order, files);
    ::close(orders);
    for (unsigned i = 1; i < order.files; ++i) ::close(files[i]);
    if (error == 0) error = renew_identity(order);
    if (error == 0) error = confine_fork();
    if (error == 0) error = renew_threads();
    while (::getppid() == between) ::sched_yield();
    report(error);
    if (error != 0) ::_exit(127);
}

// Called by the main loop; not 0: go on watching.
int obey(int, int, void*) {
    if (!receive()) ::_exit(0);  // the server is gone, or does not want it any more
    static bool ready = false;
    if (!ready) {
        ready = end_pool_threads();
        allow_fork_of_rcu();
    }
    if (!ready || !threads_wait()) {
        report(EBUSY);
    } else {
        const pid_t between = ::vfork();
        if (between == 0) {
            const pid_t parent = ::getpid();
            const pid_t child = ::fork();
            if (child == 0) {
                become_machine(parent);
                return 0;
            }
            if (child < 0) report(errno);
            ::_exit(0);
        }
        if (between < 0) report(errno);
        if (between > 0) ::waitpid(between, nullptr, 0);
        ::close(files[0]);
    }
    for (unsigned i = 1; i < order.files; ++i) ::close(files[i]);
    return 1;
}

}  // namespace

void become_template(int socket) {
    if (confine_template() != 0) ::_exit(127);
    orders = socket;
    ::signal(kOwnSessionSignal, [](int) { ::setsid(); });  // of no effect in the template, whose session it is
    remember_threads();
    share_nothing_later();
}

void serve_as_template() {
    constexpr int kIn = 1;  // of GIOCondition
    if (orders < 0) return;
    unsigned (*watch_fd)(int, int, int (*)(int, int, void*), void*) = nullptr;
    if (find_threads() && find_identity() && find(watch_fd, "g_unix_fd_add"))
        watch_fd(orders, kIn, obey, nullptr);
    else
        ::close(orders);
}

}  // namespace ramet::hypervisor
