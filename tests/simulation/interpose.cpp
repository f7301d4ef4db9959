// The C library's blocking functions, clocks and random numbers as the program and all its libraries see them: the scheduler's while a
// simulation runs, else the real ones. Names and signatures are the C library's. Nothing may be allocated before `real()` is filled.
#include "simulation/interpose.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <sodium.h>
#include <sys/syscall.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "simulation/scheduler.hpp"

namespace ramet::sim {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

RealFunctions found;
bool simulated = false;

template <class Function>
void find(Function& function, const char* name, const char* version = nullptr) {
    void* const address = version == nullptr ? dlsym(RTLD_NEXT, name) : dlvsym(RTLD_NEXT, name, version);
    std::memcpy(&function, &address, sizeof address);
}

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec as_timespec(std::int64_t time) { return {time / kSecond, time % kSecond}; }

// In the scheduler's time, whichever clock it was given by.
std::int64_t deadline_of(clockid_t clock, const timespec& time) {
    Scheduler& all = scheduler();
    const std::int64_t offset = clock == CLOCK_REALTIME ? all.wall() - all.monotonic() : 0;
    const std::int64_t deadline = nanoseconds(time) - offset;
    return deadline > 0 ? deadline : 1;
}

// The C library knows a mutex's owner by the kernel's thread, which all threads share here: its fields are filled with the scheduler's.
bool is_recursive(const pthread_mutex_t* mutex) { return (mutex->__data.__kind & 3) == PTHREAD_MUTEX_RECURSIVE_NP; }

int try_lock(pthread_mutex_t* mutex) {
    auto& data = mutex->__data;
    if (data.__lock == 0) {
        data.__lock = 1;
        data.__owner = scheduler().number();
        data.__count = 1;
        return 0;
    }
    if (!is_recursive(mutex) || data.__owner != scheduler().number()) return EBUSY;
    ++data.__count;
    return 0;
}

int lock(pthread_mutex_t* mutex) {
    while (try_lock(mutex) == EBUSY) scheduler().block_on(mutex, 0);
    return 0;
}

int unlock(pthread_mutex_t* mutex) {
    auto& data = mutex->__data;
    if (!is_recursive(mutex) || --data.__count == 0) {
        data.__lock = 0;
        data.__owner = 0;
        data.__count = 0;
    }
    scheduler().wake(mutex, SIZE_MAX);
    return 0;
}

int wait(pthread_cond_t* condition, pthread_mutex_t* mutex, std::int64_t deadline) {
    unlock(mutex);
    const bool woken = scheduler().block_on(condition, deadline);
    lock(mutex);
    return woken ? 0 : ETIMEDOUT;
}

long futex(const void* address, long operation, unsigned value, const timespec* timeout, unsigned mask) {
    Scheduler& all = scheduler();
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: all.wake(address, value); return 0;
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: {
        if (*static_cast<const volatile unsigned*>(address) != value) {
            errno = EAGAIN;
            return -1;
        }
        std::int64_t deadline = 0;
        if (timeout != nullptr && (operation & FUTEX_CMD_MASK) == FUTEX_WAIT)
            deadline = all.monotonic() + nanoseconds(*timeout) + 1;
        else if (timeout != nullptr)
            deadline = deadline_of((operation & FUTEX_CLOCK_REALTIME) != 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC, *timeout);
        if (all.block_on(address, deadline)) return 0;
        errno = ETIMEDOUT;
        return -1;
    }
    default: errno = ENOSYS; return -1;
    }
    static_cast<void>(mask);
}

std::uint32_t random_number() { return static_cast<std::uint32_t>(scheduler().random()); }
void random_bytes(void* const buffer, const size_t size) {
    for (size_t i = 0; i < size; ++i) static_cast<unsigned char*>(buffer)[i] = static_cast<unsigned char>(scheduler().random());
}
const char* random_name() { return "simulated"; }
randombytes_implementation random_source{&random_name, &random_number, nullptr, nullptr, &random_bytes, nullptr};

}  // namespace

