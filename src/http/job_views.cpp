#include "http/job_views.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "api/messages_jobs.hpp"
#include "api/reply_schema.hpp"
#include "base/limits.hpp"
#include "http/call_headers.hpp"
#include "workflow/step_error.hpp"

namespace ramet::http {

namespace {

// The host and port the client used: a location must lead back the way the request came.
std::string authority_of(const Request& request, const std::string& fallback) {
    const std::string* const host = request.header("Host");
    if (host == nullptr || host->empty()) return fallback;
    const bool plain = std::all_of(host->begin(), host->end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view(".-_:[]").find(c) != std::string_view::npos;
    });
    return plain ? *host : fallback;
}

void append_json(std::string& out, std::string_view name, std::string_view json) {
    out.pop_back();
    out += ",\"";
    out += name;
    out += "\":";
    out += json;
    out += '}';
}

// Errors of steps are kept as the engine has them, with details for the log that are nobody else's business.
std::optional<api::ErrorInventory> error_of(const JobStep& step) {
    if (!step.error || step.error->empty()) return std::nullopt;
    const std::optional<Error> error = workflow::error_from_text(*step.error);
    if (!error) return std::nullopt;
    return api::ErrorInventory{std::string(api::api_code(error->code)), std::string(api::api_description(error->code)), error->message};
}

api::JobStepView view_of(const JobStep& step) {
    api::JobStepView view;
    view.name = step.name;
    if (!step.branch.empty()) view.branch = step.branch;
    view.status = name_of(step.status);
    view.start = step.start_date;
    view.finish = step.finish_date;
    if (step.finish_date) view.ms = step.finish_date->milliseconds - step.start_date.milliseconds;
    view.error = error_of(step);
    return view;
}

// Into a view of the whole job, or of one branch.
template <class View>
void fill_progress(View& view, const workflow::Progress& progress) {
    if (progress.total <= 0) return;
    view.done = progress.done;
    view.total = progress.total;
    view.rate = progress.rate;
    view.seconds_left = progress.seconds_left;
}

api::JobBranchView view_of(const workflow::BranchProgress& branch) {
    api::JobBranchView view;
    view.branch = branch.branch;
    if (!branch.label.empty()) view.name = branch.label;
    if (!branch.step.empty()) view.step = branch.step;
    view.status = std::string(name_of(branch.status));
    view.progress = branch.progress.percent;
    fill_progress(view, branch.progress);
    return view;
}

api::JobView view_of(const Job& job, const workflow::JobProgress* progress) {
    api::JobView view;
    view.uuid = job.uuid;
    view.kind = job.kind;
    view.api_name = job.api_name;
    if (!job.account_uuid.empty()) view.account_uuid = job.account_uuid;
    view.target_uuid = job.target_uuid;
    view.state = name_of(job.state);
    view.progress = job.progress;
    view.create_date = job.create_date;
    view.last_op_date = job.last_op_date;
    view.finish_date = job.finish_date;
    if (job.finish_date) view.ms = job.finish_date->milliseconds - job.create_date.milliseconds;
    if (progress == nullptr) return view;
    fill_progress(view, progress->whole);
    for (const workflow::BranchProgress& branch : progress->branches) view.branches.push_back(view_of(branch));
    return view;
}

const boost::json::value* find_member(const boost::json::value* object, std::string_view name) {
    return object != nullptr && object->is_object() ? object->get_object().if_contains(name) : nullptr;
}

}  // namespace

bool has_ended(const Job& job) {
    switch (job.state) {
    case JobState::succeeded:
    case JobState::failed:
    case JobState::cancelled:
    case JobState::stuck: return true;
    case JobState::queued:
    case JobState::running:
    case JobState::undoing: return false;
    }
    return false;
}

std::string result_body(const Job& job) {
    if (job.state == JobState::succeeded) return job.result && !job.result->empty() ? *job.result : "{}";
    if (job.error && !job.error->empty()) return "{\"error\":" + *job.error + "}";
    const ErrorCode code = job.state == JobState::cancelled ? ErrorCode::cancelled : ErrorCode::operation_failed;
    return api::error_body(Error{code, "the job ended as " + std::string(name_of(job.state)), {}, nullptr, {}});
}

std::string finished_body(const Job& job, const api::MessageInfo* schema_of) {
    std::string body = result_body(job);
    return job.state != JobState::succeeded || schema_of == nullptr ? body : api::with_schema(*schema_of, body);
}

Response finished_response(const Job& job, const api::MessageInfo* schema_of) {
    return json_response(job.state == JobState::succeeded ? 200 : 503, finished_body(job, schema_of));
}

Response accepted_response(const Request& request, const JobId& job, const std::string& fallback_authority) {
    std::string body = "{\"location\":";
    api::append_json_string(body, "http://" + authority_of(request, fallback_authority) + "/zstack/v1/api-jobs/" + job.text());
    // What the client asked for is what it is told: no job here is given up because of it.
    const std::chrono::milliseconds timeout = api_timeout_of(request).value_or(limits::kJobTimeout);
    return json_response(202, body + ",\"apiTimeout\":" + std::to_string(timeout.count()) + "}");
}

std::optional<std::string_view> batch_outcome(const Job& job) {
    if (job.api_name != "CloneVmInstance") return std::nullopt;
    if (job.state != JobState::succeeded) return "FAIL";
    const Result<boost::json::value> result = api::parse_json(job.result.value_or("{}"));
    const boost::json::value* const entries = result.has_value() ? find_member(find_member(&*result, "result"), "inventories") : nullptr;
    if (entries == nullptr || !entries->is_array()) return "SUCCESS";
    std::size_t errors = 0;
    for (const boost::json::value& entry : entries->get_array()) errors += find_member(&entry, "error") != nullptr ? 1 : 0;
    if (errors == 0) return "SUCCESS";
    return errors == entries->get_array().size() ? "FAIL" : "PARTIAL";
}

bool is_internal_step(const JobStep& step) { return step.name.starts_with('@'); }

std::string step_json(const JobStep& step) { return api::to_json(view_of(step)); }

std::string progress_json(const workflow::LiveJob& live) { return api::to_json(view_of(live.row, &live.progress)); }

std::string job_json(const Job& job, const std::vector<JobStep>& steps, const workflow::LiveJob* live) {
    api::JobView view = view_of(job, live == nullptr ? nullptr : &live->progress);
    for (const JobStep& step : steps) {
        if (!is_internal_step(step)) view.steps.push_back(view_of(step));
    }
    std::string out = api::to_json(view);
    if (job.detail && !job.detail->empty()) append_json(out, "detail", *job.detail);
    if (job.result && !job.result->empty()) append_json(out, "result", *job.result);
    if (job.error && !job.error->empty()) append_json(out, "error", *job.error);
    return out;
}

}  // namespace ramet::http
