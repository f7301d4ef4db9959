#include "http/job_views.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "api/reply_schema.hpp"
#include "base/limits.hpp"

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

void append_text(std::string& out, std::string_view name, std::string_view text) {
    out += out.back() == '{' ? "\"" : ",\"";
    out += name;
    out += "\":";
    api::append_json_string(out, text);
}

void append_json(std::string& out, std::string_view name, std::string_view json) {
    out += out.back() == '{' ? "\"" : ",\"";
    out += name;
    out += "\":";
    out += json;
}

void append_step(std::string& out, const JobStep& step) {
    out += '{';
    append_text(out, "name", step.name);
    if (!step.branch.empty()) append_text(out, "branch", step.branch);
    append_text(out, "status", name_of(step.status));
    append_text(out, "start", to_wire_date(step.start_date));
    if (step.finish_date) {
        append_text(out, "finish", to_wire_date(*step.finish_date));
        append_json(out, "ms", std::to_string(step.finish_date->milliseconds - step.start_date.milliseconds));
    }
    if (step.error && !step.error->empty()) append_json(out, "error", *step.error);
    out += '}';
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

Response finished_response(const Job& job, const api::MessageInfo* schema_of) {
    if (job.state != JobState::succeeded) return json_response(503, result_body(job));
    std::string body = result_body(job);
    return json_response(200, schema_of == nullptr ? std::move(body) : api::with_schema(*schema_of, body));
}

Response accepted_response(const Request& request, const JobId& job, const std::string& fallback_authority) {
    std::string body = "{\"location\":";
    api::append_json_string(body, "http://" + authority_of(request, fallback_authority) + "/zstack/v1/api-jobs/" + job.text());
    const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(limits::kJobTimeout);
    return json_response(202, body + ",\"apiTimeout\":" + std::to_string(timeout.count()) + "}");
}

std::string job_detail(const Job& job, const std::vector<JobStep>& steps) {
    std::string out = "{";
    append_text(out, "uuid", job.uuid.text());
    append_text(out, "kind", job.kind);
    append_text(out, "apiName", job.api_name);
    if (!job.account_uuid.empty()) append_text(out, "accountUuid", job.account_uuid.text());
    if (job.target_uuid) append_text(out, "targetUuid", *job.target_uuid);
    append_text(out, "state", name_of(job.state));
    append_json(out, "progress", std::to_string(job.progress));
    append_text(out, "createDate", to_wire_date(job.create_date));
    append_text(out, "lastOpDate", to_wire_date(job.last_op_date));
    if (job.finish_date) {
        append_text(out, "finishDate", to_wire_date(*job.finish_date));
        append_json(out, "ms", std::to_string(job.finish_date->milliseconds - job.create_date.milliseconds));
    }
    if (job.detail && !job.detail->empty()) append_json(out, "detail", *job.detail);
    out += ",\"steps\":[";
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (i != 0) out += ',';
        append_step(out, steps[i]);
    }
    out += ']';
    if (job.result && !job.result->empty()) append_json(out, "result", *job.result);
    if (job.error && !job.error->empty()) append_json(out, "error", *job.error);
    return out + '}';
}

}  // namespace ramet::http
