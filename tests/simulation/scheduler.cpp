#include "simulation/scheduler.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "simulation/fiber.hpp"
#include "simulation/interpose.hpp"

namespace ramet::sim {

namespace {

constexpr std::int64_t kLookAtClock = 200;                         // nanoseconds
constexpr std::int64_t kBootNanoseconds = 1000LL * 1'000'000'000;  // since boot, when a simulation begins
constexpr std::int64_t kWallNanoseconds = 1'700'000'000LL * 1'000'000'000;
constexpr std::uint64_t kChangeOfThread = 4;  // one point in so many

}  // namespace

std::uint64_t Random::next() {
    std::uint64_t value = state_ += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31U);
}

void Digest::add(std::string_view text) {
    for (const char letter : text) value_ = (value_ ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
    value_ = (value_ ^ 0xffU) * 0x100000001b3ULL;
}

struct Scheduler::Thread {
    std::uint64_t number = 0;
    pthread_t handle{};
    void* (*function)(void*) = nullptr;
    void* argument = nullptr;
    void* answer = nullptr;
    std::string errand;
    std::unique_ptr<Fiber> fiber;
    bool ended = false, joined = false;
    const void* waits_for = nullptr;  // null: it can go on
    std::int64_t deadline = 0;
    bool timed_out = false;
};

Scheduler& scheduler() {
    static Scheduler* const one = new Scheduler;  // never destroyed: threads may outlive main()
    return *one;
}

void Scheduler::begin(std::uint64_t seed, std::function<void(const std::string&)> on_failure) {
    order_ = Random(seed * 2 + 1);
    numbers_ = Random(seed * 2 + 2);
    on_failure_ = std::move(on_failure);
    now_ = kBootNanoseconds;
    wall_offset_ = kWallNanoseconds;
    threads_.push_back(std::make_unique<Thread>());
    current_ = threads_.back().get();
    current_->handle = real().self();
    current_->fiber = std::make_unique<Fiber>();
    active_ = true;
}

void Scheduler::note(std::string_view event) {
    if (!active_) return;
    digest_.add(event);
    digest_.add(std::to_string(current_->number) + "@" + std::to_string(now_));
    static const bool traced = std::getenv("RAMET_SIM_TRACE") != nullptr;
    if (traced)
        std::fprintf(stderr, "%12.6f t%llu %.*s\n", static_cast<double>(now_ - kBootNanoseconds) / 1e9,
                     static_cast<unsigned long long>(current_->number), static_cast<int>(event.size()), event.data());
}

void Scheduler::fail(const std::string& why) {
    on_failure_(why);
    ::_exit(1);
}

void Scheduler::count_turn() {
    if (++turns_ > limits_.turns) fail("it did not end: too many turns");
    if (now_ - kBootNanoseconds > limits_.seconds * 1'000'000'000) fail("it did not end: too much simulated time");
}

// The deadline that comes next lets its thread go on when nobody else can.
Scheduler::Thread* Scheduler::pick(Thread* except) {
    std::vector<Thread*> ready;
    Thread* next_due = nullptr;
    for (const auto& thread : threads_) {
        if (thread->ended || thread.get() == except) continue;
        if (thread->waits_for == nullptr)
            ready.push_back(thread.get());
        else if (thread->deadline != 0 && (next_due == nullptr || thread->deadline < next_due->deadline))
            next_due = thread.get();
    }
    // A deadline that is over counts as much as a wake.
    if (next_due != nullptr && (ready.empty() ? except == nullptr : next_due->deadline <= now_)) {
        now_ = std::max(now_, next_due->deadline);
        next_due->waits_for = nullptr;
        next_due->timed_out = true;
        ready.push_back(next_due);
    }
    return ready.empty() ? nullptr : ready[order_.below(ready.size())];
}

void Scheduler::hand_over(Thread* next) {
    Thread* const self = current_;
    if (next == self) return;
    current_ = next;
    self->fiber->change_to(*next->fiber);
}

void Scheduler::point() {
    if (!active_) return;
    count_turn();
    now_ += kLookAtClock;
    if (uninterrupted_ || !order_.one_in(kChangeOfThread)) return;
    if (Thread* next = pick(current_)) hand_over(next);
}

void Scheduler::yield() {
    count_turn();
    now_ += kLookAtClock;
    if (Thread* next = pick(current_)) hand_over(next);
}

std::int64_t Scheduler::tick() { return now_ += kLookAtClock; }

bool Scheduler::block_on(const void* object, std::int64_t deadline) {
    count_turn();
    Thread* const self = current_;
    self->waits_for = object;
    self->deadline = deadline;
    self->timed_out = false;
    Thread* const next = pick(nullptr);
    if (next == nullptr) fail("nobody can go on: " + std::to_string(threads_.size()) + " threads wait for each other");
    hand_over(next);
    self->deadline = 0;
    return !self->timed_out;
}

void Scheduler::sleep(std::int64_t nanoseconds) { block_on(current_, now_ + std::max<std::int64_t>(nanoseconds, 1)); }

void Scheduler::wake(const void* object, std::size_t count) {
    for (const auto& thread : threads_) {
        if (count == 0) return;
        if (thread->ended || thread->waits_for != object) continue;
        thread->waits_for = nullptr;
        --count;
    }
}

int Scheduler::create(pthread_t* handle, void* (*function)(void*), void* argument) {
    std::erase_if(threads_, [](const auto& thread) { return thread->ended && thread->joined; });
    threads_.push_back(std::make_unique<Thread>());
    Thread* const thread = threads_.back().get();
    thread->number = ++threads_made_;
    thread->function = function;
    thread->argument = argument;
    thread->errand = current_->errand;
    thread->handle = reinterpret_cast<pthread_t>(thread);
    thread->fiber = std::make_unique<Fiber>(&Scheduler::run_thread, thread);
    *handle = thread->handle;
    return 0;
}

void Scheduler::run_thread(void* argument) {
    auto* const self = static_cast<Thread*>(argument);
    self->answer = self->function(self->argument);
    self->ended = true;
    scheduler().wake(self, SIZE_MAX);
    Thread* const next = scheduler().pick(nullptr);
    if (next == nullptr) scheduler().fail("the last thread that could go on has ended");
    scheduler().hand_over(next);  // for ever
}

bool Scheduler::wait_for_end(pthread_t handle, void** answer) {
    const auto found =
        std::ranges::find_if(threads_, [&](const auto& thread) { return thread->handle == handle && thread.get() != current_ && !thread->joined; });
    if (found == threads_.end()) return false;
    Thread* const thread = found->get();
    while (!thread->ended) block_on(thread, 0);
    thread->joined = true;
    if (answer != nullptr) *answer = thread->answer;
    return true;
}

pthread_t Scheduler::self() const { return current_->handle; }
std::string& Scheduler::errand() { return current_->errand; }
int Scheduler::number() const { return static_cast<int>(current_->number); }

void Scheduler::drop_other_threads() {
    for (auto& thread : threads_) {
        // They never go on, and what waits in them was the dead server's; the records are few.
        if (thread.get() != current_) static_cast<void>(thread.release());
    }
    std::erase_if(threads_, [](const auto& thread) { return thread == nullptr; });
}

}  // namespace ramet::sim
