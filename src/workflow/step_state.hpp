// The legal moves of a step's row, and the names of rows.
//
//   pending ──► running ──► done ──► undoing ──► undone
//                  │                    ▲  └───► stuck      its undo failed kStepRetryMax times
//                  └──► failed ─────────┘
// Of a job that is reopened a stuck step is `undoing` again.
//
// `failed` is passed through in one commit with `undoing`: the row that says that an undo begins also says why.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "model/account.hpp"

namespace ramet::workflow {

enum class StepEvent : std::uint8_t { started, finished, run_failed, undo_started, undo_finished, undo_failed };

constexpr std::optional<StepStatus> next(StepStatus from, StepEvent event) {
    using enum StepStatus;
    const auto only_from = [from](auto... allowed) { return ((from == allowed) || ...); };
    switch (event) {
    case StepEvent::started:
        if (only_from(pending, running)) return running;
        break;  // running: interrupted by a crash, runs again
    case StepEvent::finished:
        if (only_from(running)) return done;
        break;
    case StepEvent::run_failed:
        if (only_from(running)) return failed;
        break;
    case StepEvent::undo_started:
        if (only_from(running, failed, done, undoing)) return undoing;
        break;
    case StepEvent::undo_finished:
        if (only_from(undoing)) return undone;
        break;
    case StepEvent::undo_failed:
        if (only_from(undoing)) return stuck;
        break;
    }
    return std::nullopt;  // an illegal move: the log is damaged or the engine has a bug
}

// True from the moment at which a step or its branch is being taken back.
constexpr bool goes_back(StepStatus status) {
    using enum StepStatus;
    return status == failed || status == undoing || status == undone || status == stuck;
}

// Its effects may be there in part: nobody else may look at what it holds.
constexpr bool is_half_done(StepStatus status) {
    using enum StepStatus;
    return status == running || status == failed || status == undoing;
}

constexpr bool is_terminal(JobState state) {
    using enum JobState;
    return state == succeeded || state == failed || state == cancelled || state == stuck;
}

// Beside its steps a job that is undone has one row that holds the reason. It is committed before the first undo and decides, after a
// crash, that the job goes back. Its error's code is `cancelled` when a user asked for it.
inline constexpr std::string_view kCauseRow = "@cause";

std::string step_uuid(const JobId& job, std::string_view branch, std::string_view step);  // "<job>/<branch>/<step>"
JobStep new_step_row(const JobId& job, std::string_view branch, std::string_view step);   // pending
JobStep cause_row(const JobId& job, const Error& error, Timestamp now);

// A stuck step's row, and a stuck job's with all its steps, as they were before the undo gave up.
void reopen(JobStep& step);
void reopen(Job& job, const std::vector<JobStep>& steps);

}  // namespace ramet::workflow
