#include "workflow/side_by_side.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace ramet::workflow {
namespace {

constexpr std::chrono::milliseconds kFullQueuePause{50};

// Shared with the runners, which may still be leaving when the caller has gone.
struct Group : std::enable_shared_from_this<Group> {
    Group(ThreadPool& the_pool, Timer& the_timer, std::size_t the_count, std::size_t the_parallel, SideTask the_task, std::function<void()> the_end)
        : pool(the_pool),
          timer(the_timer),
          count(the_count),
          parallel(std::max<std::size_t>(the_parallel, 1)),
          task(std::move(the_task)),
          all_ended(std::move(the_end)) {}

    ThreadPool& pool;
    Timer& timer;
    const std::size_t count;
    const std::size_t parallel;
    const SideTask task;
    const std::function<void()> all_ended;
    std::mutex mutex;
    std::size_t next = 0;            // the first that has not begun
    std::set<std::size_t> sleeping;  // until the timer wakes them
    std::deque<std::size_t> due;     // woken
    std::size_t ended = 0;
    std::size_t runners = 0;
    bool stopped = false;
    std::optional<std::stop_callback<std::function<void()>>> on_stop;  // last: its end waits for a stop in progress

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
        std::unique_lock lock(mutex);
        if (pause && !stopped) {
            sleeping.insert(index);
            timer.after(*pause, [group = shared_from_this(), index] { group->wake(index); });
            return;
        }
        if (pause) {
            due.push_back(index);  // stopped meanwhile: it looks once more, and ends
            return;
        }
        if (++ended < count) return;
        lock.unlock();
        all_ended();
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
        const std::shared_ptr<Group> alive = weak_from_this().lock();
        if (alive == nullptr) return;
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

void side_by_side_then(ThreadPool& pool, Timer& timer, std::size_t count, std::size_t parallel, std::stop_token stop, SideTask task,
                       std::function<void()> ended) {
    if (count == 0) return ended();
    const auto group = std::make_shared<Group>(pool, timer, count, parallel, std::move(task), std::move(ended));
    group->on_stop.emplace(std::move(stop), [here = group.get()] { here->stop(); });
    for (std::size_t runner = 0; runner < std::min(count, group->parallel); ++runner) group->add_runner();
}

}  // namespace ramet::workflow
