// Deterministic threads and time. While a simulation runs, every thread of the process waits its turn: one works, the others stand still, and
// which of them goes on is drawn from the seed. interpose.cpp leads the C library's mutexes, condition variables, futexes, threads, sleeps,
// clocks and random numbers here, so that the code under test is the product's own, threads and all, and the same seed is the same run.
//
// Time stands still while anybody can work; when nobody can, it jumps to the next deadline. An hour of waiting costs nothing.
//
// The threads are fibers of one real thread (fiber.hpp). A server dies when all of them but the one at work are dropped with what they hold: the
// machine has its processes and files, as when a server was killed.
#pragma once

#include <pthread.h>
#include <time.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ramet::sim {

// A small generator whose whole state is its seed (splitmix64).
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next();
    std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }

private:
    std::uint64_t state_;
};

// What happened, in a number that is the same when the same happened.
class Digest {
public:
    void add(std::string_view text);
    std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

class Scheduler {
public:
    struct Limits {
        std::uint64_t turns = 20'000'000;
        std::int64_t seconds = 6 * 3600;  // of simulated time
    };
    // From here on the calling thread is the only one, and the process is simulated until it ends.
    void begin(std::uint64_t seed, std::function<void(const std::string&)> on_failure);
    bool active() const { return active_; }
    bool uninterrupted() const { return uninterrupted_; }

    // --- for the harness
    void point();  // somebody else may go on here
    void sleep(std::int64_t nanoseconds);
    void step_wall_clock(std::int64_t milliseconds) {
        wall_offset_ += milliseconds * 1'000'000;
        ++wall_steps_;
    }
    std::uint64_t wall_steps() const { return wall_steps_; }
    std::int64_t monotonic() const { return now_; }
    std::int64_t wall() const { return now_ + wall_offset_; }
    void note(std::string_view event);  // into the digest and, when it is wanted, the trace
    std::uint64_t digest() const { return digest_.value(); }
    void drop_other_threads();
    std::uint64_t turns() const { return turns_; }

    // --- for interpose.cpp
    struct Thread;
    int create(pthread_t* handle, void* (*function)(void*), void* argument);
    bool wait_for_end(pthread_t handle, void** answer);  // false: not one of ours
    pthread_t self() const;
    int number() const;     // of the thread at work
    std::string& errand();  // what the thread at work is at; those that it makes begin with the same
    // Blocks until somebody wakes `object`, or until the deadline (simulated, 0: none). False: the deadline came.
    bool block_on(const void* object, std::int64_t deadline);
    void wake(const void* object, std::size_t count);
    void yield();
    std::int64_t tick();  // the time now; looking at the clock takes a little
    std::uint64_t random() { return numbers_.next(); }

private:
    static void run_thread(void* thread);
    Thread* pick(Thread* except);
    void hand_over(Thread* next);
    [[noreturn]] void fail(const std::string& why);
    void count_turn();

    friend class Uninterrupted;
    bool active_ = false, uninterrupted_ = false;
    Random order_{0}, numbers_{0};
    Digest digest_;
    Limits limits_;
    std::int64_t now_ = 0, wall_offset_ = 0;
    std::uint64_t wall_steps_ = 0;
    std::uint64_t turns_ = 0;
    std::uint64_t threads_made_ = 0;
    std::vector<std::unique_ptr<Thread>> threads_;
    Thread* current_ = nullptr;
    std::function<void(const std::string&)> on_failure_;
};

Scheduler& scheduler();

// While it lives, the thread at work goes on alone and passes no crash point. For what the machine does and the server does not.
class Uninterrupted {
public:
    explicit Uninterrupted(Scheduler& of) : of_(of) { of_.uninterrupted_ = true; }
    ~Uninterrupted() { of_.uninterrupted_ = false; }
    Uninterrupted(const Uninterrupted&) = delete;
    Uninterrupted& operator=(const Uninterrupted&) = delete;

private:
    Scheduler& of_;
};

}  // namespace ramet::sim
