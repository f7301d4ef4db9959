// Calls of one job spread over a pool that several jobs share.
#pragma once

#include <cstddef>
#include <functional>

#include "base/task_group.hpp"

namespace ramet::workflow {

// Runs task(0) .. task(count - 1) on `pool`, at most `parallel` at once. Returns at once; `ended` is called once when all have ended, from
// the thread of the last call, and is the last to use `task`. After each call a runner goes to the end of the pool's queue, so that a job of
// 1000 branches does not hold up one of two. Tasks must not throw.
void side_by_side(ThreadPool& pool, std::size_t count, std::size_t parallel, std::function<void(std::size_t)> task, std::function<void()> ended);

}  // namespace ramet::workflow
