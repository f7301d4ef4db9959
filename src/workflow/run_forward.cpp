#include <algorithm>
#include <exception>

#include "base/patience.hpp"
#include "workflow/crash_points.hpp"
#include "workflow/run.hpp"
#include "workflow/side_by_side.hpp"
#include "workflow/step_error.hpp"

namespace ramet::workflow {
namespace {

Result<Output> call_run(Step& step, StepContext& context) {
    const std::string failure = "an internal error in step '" + std::string(step.name()) + "'; see the server's log";
    const Patience patience(context.stop());
    try {
        return step.run(context);
    } catch (const std::exception& thrown) { return fail(ErrorCode::internal, failure, thrown.what()); } catch (...) {
        return fail(ErrorCode::internal, failure, "an object that is no exception was thrown");
    }
}

// The error of a branch that was, or is being, undone alone.
std::optional<Error> branch_error(const std::vector<JobStep>& rows) {
    // The last step that was begun is the one that failed; those before it may bear the error of an undo that gave up.
    for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
        if (!goes_back(row->status) || !row->error) continue;
        std::optional<Error> error = error_from_text(*row->error);
        if (error) return error;
    }
    for (const JobStep& row : rows) {
        if (goes_back(row.status)) return Error{ErrorCode::operation_failed, "it failed and was undone", {}, nullptr, {}};
    }
    return std::nullopt;
}

}  // namespace

bool Run::go_forward() {
    const auto begin = [](Job& row) { row.state = JobState::running; };
    if (job().state == JobState::queued && !journal_.change_job(begin, saga_->log_of_steps())) return true;
    for (; stage_ < rows_.size(); ++stage_) {
        if (resting() || claimed()) return true;
        if (saga_->stages()[stage_].step == nullptr) {
            if (!run_fan_out(stage_)) return false;
            continue;
        }
        const StepEnd end = run_trunk_step(stage_);
        if (end == StepEnd::parked) return false;
        if (end == StepEnd::failed) return true;
        trunk_locks_.reset();
        if (end != StepEnd::done) return true;
    }
    if (resting() || !enter_report()) return true;
    make_report();
    return true;
}

Run::StepEnd Run::run_trunk_step(std::size_t stage) {
    JobStep& row = rows_[stage].step;
    if (row.status == StepStatus::done) return StepEnd::done;
    Step& step = *saga_->stages()[stage].step;
    if (!trunk_locks_) request_trunk_locks(step);
    if (!trunk_locks_->granted()) return StepEnd::parked;
    StepRun call;
    call.again = trunk_waits_;
    const StepEnd end = run_step(step, row, call);
    trunk_waits_ = end == StepEnd::waits;
    if (end == StepEnd::waits) {
        trunk_locks_.reset();
        services_.timer.after(call.pause, waker());
        return StepEnd::parked;
    }
    if (end == StepEnd::failed) {
        row.error = error_to_text(call.why);
        claim(call.why);
    }
    return end;
}

bool Run::run_fan_out(std::size_t stage) {
    if (fan_ == Fan::in) {
        fan_ = Fan::none;
        return true;
    }
    const FanOut& fan_out = saga_->stages()[stage].branches;
    std::vector<std::size_t> open;
    for (std::size_t branch = 0; branch < fan_out.branches.size(); ++branch) {
        const std::vector<JobStep>& rows = rows_[stage].branches[branch];
        const bool done = std::all_of(rows.begin(), rows.end(), [](const JobStep& row) { return row.status == StepStatus::done; });
        if (!done) open.push_back(branch);
    }
    if (open.empty()) return true;
    fan_ = Fan::out;
    const std::size_t count = open.size();
    side_by_side_then(
        pool_of(fan_out), services_.timer, count, fan_out.parallel, stop_.get_token(),
        [run = shared_from_this(), stage, open = std::move(open)](std::size_t index) { return run->run_branch(stage, open[index]); },
        [run = shared_from_this()] {
            run->fan_ = Fan::in;
            run->services_.wake(run->job().uuid);
        });
    return false;
}

