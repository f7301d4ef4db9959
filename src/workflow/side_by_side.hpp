// Calls of one job spread over a pool that several jobs share.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/task_group.hpp"
#include "workflow/timer.hpp"

namespace ramet::workflow {

// A pause: the call wants to be made again after it, and holds no thread until then. Nothing: it has ended. Must not throw.
using SideTask = std::function<std::optional<std::chrono::milliseconds>(std::size_t index)>;

// Runs task(0) .. task(count - 1) on `pool`, at most `parallel` at once, and returns at once. After each call a runner goes to
// the end of the pool's queue, so that a job of 1000 branches does not hold up one of two. `ended` is called once, from the
// thread of the last call, and is the last to use `task`.
// When `stop` is requested, the calls that have not begun or that wait are made at once by whoever requested it: they see the reason and end,
// so that nobody waits for a pool that is busy with other jobs.
void side_by_side_then(ThreadPool& pool, Timer& timer, std::size_t count, std::size_t parallel, std::stop_token stop, SideTask task,
                       std::function<void()> ended);

}  // namespace ramet::workflow
