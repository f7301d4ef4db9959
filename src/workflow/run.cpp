#include "workflow/run.hpp"

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "telemetry/log.hpp"
#include "workflow/step_error.hpp"

namespace ramet::workflow {

Output RunContext::output_of(std::string_view trunk_step) const {
    for (std::size_t stage = 0; stage < run_.rows_.size(); ++stage) {
        if (run_.saga_->stages()[stage].step != nullptr && run_.rows_[stage].step.name == trunk_step) return run_.rows_[stage].step.output;
    }
    return {};
}

void RunContext::progress(std::int64_t done, std::int64_t total) {
    if (total <= 0 || !counted_) return;
    run_.board_.report(branch_, done, total);
    const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
    if (share <= reported_) return;
    run_.add_progress(share - reported_);
    reported_ = share;
}

Run::Run(const RunServices& services, Job job, bool has_history)
    : services_(services),
      has_history_(has_history),
      journal_(services.log, services.clock, services.options.log_patience, services.shutdown, std::move(job)) {}

bool Run::execute() {
    try {
        if (!drive()) return false;
    } catch (const std::exception& thrown) {  // a bug of the engine: the job rests as the log has it
        telemetry::log_error("job {}: the engine gave up: {}", job().uuid.text(), thrown.what());
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
    return true;
}

Result<void> Run::cancel() {
    const Error error{ErrorCode::cancelled, "the job was cancelled by request", {}, nullptr, {}};
    if (job().state == JobState::undoing) return {};  // on its way back already
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return fail(ErrorCode::wrong_state, "the job has ended; there is nothing left to cancel");
        if (reporting_) return fail(ErrorCode::wrong_state, "the job has done all its work and is about to end; wait for it");
        if (cause_) return {};
        cause_ = error;
    }
    const bool durable = make_cause_durable();
    stop_.request_stop();
    if (!durable) return fail(ErrorCode::internal, "the cancellation could not be recorded; the job rests until the server starts again");
    return {};
}

LiveJob Run::look(std::size_t changes_from) const {
    LiveJob live{job(), {}, board_.changes(changes_from)};
    live.progress = board_.look(live.row.progress);
    return live;
}

bool Run::ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
}

bool Run::wait_until(std::chrono::steady_clock::time_point deadline) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [this] { return ended_; });
}

bool Run::drive() {
    if (!load()) return true;
    if (fan_ == Fan::out) return false;  // whatever has happened: the branches end first
    if (!claimed() && !go_forward()) return false;
    if (!claimed() || resting()) return true;
    if (!std::exchange(back_begun_, true)) {
        // What a step holds that failed or was cut off it keeps for its undo. Of the stages after it none has begun.
        if (trunk_locks_ && rows_[stage_].step.status == StepStatus::pending) trunk_locks_.reset();
        stage_ = trunk_locks_ ? stage_ + 1 : rows_.size();
        fan_ = Fan::none;
    }
    return go_back();
}

void Run::take_up() {
    if (!load()) return;
    for (std::size_t stage = 0; stage < rows_.size(); ++stage) {
        const Step* step = saga_->stages()[stage].step.get();
        if (step == nullptr || !is_half_done(rows_[stage].step.status)) continue;
        stage_ = stage;
        return request_trunk_locks(*step);
    }
}

bool Run::load() {
    if (!loaded_) loaded_ = load_rows();
    return *loaded_;
}

bool Run::load_rows() {
    if (resting()) return false;
    Result<void> built = Error{ErrorCode::internal, "the job's saga could not be built", {}, nullptr, {}};
    try {
        built = build_rows();
    } catch (const std::exception& thrown) {
        built = Error{ErrorCode::internal, "an internal error while the job was prepared; see the server's log", thrown.what(), nullptr, {}};
    }
    if (built.has_value() && has_history_) {
        std::vector<JobStep> history;
        if (!journal_.read_steps(history)) return false;
        built = place_history(history);
    }
    if (built.has_value()) return true;
    telemetry::log_error("job {} is stuck: {} {}", job().uuid.text(), built.error().message, built.error().detail);
    const Error error = built.error();
    finish(JobState::stuck, [&](Job& row) { row.error = services_.options.error_to_json(error); });
    return false;
}

Result<void> Run::build_rows() {
    const Job row = job();
    TRY_ASSIGN(Saga saga, services_.build(row));
    saga_.emplace(std::move(saga));
    std::set<std::string> seen;
    const auto add = [&](std::string_view branch, std::string_view step) -> Result<JobStep> {
        JobStep added = new_step_row(row.uuid, branch, step);
        if (step == kCauseRow || !seen.insert(added.uuid).second) {
            return fail(ErrorCode::internal, "the job's plan has two steps of one name", added.uuid);
        }
        ++units_;
        return added;
    };
    for (const Saga::Stage& stage : saga_->stages()) {
        StageRows& rows = rows_.emplace_back();
        rows.waiting.resize(stage.branches.branches.size());
        if (stage.step != nullptr) {
            TRY_ASSIGN(rows.step, add({}, stage.step->name()));
            board_.add_lane({}, {}, 1);
        }
        for (const Branch& branch : stage.branches.branches) {
            if (branch.name.empty()) return fail(ErrorCode::internal, "the job's plan has a branch without a name");
            board_.add_lane(branch.name, branch.label, branch.steps.size());
            std::vector<JobStep>& branch_rows = rows.branches.emplace_back();
            for (const std::unique_ptr<Step>& step : branch.steps) { TRY_ASSIGN(branch_rows.emplace_back(), add(branch.name, step->name())); }
        }
    }
    return {};
}

