#include "http/job_events.hpp"

#include "base/limits.hpp"
#include "http/job_views.hpp"

namespace ramet::http {
namespace {

// JSON has no line breaks of its own, so one data line holds it.
void append_event(std::string& out, std::string_view name, const std::string& json) {
    out += "event: ";
    out += name;
    out += "\ndata: ";
    out += json;
    out += "\n\n";
}

}  // namespace

EventStream::Piece JobEvents::next() {
    text_.clear();
    if (const std::shared_ptr<const Job> finished = waiter_->finished()) return end(*finished);
    if (const std::optional<workflow::LiveJob> live = jobs_.look(waiter_->job(), changes_seen_)) {
        changes_seen_ += live->changes.size();
        add_changes(live->changes);
        add_progress(*live);
    } else {
        const Result<std::optional<Job>> job = jobs_.find(waiter_->job());
        if (job.has_value() && *job && has_ended(**job)) return end(**job);
        if (job.has_value() && *job) add_progress(workflow::LiveJob{**job, {}, {}});
        if (job.has_value() && !*job) return {": the job has expired\n\n", true};
    }
    const auto now = std::chrono::steady_clock::now();
    if (text_.empty() && now - spoken_ >= limits::kEventKeepAlive) text_ = ": still here\n\n";
    if (!text_.empty()) spoken_ = now;
    return {std::move(text_), false};
}

void JobEvents::add_changes(const std::vector<JobStep>& steps) {
    for (const JobStep& step : steps) {
        if (is_internal_step(step)) continue;
        const auto [told, first] = told_.emplace(step.uuid, step.status);
        if (!first && told->second == step.status) continue;
        told->second = step.status;
        append_event(text_, "step", step_json(step));
    }
}

void JobEvents::add_progress(const workflow::LiveJob& live) {
    std::string json = progress_json(live);
    if (json == progress_told_) return;
    append_event(text_, "progress", json);
    progress_told_ = std::move(json);
}

EventStream::Piece JobEvents::end(const Job& job) {
    const Result<std::vector<JobStep>> steps = jobs_.steps(job.uuid);
    if (steps.has_value()) add_changes(*steps);
    append_event(text_, "end", job_json(job, {}, nullptr));
    return {std::move(text_), true};
}

}  // namespace ramet::http