const RealFunctions& real() {
    if (found.system_call != nullptr) return found;
    find(found.create, "pthread_create");
    find(found.join, "pthread_join");
    find(found.lock, "pthread_mutex_lock");
    find(found.detach, "pthread_detach");
    find(found.self, "pthread_self");
    find(found.try_lock, "pthread_mutex_trylock");
    find(found.unlock, "pthread_mutex_unlock");
    // The C library keeps an older kind of condition variables under the same names.
    find(found.wait, "pthread_cond_wait", "GLIBC_2.3.2");
    find(found.timed_wait, "pthread_cond_timedwait", "GLIBC_2.3.2");
    find(found.signal, "pthread_cond_signal", "GLIBC_2.3.2");
    find(found.broadcast, "pthread_cond_broadcast", "GLIBC_2.3.2");
    find(found.clock_wait, "pthread_cond_clockwait");
    find(found.clock_gettime, "clock_gettime");
    find(found.nanosleep, "nanosleep");
    find(found.clock_nanosleep, "clock_nanosleep");
    find(found.sched_yield, "sched_yield");
    find(found.system_call, "syscall");
    return found;
}

void draw_from_seed() { randombytes_set_implementation(&random_source); }

void simulate_from_now_on() {
    real();
    draw_from_seed();
    simulated = true;
}

}  // namespace ramet::sim

using ramet::sim::real;
using ramet::sim::scheduler;
using ramet::sim::simulated;

extern "C" {

int pthread_create(pthread_t* handle, const pthread_attr_t* attributes, void* (*function)(void*), void* argument) noexcept {
    if (!simulated) return real().create(handle, attributes, function, argument);
    return scheduler().create(handle, function, argument);
}

int pthread_join(pthread_t handle, void** answer) {
    if (simulated && scheduler().wait_for_end(handle, answer)) return 0;
    return real().join(handle, answer);
}
int pthread_detach(pthread_t handle) noexcept { return simulated ? 0 : real().detach(handle); }
pthread_t pthread_self() noexcept { return simulated ? scheduler().self() : real().self(); }

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept { return simulated ? ramet::sim::lock(mutex) : real().lock(mutex); }
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept { return simulated ? ramet::sim::try_lock(mutex) : real().try_lock(mutex); }
int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept { return simulated ? ramet::sim::unlock(mutex) : real().unlock(mutex); }

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
    return simulated ? ramet::sim::wait(condition, mutex, 0) : real().wait(condition, mutex);
}
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* time) {
    if (!simulated) return real().timed_wait(condition, mutex, time);
    return ramet::sim::wait(condition, mutex, ramet::sim::deadline_of(CLOCK_REALTIME, *time));
}
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
    if (!simulated) return real().clock_wait(condition, mutex, clock, time);
    return ramet::sim::wait(condition, mutex, ramet::sim::deadline_of(clock, *time));
}
int pthread_cond_signal(pthread_cond_t* condition) noexcept {
    if (!simulated) return real().signal(condition);
    scheduler().wake(condition, 1);
    scheduler().point();
    return 0;
}
int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
    if (!simulated) return real().broadcast(condition);
    scheduler().wake(condition, SIZE_MAX);
    scheduler().point();
    return 0;
}

int clock_gettime(clockid_t clock, timespec* time) noexcept {
    const bool of_the_process = clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
    if (!simulated || of_the_process) return real().clock_gettime(clock, time);
    const std::int64_t now = scheduler().tick();
    const bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    *time = ramet::sim::as_timespec(wall ? scheduler().wall() : now);
    return 0;
}
int nanosleep(const timespec* time, timespec* left) {
    if (!simulated) return real().nanosleep(time, left);
    scheduler().sleep(ramet::sim::nanoseconds(*time));
    return 0;
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
    if (!simulated) return real().clock_nanosleep(clock, flags, time, left);
    const bool absolute = (flags & TIMER_ABSTIME) != 0;
    scheduler().sleep(absolute ? ramet::sim::deadline_of(clock, *time) - scheduler().monotonic() : ramet::sim::nanoseconds(*time));
    return 0;
}
int sched_yield() noexcept {
    if (!simulated) return real().sched_yield();
    scheduler().yield();
    return 0;
}

// What the C++ library waits with where it has no mutex: futures, stop tokens, atomics.
long syscall(long number, ...) noexcept {
    std::va_list list;
    va_start(list, number);
    long words[6];
    for (long& word : words) word = va_arg(list, long);
    va_end(list);
    if (!simulated || number != SYS_futex) return real().system_call(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    return ramet::sim::futex(reinterpret_cast<const void*>(words[0]), words[1], static_cast<unsigned>(words[2]),
                             reinterpret_cast<const timespec*>(words[3]), static_cast<unsigned>(words[5]));
}

}  // extern "C"