std::optional<std::chrono::milliseconds> Run::run_branch(std::size_t stage, std::size_t branch) {
    std::vector<JobStep>& rows = rows_[stage].branches[branch];
    const Branch& steps = saga_->stages()[stage].branches.branches[branch];
    if (branch_error(rows)) {  // failed before a crash: its undo ends now
        if (!resting() && !claimed()) undo_branch(stage, branch);
        return std::nullopt;
    }
    for (std::size_t step = 0; step < rows.size(); ++step) {
        if (resting() || claimed()) return std::nullopt;
        if (rows[step].status == StepStatus::done) continue;
        char& waiting = rows_[stage].waiting[branch];
        StepRun call;
        call.again = waiting != 0;
        StepEnd end = StepEnd::interrupted;
        {
            const Result<LockTable::Held> held = services_.locks.acquire(steps.steps[step]->locks(), stop_.get_token());
            if (held.has_value()) end = run_step(*steps.steps[step], rows[step], call);
        }
        waiting = end == StepEnd::waits ? 1 : 0;
        if (end == StepEnd::waits) return call.pause;
        if (end == StepEnd::failed) branch_failed(stage, branch, step, call.why);
        if (end != StepEnd::done) return std::nullopt;
    }
    return std::nullopt;
}

void Run::branch_failed(std::size_t stage, std::size_t branch, std::size_t step, const Error& error) {
    JobStep& row = rows_[stage].branches[branch][step];
    if (saga_->stages()[stage].branches.on_failure == BranchFailure::undo_all) {
        if (!claim(error)) return;
        row.error = error_to_text(error);
        stop_.request_stop();
        return;
    }
    if (claimed()) return;  // a cancel undoes everything, this branch with it
    row.error = error_to_text(error);
    const std::optional<StepStatus> status = next(row.status, StepEvent::run_failed);
    if (!status) return;
    row.status = *status;  // committed with the `undoing` that follows at once
    undo_branch(stage, branch);
}

Run::StepEnd Run::run_step(Step& step, JobStep& row, StepRun& call) {
    RunContext context(*this, stop_.get_token(), row.branch, true);
    context.holds(step.locks());
    if (!call.again) {
        crash_point("step-before-intent");
        if (!move(row, StepEvent::started)) return StepEnd::interrupted;
        crash_point("step-after-intent");
        crash_point_of_step("run:", row.name);
    }
    Result<Output> outcome = call_run(step, context);
    if (!outcome.has_value()) {
        // An engine that stops makes steps end early; such a step runs again after the next start.
        if (resting()) return StepEnd::interrupted;
        call.why = std::move(outcome.error());
        return StepEnd::failed;
    }
    if (context.pause()) {
        call.pause = *context.pause();
        return StepEnd::waits;
    }
    crash_point("step-after-effect");
    crash_point_of_step("ran:", row.name);
    row.output = std::move(*outcome);
    if (!move(row, StepEvent::finished)) return StepEnd::interrupted;
    crash_point("step-after-done");
    add_progress(1.0 - context.reported());
    return StepEnd::done;
}

std::vector<BranchOutcome> Run::outcomes() {
    std::vector<BranchOutcome> all;
    for (std::size_t stage = 0; stage < rows_.size(); ++stage) {
        const std::vector<Branch>& branches = saga_->stages()[stage].branches.branches;
        for (std::size_t branch = 0; branch < branches.size(); ++branch) {
            all.push_back(BranchOutcome{branches[branch].name, branch_error(rows_[stage].branches[branch])});
        }
    }
    return all;
}

void Run::make_report() {
    crash_point("job-before-report");
    Result<Report> report = Report{};
    if (saga_->reporter()) {
        try {
            const RunContext context(*this, services_.shutdown, {}, false);
            report = saga_->reporter()(context, outcomes());
        } catch (const std::exception& thrown) {
            report = fail(ErrorCode::internal, "an internal error while the job's result was put together; see the server's log", thrown.what());
        }
    }
    crash_point("job-after-report");
    std::optional<Error> stuck;
    {
        const std::lock_guard lock(mutex_);
        stuck = stuck_;
    }
    const auto& to_json = services_.options.error_to_json;
    if (!report.has_value()) {
        if (resting()) return;
        finish(stuck ? JobState::stuck : JobState::failed, [&](Job& row) { row.error = to_json(report.error()); });
        return;
    }
    finish(stuck ? JobState::stuck : JobState::succeeded, [&](Job& row) {
        if (!report->result.empty()) row.result = report->result;
        if (!report->detail.empty()) row.detail = report->detail;
        if (stuck)
            row.error = to_json(*stuck);
        else
            row.progress = 100;
    });
}

}  // namespace ramet::workflow
