#include "workflow/side_by_side.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

namespace ramet::workflow {
namespace {

// Shared by the runners, which may still be leaving when the caller has gone.
struct Group : std::enable_shared_from_this<Group> {
    Group(ThreadPool& the_pool, std::size_t the_count, std::function<void(std::size_t)> the_task, std::function<void()> the_end)
        : pool(the_pool),
          count(the_count),
          task(std::move(the_task)),
          all_ended(std::move(the_end)) {}

    ThreadPool& pool;
    const std::size_t count;
    const std::function<void(std::size_t)> task;
    const std::function<void()> all_ended;
    std::mutex mutex;
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
            bool last = false;
            {
                const std::lock_guard lock(mutex);
                ++ended;
                more = next < count;
                last = ended == count;
            }
            if (last) all_ended();
            if (more && post()) return;
        }
    }
};

}  // namespace

void side_by_side(ThreadPool& pool, std::size_t count, std::size_t parallel, std::function<void(std::size_t)> task, std::function<void()> ended) {
    if (count == 0) return ended();
    const auto group = std::make_shared<Group>(pool, count, std::move(task), std::move(ended));
    std::size_t posted = 0;
    for (std::size_t runner = 0; runner < std::min(count, std::max<std::size_t>(parallel, 1)); ++runner) posted += group->post() ? 1 : 0;
    if (posted == 0) group->run();
}

}  // namespace ramet::workflow
