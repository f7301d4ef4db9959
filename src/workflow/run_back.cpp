#include <algorithm>
#include <exception>

#include "base/limits.hpp"
#include "telemetry/log.hpp"
#include "workflow/crash_points.hpp"
#include "workflow/run.hpp"
#include "workflow/side_by_side.hpp"
#include "workflow/step_error.hpp"

namespace ramet::workflow {

bool Run::go_back() {
    if (!make_cause_durable()) return true;
    bool stuck = false;
    // What lies before a stuck step may be what that step still uses, so the way back ends there.
    for (; stage_ > 0 && !stuck; --stage_) {
        if (!undo_stage(stage_ - 1)) return false;
        trunk_locks_.reset();
        if (resting()) return true;
        stuck = has_stuck_row(rows_[stage_ - 1]);
    }
    if (!stuck) {
        const Result<void> abandoned = try_abandon();
        if (resting()) return true;
        if (!abandoned.has_value()) note_stuck(new_step_row(job().uuid, {}, "abandon"), abandoned.error());
        stuck = !abandoned.has_value();
    }
    bool cancelled = false;
    {
        const std::lock_guard lock(mutex_);
        cancelled = cause_->code == ErrorCode::cancelled;
    }
    finish(stuck ? JobState::stuck : cancelled ? JobState::cancelled : JobState::failed, [](Job&) {});
    return true;
}

bool Run::has_stuck_row(const StageRows& stage) {
    const auto is_stuck = [](const JobStep& row) { return row.status == StepStatus::stuck; };
    return is_stuck(stage.step) || std::any_of(stage.branches.begin(), stage.branches.end(),
                                               [&](const auto& branch) { return std::any_of(branch.begin(), branch.end(), is_stuck); });
}

// No thread may sleep here for a lock: who has been granted it may be parked and need this very thread to go on.
bool Run::undo_stage(std::size_t stage) {
    Saga::Stage& steps = saga_->stages()[stage];
    if (steps.step != nullptr) {
        JobStep& row = rows_[stage].step;
        if (row.status == StepStatus::pending || row.status == StepStatus::undone) return true;
        if (!trunk_locks_) request_trunk_locks(*steps.step);
        if (!trunk_locks_->granted()) return false;
        undo_step(*steps.step, row);
        return true;
    }
    if (fan_ == Fan::in) {
        fan_ = Fan::none;
        return true;
    }
    if (steps.branches.branches.empty()) return true;
    fan_ = Fan::out;
    // On a pool of its own: who cancels does not wait for one that other jobs keep busy.
    side_by_side_then(
        services_.undo_pool, services_.timer, steps.branches.branches.size(), steps.branches.parallel, {},
        [run = shared_from_this(), stage](std::size_t branch) -> std::optional<std::chrono::milliseconds> {
            run->undo_branch(stage, branch);
            return std::nullopt;
        },
        [run = shared_from_this()] {
            run->fan_ = Fan::in;
            run->services_.wake(run->job().uuid);
        });
    return false;
}

void Run::undo_branch(std::size_t stage, std::size_t branch) {
    std::vector<JobStep>& rows = rows_[stage].branches[branch];
    const Branch& steps = saga_->stages()[stage].branches.branches[branch];
    for (std::size_t step = rows.size(); step > 0; --step) {
        JobStep& row = rows[step - 1];
        if (row.status == StepStatus::pending || row.status == StepStatus::undone) continue;
        const Result<LockTable::Held> held = services_.locks.acquire(steps.steps[step - 1]->locks(), services_.shutdown);
        if (!held.has_value() || !undo_step(*steps.steps[step - 1], row)) return;
    }
}

bool Run::undo_step(Step& step, JobStep& row) {
    if (row.status == StepStatus::pending || row.status == StepStatus::undone) return true;
    if (row.status == StepStatus::stuck) {
        note_stuck(row, error_from_text(row.error.value_or("")).value_or(Error{}));
        return false;
    }
    if (resting()) return false;
    crash_point("undo-before-intent");
    if (row.status != StepStatus::undoing && !move(row, StepEvent::undo_started)) return false;
    crash_point("undo-after-intent");
    crash_point_of_step("undo:", row.name);
    const Result<void> undone = try_undo(step);
    if (undone.has_value()) {
        crash_point("undo-after-effect");
        crash_point_of_step("undid:", row.name);
        if (!move(row, StepEvent::undo_finished)) return false;
        crash_point("undo-after-done");
        return true;
    }
    if (resting()) return false;
    if (!row.error) row.error = error_to_text(undone.error());
    note_stuck(row, undone.error());
    (void)move(row, StepEvent::undo_failed);
    return false;
}

namespace {

constexpr int kLastPause = 20;  // in first ones

// Calls until it works, kStepRetryMax times at most, with growing pauses: a want of files or of memory passes. A full disk is waited for: it gets
// room again one day, and nobody could do more about it than that. So is what does not answer: it will one day, or end.
Result<void> try_often(const std::string& what, std::chrono::milliseconds first_pause, const std::stop_token& shutdown,
                       const std::function<Result<void>()>& call) {
    std::chrono::milliseconds wait = first_pause;
    for (std::size_t tried = 1;; ++tried) {
        Result<void> outcome{};
        try {
            outcome = call();
        } catch (const std::exception& thrown) {
            outcome = Error{ErrorCode::internal, "an internal error in " + what + "; see the server's log", thrown.what(), nullptr, {}};
        } catch (...) {
            outcome = Error{ErrorCode::internal, "an internal error in " + what, "an object that is no exception was thrown", nullptr, {}};
        }
        if (outcome.has_value()) return outcome;
        const bool waits = outcome.error().code == ErrorCode::storage_full || outcome.error().code == ErrorCode::timeout;
        if (!waits || tried <= limits::kStepRetryMax)
            telemetry::log_warning("{} failed, try {} of {}: {} {}", what, tried,
                                   waits ? "as many as it takes" : std::to_string(limits::kStepRetryMax), outcome.error().message,
                                   outcome.error().detail);
        if ((!waits && tried >= limits::kStepRetryMax) || !pause(wait, shutdown)) return outcome;
        wait = std::min(wait * 4, first_pause * kLastPause);
    }
}

}  // namespace

Result<void> Run::try_undo(Step& step) {
    // Not the run's own token: a cancel must not cut short the undo that it asked for.
    RunContext context(*this, services_.shutdown, {}, false);
    return try_often("the undo of step '" + std::string(step.name()) + "'", services_.options.undo_pause, services_.shutdown,
                     [&] { return step.undo(context); });
}

Result<void> Run::try_abandon() {
    if (!saga_->abandoner()) return {};
    Error cause;
    {
        const std::lock_guard lock(mutex_);
        cause = *cause_;
    }
    return try_often("giving up what the job had reserved", services_.options.undo_pause, services_.shutdown,
                     [&] { return saga_->abandoner()(cause); });
}

void Run::note_stuck(const JobStep& row, const Error& error) {
    telemetry::log_error("job {} is stuck at step {}; an operator decides: {} {}", row.job_uuid.text(), row.uuid, error.message, error.detail);
    const std::lock_guard lock(mutex_);
    if (!stuck_) stuck_ = error;
}

}  // namespace ramet::workflow
