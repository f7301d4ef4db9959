#include "workflow/step_state.hpp"

#include <algorithm>

#include "workflow/step_error.hpp"

namespace ramet::workflow {

std::string step_uuid(const JobId& job, std::string_view branch, std::string_view step) {
    std::string uuid = job.text();
    uuid += '/';
    uuid += branch;
    uuid += '/';
    uuid += step;
    return uuid;
}

JobStep new_step_row(const JobId& job, std::string_view branch, std::string_view step) {
    JobStep row;
    row.uuid = step_uuid(job, branch, step);
    row.job_uuid = job;
    row.branch = branch;
    row.name = step;
    return row;
}

JobStep cause_row(const JobId& job, const Error& error, Timestamp now) {
    JobStep row = new_step_row(job, {}, kCauseRow);
    row.status = StepStatus::failed;
    row.error = error_to_text(error);
    row.start_date = now;
    row.finish_date = now;
    return row;
}

void reopen(JobStep& step) {
    step.status = StepStatus::undoing;
    step.finish_date.reset();
}

void reopen(Job& job, const std::vector<JobStep>& steps) {
    const bool all_is_undone = std::ranges::any_of(steps, [](const JobStep& step) { return step.name == kCauseRow; });
    job.state = all_is_undone ? JobState::undoing : JobState::running;
    if (!all_is_undone) job.error.reset();  // it was the undo's
    job.finish_date.reset();
}

}  // namespace ramet::workflow
