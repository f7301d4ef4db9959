#include "workflow/side_by_side.hpp"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace ramet::workflow {
namespace {

// Shared with the runners, which may still be leaving when the caller has gone.
struct Group : std::enable_shared_from_this<Group> {
    Group(ThreadPool& the_pool, std::size_t the_count, const std::function<void(std::size_t)>& the_task)
        : pool(the_pool),
          count(the_count),
          task(the_task) {}

    ThreadPool& pool;
    const std::size_t count;
    const std::function<void(std::size_t)>& task;  // valid until the last call has ended
    std::mutex mutex;
    std::condition_variable all_ended;
    std::size_t next = 0;
    std::size_t ended = 0;

    bool post() {
        return pool.post([group = shared_from_this()] { group->run(); });
    }
    // One call, then back into the queue; when the queue takes no more, the runner goes on itself.
    void run() {
        for (bool more = true; more;) {
            std::size_t index = 0;
            {
                const std::lock_guard lock(mutex);
                if (next == count) return;
                index = next++;
            }
            task(index);
            {
                const std::lock_guard lock(mutex);
                ++ended;
                more = next < count;
                if (ended == count) all_ended.notify_all();
            }
            if (more && post()) return;
        }
    }
};

}  // namespace

void side_by_side(ThreadPool& pool, std::size_t count, std::size_t parallel, const std::function<void(std::size_t)>& task) {
    if (count == 0) return;
    const auto group = std::make_shared<Group>(pool, count, task);
    std::size_t posted = 0;
    for (std::size_t runner = 0; runner < std::min(count, std::max<std::size_t>(parallel, 1)); ++runner) posted += group->post() ? 1 : 0;
    if (posted == 0) group->run();
    std::unique_lock lock(group->mutex);
    group->all_ended.wait(lock, [&] { return group->ended == count; });
}

}  // namespace ramet::workflow
