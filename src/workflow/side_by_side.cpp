#include "workflow/side_by_side.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>

namespace ramet::workflow {
namespace {

constexpr std::chrono::milliseconds kFullQueuePause{50};

// Shared with the runners, which may still be leaving when the caller has gone.
struct Group : std::enable_shared_from_this<Group> {
    Group(ThreadPool& the_pool, Timer& the_timer, std::size_t the_count, std::size_t the_parallel, const SideTask& the_task)
        : pool(the_pool),
          timer(the_timer),
          count(the_count),
          parallel(std::max<std::size_t>(the_parallel, 1)),
          task(the_task) {}

    ThreadPool& pool;
    Timer& timer;
    const std::size_t count;
    const std::size_t parallel;
    const SideTask& task;  // valid until the last call has ended
    std::mutex mutex;
    std::condition_variable all_ended;
    std::size_t next = 0;            // the first that has not begun
    std::set<std::size_t> sleeping;  // until the timer wakes them
    std::deque<std::size_t> due;     // woken
    std::size_t ended = 0;
    std::size_t runners = 0;
    bool stopped = false;

    bool work_left() const { return !due.empty() || next < count; }

    std::optional<std::size_t> take() {
        const std::lock_guard lock(mutex);
        if (next < count) return next++;
        if (due.empty()) return std::nullopt;
        const std::size_t index = due.front();
        due.pop_front();
        return index;
    }

    void call(std::size_t index) {
        const std::optional<std::chrono::milliseconds> pause = task(index);
        const std::lock_guard lock(mutex);
        if (pause && !stopped) {
            sleeping.insert(index);
            timer.after(*pause, [group = shared_from_this(), index] { group->wake(index); });
            return;
        }
        if (pause) {
            due.push_back(index);  // stopped meanwhile: it looks once more, and ends
            return;
        }
        if (++ended == count) all_ended.notify_all();
    }

    void wake(std::size_t index) {
        {
            const std::lock_guard lock(mutex);
            if (sleeping.erase(index) == 0) return;  // taken by a stop
            due.push_back(index);
        }
        add_runner();
    }

    void add_runner() {
        {
            const std::lock_guard lock(mutex);
            if (runners >= parallel || !work_left()) return;
            ++runners;
        }
        if (post()) return;
        const std::lock_guard lock(mutex);
        --runners;
        timer.after(kFullQueuePause, [group = shared_from_this()] { group->add_runner(); });
    }

    bool post() {
        return pool.post([group = shared_from_this()] { group->run(); });
    }

    // One call, then back into the queue; when the queue takes no more, the runner goes on itself.
    void run() {
        for (;;) {
            if (const std::optional<std::size_t> index = take()) call(*index);
            {
                const std::lock_guard lock(mutex);
                if (!work_left()) {
                    --runners;
                    return;
                }
            }
            if (post()) return;
        }
    }

    void stop() {
        {
            const std::lock_guard lock(mutex);
            stopped = true;
            due.insert(due.end(), sleeping.begin(), sleeping.end());
            sleeping.clear();
        }
        while (const std::optional<std::size_t> index = take()) call(*index);
    }
};

}  // namespace

void side_by_side(ThreadPool& pool, Timer& timer, std::size_t count, std::size_t parallel, const std::stop_token& stop, const SideTask& task) {
    if (count == 0) return;
    const auto group = std::make_shared<Group>(pool, timer, count, parallel, task);
    const std::stop_callback on_stop(stop, [group] { group->stop(); });
    for (std::size_t runner = 0; runner < std::min(count, group->parallel); ++runner) group->add_runner();
    std::unique_lock lock(group->mutex);
    group->all_ended.wait(lock, [&] { return group->ended == count; });
}

}  // namespace ramet::workflow
