// A second run of a thread's function is right for those that begin with waiting: the virtual CPUs', the monitor's and VNC's. Their condition variables count
// waiters that there are no more, and are made anew; the monitor's GLib context has an owner that there is no more, and is taken from it.
#include "hypervisor/qemu/fork_server/renewed_threads.hpp"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "hypervisor/qemu/fork_server/entry_point.hpp"

namespace ramet::hypervisor {

namespace {

using Start = void* (*)(void*);

// What QEMU 7.2 gives a new thread's first function, which frees it.
struct QemuThreadArguments {
    Start start;
    void* argument;
    char* name;
};

struct Thread {
    QemuThreadArguments given;  // its name is ours
    Start first;                // QEMU's, which takes QemuThreadArguments
    pthread_t* place;           // where QEMU keeps its number
    int detached;
    std::atomic<bool> lives;
    std::atomic<pthread_cond_t*> waits_on;
    std::atomic<unsigned> turns;  // odd: it waits
};

constexpr int kThreadsMax = 64;
constexpr const char* kPoolThread = "worker";
constexpr const char* kRcuThread = "call_rcu";

bool remembers = false;
Thread threads[kThreadsMax];
std::atomic<int> threads_known{0};
thread_local Thread* self = nullptr;

int* tcg_contexts = nullptr;
void** monitor_thread = nullptr;
void* (*aio_context)() = nullptr;
void* (*pool_of)(void*) = nullptr;
void (*free_pool)(void*) = nullptr;
void (*rcu_enable_atfork)() = nullptr;
void* (*monitor_context_of)(void*) = nullptr;
int (*acquire_context)(void*) = nullptr;
void (*release_context)(void*) = nullptr;
void* (*allocate)(std::size_t) = nullptr;

bool is_restarted(const Thread& thread) {
    return thread.lives && std::strcmp(thread.given.name, kPoolThread) != 0 && std::strcmp(thread.given.name, kRcuThread) != 0;
}

void* run_known(void* argument) {
    self = static_cast<Thread*>(argument);
    Thread* const me = self;
    auto* const given = static_cast<QemuThreadArguments*>(allocate(sizeof(QemuThreadArguments)));
    *given = me->given;
    given->name = ::strdup(me->given.name);
    void* const result = me->first(given);
    me->lives = false;
    return result;
}

template <typename Function>
Function next(const char* name, const char* version) {
    return reinterpret_cast<Function>(::dlvsym(RTLD_NEXT, name, version));
}

struct Waiting {
    explicit Waiting(pthread_cond_t* condition) {
        if (self == nullptr) return;
        self->waits_on = condition;
        ++self->turns;
    }
    ~Waiting() {
        if (self == nullptr) return;
        ++self->turns;
        self->waits_on = nullptr;
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
};

}  // namespace

bool find_threads() {
    return find(tcg_contexts, "tcg_cur_ctxs") && find(monitor_thread, "mon_iothread") && find(aio_context, "qemu_get_aio_context") &&
           find(pool_of, "aio_get_thread_pool") && find(free_pool, "thread_pool_free") && find(rcu_enable_atfork, "rcu_enable_atfork") &&
           find(monitor_context_of, "iothread_get_g_main_context") && find(acquire_context, "g_main_context_acquire") &&
           find(release_context, "g_main_context_release") && remembers;
}

void remember_threads() { remembers = find(allocate, "g_malloc"); }

void forget_threads() { remembers = false; }

void allow_fork_of_rcu() { rcu_enable_atfork(); }

bool threads_wait() {
    if (threads_known > kThreadsMax) return false;
    unsigned seen[kThreadsMax];
    for (int round = 0; round < 200; ++round) {
        bool still = true;
        const int known = threads_known;
        for (int i = 0; i < known; ++i) {
            seen[i] = threads[i].turns;
            if (is_restarted(threads[i]) && seen[i] % 2 == 0) still = false;
        }
        ::usleep(200);
        for (int i = 0; i < known; ++i) {
            if (is_restarted(threads[i]) && seen[i] != threads[i].turns) still = false;
        }
        if (still) return true;
    }
    return false;
}

// Its threads end with it; who needs the pool next makes another.
bool end_pool_threads() {
    void* const context = aio_context();
    void* const pool = pool_of(context);
    void** place = nullptr;
    auto** const words = static_cast<void**>(context);
    for (std::size_t i = 0; i < ::malloc_usable_size(context) / sizeof(void*); ++i) {
        if (words[i] != pool) continue;
        if (place != nullptr) return false;
        place = &words[i];
    }
    if (place == nullptr) return false;
    free_pool(pool);
    *place = nullptr;
    return true;
}

int renew_threads() {
    void* const context = monitor_context_of(*monitor_thread);
    for (int times = 0; acquire_context(context) == 0; ++times) {  // its owner is a thread that there is no more
        if (times > 4) return EBUSY;
        release_context(context);
    }
    release_context(context);
    *tcg_contexts = 0;
    const int known = threads_known;
    pthread_condattr_t monotonic;
    ::pthread_condattr_init(&monotonic);
    ::pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (int i = 0; i < known; ++i) {
        if (!is_restarted(threads[i])) continue;
        if (pthread_cond_t* const condition = threads[i].waits_on) ::pthread_cond_init(condition, &monotonic);
        threads[i].waits_on = nullptr;
    }
    static const auto create = reinterpret_cast<int (*)(pthread_t*, const pthread_attr_t*, Start, void*)>(::dlsym(RTLD_NEXT, "pthread_create"));
    for (int i = 0; i < known; ++i) {
        if (!is_restarted(threads[i])) continue;
        pthread_attr_t attributes;
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setdetachstate(&attributes, threads[i].detached);
        pthread_t unused;
        const int error = create(threads[i].place != nullptr && threads[i].detached == PTHREAD_CREATE_JOINABLE ? threads[i].place : &unused,
                                 &attributes, run_known, &threads[i]);
        if (error != 0) return error;
    }
    return 0;
}

}  // namespace ramet::hypervisor

using namespace ramet::hypervisor;

#define RAMET_EXPORT extern "C" __attribute__((visibility("default")))

RAMET_EXPORT int pthread_create(pthread_t* place, const pthread_attr_t* attributes, Start start, void* argument) {
    static const auto create = next<int (*)(pthread_t*, const pthread_attr_t*, Start, void*)>("pthread_create", "GLIBC_2.34");
    const int number = remembers ? threads_known.fetch_add(1) : kThreadsMax;
    if (number >= kThreadsMax) return create(place, attributes, start, argument);
    Thread& thread = threads[number];
    auto* const given = static_cast<QemuThreadArguments*>(argument);
    thread.given = *given;
    thread.given.name = ::strdup(given->name);
    thread.first = start;
    thread.place = place;
    thread.detached = PTHREAD_CREATE_JOINABLE;
    if (attributes != nullptr) ::pthread_attr_getdetachstate(attributes, &thread.detached);
    thread.lives = true;
    return create(place, attributes, run_known, &thread);
}

RAMET_EXPORT int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
    static const auto wait = next<int (*)(pthread_cond_t*, pthread_mutex_t*)>("pthread_cond_wait", "GLIBC_2.3.2");
    const Waiting waiting(condition);
    return wait(condition, mutex);
}

RAMET_EXPORT int poll(pollfd* watched, nfds_t count, int milliseconds) {
    static const auto wait = next<int (*)(pollfd*, nfds_t, int)>("poll", "GLIBC_2.2.5");
    const Waiting waiting(nullptr);
    return wait(watched, count, milliseconds);
}

RAMET_EXPORT int ppoll(pollfd* watched, nfds_t count, const timespec* patience, const sigset_t* signals) {
    static const auto wait = next<int (*)(pollfd*, nfds_t, const timespec*, const sigset_t*)>("ppoll", "GLIBC_2.4");
    const Waiting waiting(nullptr);
    return wait(watched, count, patience, signals);
}
