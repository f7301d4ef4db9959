// Named places at which a test kills the process: RAMET_CRASH_POINT=<name>[#<n>] in the environment ends it with SIGKILL
// at the n-th passage (1 if left out), RAMET_STOP_POINT stops it there with SIGSTOP, so that a test can do something to a VM's process just then
// and let it go on. Without the variable a crash point costs one relaxed load. A simulation watches them by a hook
// instead: it is told of every passage and decides itself what happens there.
#pragma once

#include <atomic>

namespace ramet {

namespace crash_detail {
extern std::atomic<bool> armed;
void pass(const char* name);
}  // namespace crash_detail

void arm_crash_points_from_environment();  // called once by main()

using CrashHook = void (*)(const char* name);
void hook_crash_points(CrashHook hook);  // before any thread passes one

inline void crash_point(const char* name) {
    if (crash_detail::armed.load(std::memory_order_relaxed)) crash_detail::pass(name);
}

}  // namespace ramet
