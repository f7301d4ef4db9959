// ramet-fork-server.so: preloaded into QEMU, whose main() it holds back. Takes orders (fork_server_protocol.hpp) and lets a fork of the process
// run main() for each. Uses nothing but the C library: QEMU is a C program, and what is loaded here is in every VM's process.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "hypervisor/qemu/fork_server/code_at_rest.hpp"
#include "hypervisor/qemu/fork_server/entry_point.hpp"
#include "hypervisor/qemu/fork_server/orders_at_once.hpp"
#include "hypervisor/qemu/fork_server/template_machine.hpp"
#include "hypervisor/qemu/fork_server_protocol.hpp"

namespace {

using namespace ramet::hypervisor;

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

constexpr int kAboveInherited = kFirstInheritedFd + kInheritedFdsMax;
// Where orders come from. Above all numbers of a fork's files: a table of files that grows in a process with two threads, as a fork is, makes it
// wait for the kernel's RCU, 16 ms.
constexpr int kOrders = kAboveInherited + static_cast<int>(kForkFilesMax);
constexpr std::size_t kArgumentsMax = kForkOrderBytesMax / 2;

Main qemu_main = nullptr;
alignas(ForkOrder) char order_bytes[kForkOrderBytesMax];  // of the fork: its arguments, for as long as it lives
char* arguments[kArgumentsMax + 1];

struct Received {
    ForkOrder order;
    int files[kForkFilesMax];
    char *begin, *end;  // of the arguments
};

// Registers QEMU's types and initialises their classes, as its main() would. Entry points of QEMU 7.2; main() finds it done.
void register_types() {
    constexpr int kModuleInitQom = 3;
    void (*call_init)(int) = nullptr;
    void* (*class_list)(const char*, int) = nullptr;
    void (*free_list)(void*) = nullptr;
    if (!find(call_init, "module_call_init") || !find(class_list, "object_class_get_list") || !find(free_list, "g_slist_free")) return;
    call_init(kModuleInitQom);
    free_list(class_list("machine", 0));
}

using Prepare = int (*)(void*, int*);
using Dispatch = void (*)(void*);

// Entry points of QEMU 7.2, for a machine whose memory is laid out once; none unless all are there.
void (*begin_layout)() = nullptr;
void (*end_layout)() = nullptr;
bool (*runs_as)(int) = nullptr;
bool collecting = false;     // QEMU's bracket is open since before main()
bool laid_out_once = false;  // until the captured state is loaded
int tries = 64;              // turns of the main loop in which the monitor's thread gets far enough
Prepare glib_prepare = nullptr;
Dispatch glib_dispatch = nullptr;

// QEMU lays the guest's memory out anew after each device that it makes, some 280 times, and for each whose state it loads, some 90 times, and frees
// none of it meanwhile. Between these two (QEMU 7.2's own bracket for changes that belong together) it only notes that the layout is to be made.
void collect_layout() {
    laid_out_once = collecting = find(begin_layout, "memory_region_transaction_begin") && find(end_layout, "memory_region_transaction_commit") &&
                                 find(runs_as, "runstate_check");
    if (collecting) begin_layout();
}

bool is_main_thread() { return ::gettid() == ::getpid(); }

// False: the server is gone.
bool receive(Received& received) {
    alignas(cmsghdr) static char control[CMSG_SPACE(kForkFilesMax * sizeof(int))];
    iovec part{order_bytes, sizeof order_bytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t count;
    do count = ::recvmsg(kOrders, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    if (count < static_cast<ssize_t>(sizeof(ForkOrder)) || order_bytes[count - 1] != '\0') return false;
    std::memcpy(&received.order, order_bytes, sizeof received.order);
    received.begin = order_bytes + sizeof(ForkOrder);
    received.end = order_bytes + count;
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    const std::size_t files = kForkFilesBefore + received.order.inherited;
    if (header == nullptr || files > kForkFilesMax || header->cmsg_len != CMSG_LEN(files * sizeof(int))) return false;
    std::memcpy(received.files, CMSG_DATA(header), files * sizeof(int));
    return true;
}

int split_arguments(const Received& received) {
    int count = 0;
    for (char* text = received.begin; text < received.end && count < static_cast<int>(kArgumentsMax); text += std::strlen(text) + 1)
        arguments[count++] = text;
    arguments[count] = nullptr;
    return count;
}

// What /proc/<pid>/cmdline shows: by it VMs are found again. 0, or what failed.
int show_arguments(const Received& received) {
    char text[1024] = {};
    const int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t count = ::read(file, text, sizeof text - 1);
    ::close(file);
    unsigned long fields[52] = {};                                      // numbered as in proc(5)
    const char* place = count > 0 ? std::strrchr(text, ')') : nullptr;  // the end of field 2
    for (int number = 3; number < 52 && place != nullptr; ++number) {
        place = std::strchr(place, ' ');
        if (place != nullptr) fields[number] = std::strtoul(++place, nullptr, 10);
    }
    if (place == nullptr) return EINVAL;
    prctl_mm_map map{};
    map.start_code = fields[26];
    map.end_code = fields[27];
    map.start_stack = fields[28];
    map.start_data = fields[45];
    map.end_data = fields[46];
    map.start_brk = fields[47];
    map.brk = reinterpret_cast<unsigned long>(::sbrk(0));
    map.arg_start = reinterpret_cast<unsigned long>(received.begin);
    map.arg_end = reinterpret_cast<unsigned long>(received.end);
    map.env_start = fields[50];
    map.env_end = fields[51];
    map.exe_fd = ~0U;
    return ::prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0 ? 0 : errno;
}

// 0, or what failed.
int take_files(Received& received) {
    const std::size_t count = kForkFilesBefore + received.order.inherited;
    // Above the numbers the process uses, so that none is overwritten before it has its place.
    for (std::size_t i = 0; i < count; ++i) {
        const int raised = ::fcntl(received.files[i], F_DUPFD_CLOEXEC, kAboveInherited);
        if (raised < 0) return errno;
        ::close(received.files[i]);
        received.files[i] = raised;
    }
    if (::fchdir(received.files[1]) < 0 || ::dup2(received.files[2], 1) < 0 || ::dup2(received.files[2], 2) < 0) return errno;
    ::close(kOrders);
    for (std::size_t i = kForkFilesBefore; i < count; ++i) {
        if (::dup2(received.files[i], kFirstInheritedFd + static_cast<int>(i - kForkFilesBefore)) < 0) return errno;
    }
    for (std::size_t i = 1; i < count; ++i) ::close(received.files[i]);
    return 0;
}

void report(int fd, int error) {
    const ForkReport said{error, ::getpid()};
    (void)!::write(fd, &said, sizeof said);
    ::close(fd);
}

// In the process that becomes the VM's. `between`: its parent, which ends at once.
int run(Received& received, pid_t between, char** environment) {
    int error = ::setsid() < 0 ? errno : take_files(received);
    if (error == 0) error = show_arguments(received);
    while (::getppid() == between) ::sched_yield();                               // from now on we are the server's child
    if (received.order.huge_pages == 0) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // a kernel without them has none to switch off
    report(received.files[0], error);
    if (error != 0) ::_exit(127);
    if (received.order.template_orders >= 0) become_template(received.order.template_orders);
    if (received.order.laid_out_once != 0) collect_layout();
    return qemu_main(split_arguments(received), arguments, environment);
}

int serve(int, char**, char** environment) {
    ::close(kForkLibrary);
    if (::dup3(kForkSocket, kOrders, O_CLOEXEC) < 0) ::_exit(1);
    ::close(kForkSocket);
    if (::getenv(kForkWarmVariable) != nullptr) register_types();
    ::unsetenv(kForkWarmVariable);
    Received received;
    while (receive(received)) {
        const pid_t between = ::vfork();  // its page tables would be copied for nothing
        if (between == 0) {
            const pid_t parent = ::getpid();
            const pid_t child = ::fork();
            if (child == 0) return run(received, parent, environment);
            if (child < 0) report(received.files[0], errno);
            ::_exit(0);
        }
        if (between < 0) report(received.files[0], errno);
        if (between > 0) ::waitpid(between, nullptr, 0);
        for (std::size_t i = between < 0 ? 1 : 0; i < kForkFilesBefore + received.order.inherited; ++i) ::close(received.files[i]);
    }
    ::_exit(0);
}

}  // namespace

// What QEMU's main loop begins each turn with, its lock held.
extern "C" __attribute__((visibility("default"))) int g_main_context_prepare(void* context, int* priority) {
    if (tries > 0 && is_main_thread()) tries = take_orders_at_once() ? 0 : tries - 1;
    if (collecting && is_main_thread()) {  // the machine is complete, and no guest has run
        collecting = false;
        end_layout();
        give_back_code_at_rest();
        serve_as_template();
    }
    if (glib_prepare == nullptr) glib_prepare = reinterpret_cast<Prepare>(::dlsym(RTLD_NEXT, "g_main_context_prepare"));
    return glib_prepare(context, priority);
}

// In which QEMU's main loop does a turn's work, its lock held: it loads the captured state there. Virtio devices look at their queues then, through
// the layout that a machine has before it runs, and no queue lies where that differs from the captured one.
extern "C" __attribute__((visibility("default"))) void g_main_context_dispatch(void* context) {
    constexpr int kInMigrate = 1;  // of QEMU's RunState
    if (glib_dispatch == nullptr) glib_dispatch = reinterpret_cast<Dispatch>(::dlsym(RTLD_NEXT, "g_main_context_dispatch"));
    const bool collects = laid_out_once && is_main_thread() && (laid_out_once = runs_as(kInMigrate));
    if (collects) begin_layout();
    glib_dispatch(context);
    if (collects) end_layout();
}

// glibc's own calls the constructors and then what it is given as main().
extern "C" __attribute__((visibility("default"))) int __libc_start_main(Main main, int count, char** values, void (*init)(), void (*fini)(),
                                                                        void (*rtld_fini)(), void* stack_end) {
    const auto start = reinterpret_cast<StartMain>(::dlsym(RTLD_NEXT, "__libc_start_main"));
    qemu_main = main;
    ::unsetenv("LD_PRELOAD");
    return start(serve, count, values, init, fini, rtld_fini, stack_end);
}