Result<void> Run::place_history(const std::vector<JobStep>& history) {
    bool has_cause = false;
    for (const JobStep& row : history) {
        if (row.uuid != step_uuid(row.job_uuid, {}, kCauseRow)) {
            TRY(place(row));
            board_.step_changed(row);
            continue;
        }
        const std::optional<Error> error = error_from_text(row.error.value_or(""));
        if (!error) return fail(ErrorCode::internal, "the log of the job is damaged: its reason to go back cannot be read", row.uuid);
        claim(*error);
        has_cause = true;
    }
    if (!has_cause && job().state == JobState::undoing) claim(Error{ErrorCode::operation_failed, "the job was being undone", {}, nullptr, {}});
    for (std::size_t stage = 0; stage < rows_.size(); ++stage) {
        const bool is_step = saga_->stages()[stage].step != nullptr;
        if (is_step && !claimed() && goes_back(rows_[stage].step.status)) {
            return fail(ErrorCode::internal, "the log of the job is damaged: a step was undone without a reason", rows_[stage].step.uuid);
        }
        if (is_step && rows_[stage].step.status == StepStatus::done) units_done_ += 1;
        for (const std::vector<JobStep>& branch : rows_[stage].branches) {
            const auto done = std::count_if(branch.begin(), branch.end(), [](const JobStep& row) { return row.status == StepStatus::done; });
            units_done_ += static_cast<double>(done);
        }
    }
    return {};
}

Result<void> Run::place(const JobStep& row) {
    for (StageRows& rows : rows_) {
        if (rows.step.uuid == row.uuid) {
            rows.step = row;
            return {};
        }
        for (std::vector<JobStep>& branch : rows.branches) {
            if (branch.empty() || branch.front().branch != row.branch) continue;
            for (JobStep& candidate : branch) {
                if (candidate.uuid != row.uuid) continue;
                candidate = row;
                return {};
            }
        }
    }
    return fail(ErrorCode::internal, "the log of the job names a step that the job does not have", row.uuid);
}

bool Run::claimed() const {
    const std::lock_guard lock(mutex_);
    return cause_.has_value();
}

bool Run::claim(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (cause_) return false;
    cause_ = error;
    return true;
}

// Called by whoever needs it, perhaps by two threads at once: both write the same rows.
bool Run::make_cause_durable() {
    if (cause_durable_) return true;
    Error error;
    {
        const std::lock_guard lock(mutex_);
        error = *cause_;
    }
    if (!journal_.save(cause_row(job().uuid, error, journal_.now()))) return false;
    const bool saved = journal_.change_job([&](Job& row) {
        if (row.state == JobState::undoing && row.error) return;
        row.state = JobState::undoing;
        row.error = services_.options.error_to_json(error);
    });
    if (saved) cause_durable_ = true;
    return saved;
}

// From here on a cancel is refused.
bool Run::enter_report() {
    const std::lock_guard lock(mutex_);
    if (cause_) return false;
    reporting_ = true;
    return true;
}

void Run::finish(JobState state, const std::function<void(Job&)>& edit) {
    // False: the log is down; the job is taken up again by the next recover() and comes to the same end.
    (void)journal_.change_job([&](Job& row) {
        edit(row);
        row.state = state;
        row.finish_date = journal_.now();
    });
}

void Run::add_progress(double units) {
    std::int64_t percent = 0;
    {
        const std::lock_guard lock(mutex_);
        units_done_ += units;
        percent = static_cast<std::int64_t>(99.0 * units_done_ / static_cast<double>(std::max<std::size_t>(units_, 1)));
    }
    journal_.progress(std::min<std::int64_t>(percent, 99));
}

std::function<void()> Run::waker() const {
    return [wake = services_.wake, id = job().uuid] { wake(id); };
}

void Run::request_trunk_locks(const Step& step) { trunk_locks_ = services_.locks.request(step.locks(), waker()); }

// The one way in which a row changes: a legal move, committed. False: the run rests.
bool Run::move(JobStep& row, StepEvent event) {
    const std::optional<StepStatus> status = next(row.status, event);
    if (!status) {
        telemetry::log_error("step {}: no legal move from {}", row.uuid, name_of(row.status));
        return false;
    }
    row.status = *status;
    if (event == StepEvent::started) row.start_date = journal_.now();
    if (event == StepEvent::finished || event == StepEvent::undo_finished || event == StepEvent::undo_failed) row.finish_date = journal_.now();
    // Whether undo is needed has to be known after a power cut too; how far a saga came that only makes new things, its plan tells again.
    const bool forward = event == StepEvent::started || event == StepEvent::finished;
    if (!journal_.save(row, forward ? saga_->log_of_steps() : Durability::at_once)) return false;
    board_.step_changed(row);
    return true;
}

}  // namespace ramet::workflow
