// The places of the engine at which a test may kill the process (base/crash_point.hpp). Beside these every step has two of its
// own: "run:<step>" after its intent is committed and "ran:<step>" after its effect, and two for its undo: "undo:<step>", "undid:<step>".
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/crash_point.hpp"

namespace ramet::workflow {

inline constexpr std::array<std::string_view, 10> kCrashPoints{
    "step-before-intent",  // locks held, nothing committed
    "step-after-intent",   // `running` is committed, no effect yet
    "step-after-effect",   // run() is over, the log does not know
    "step-after-done",     // `done` is committed
    "undo-before-intent",  // the step has failed or is to be taken back
    "undo-after-intent",   // `undoing` is committed, the effect is still there
    "undo-after-effect",   // undo() is over, the log does not know
    "undo-after-done",     // `undone` is committed
    "job-before-report",   // every step is done
    "job-after-report",    // the report is built, the job's end is not committed
};

// `prefix` with the step's name; the name is only put together when a test has armed the points.
inline void crash_point_of_step(std::string_view prefix, std::string_view step) {
    if (!crash_detail::armed.load(std::memory_order_relaxed)) return;
    crash_point((std::string(prefix) + std::string(step)).c_str());
}

}  // namespace ramet::workflow
