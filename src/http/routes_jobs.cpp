#include "api/json.hpp"
#include "api/messages_jobs.hpp"
#include "http/answers.hpp"
#include "http/job_views.hpp"
#include "http/routes.hpp"

namespace ramet::http {
namespace {

// The job, if the caller may see it: its owner, or an administrator.
Result<Job> own_job(const JobAccess& jobs, const identity::Caller& caller, const JobId& uuid) {
    TRY(JobId::parse(uuid.text()));
    TRY_ASSIGN(std::optional<Job> job, jobs.find(uuid));
    if (!job) return fail(ErrorCode::not_found, "no job has the uuid " + uuid.text() + ", or it has expired");
    if (!caller.admin && job->account_uuid != caller.account) {
        return fail(ErrorCode::not_owner, "job " + uuid.text() + " belongs to another account; only its owner and administrators may do that");
    }
    return std::move(*job);
}

Result<std::string> show(const JobAccess& jobs, const identity::Caller& caller, const JobId& uuid) {
    TRY_ASSIGN(const Job job, own_job(jobs, caller, uuid));
    TRY_ASSIGN(const std::vector<JobStep> steps, jobs.steps(uuid));
    const std::optional<workflow::LiveJob> live = has_ended(job) ? std::nullopt : jobs.look(uuid, 0);
    std::string json = job_json(live ? live->row : job, steps, live ? &*live : nullptr);
    json.pop_back();
    return json + ",\"success\":true}";
}

Result<std::string> task_progress(const JobAccess& jobs, const identity::Caller& caller, const JobId& uuid) {
    TRY_ASSIGN(const Job stored, own_job(jobs, caller, uuid));
    const std::optional<workflow::LiveJob> live = has_ended(stored) ? std::nullopt : jobs.look(uuid, 0);
    const Job& job = live ? live->row : stored;
    const std::int64_t time = live ? SystemClock().now().milliseconds : job.last_op_date.milliseconds;
    const api::TaskProgressInventory row{job.uuid.text(), job.api_name, "Progress", std::to_string(job.progress), time};
    return "{\"inventories\":[" + api::to_json(row) + "]}";
}

Result<std::string> cancel(const JobAccess& jobs, const identity::Caller& caller, const JobId& uuid) {
    TRY_ASSIGN(const Job job, own_job(jobs, caller, uuid));
    if (!has_ended(job)) TRY(jobs.cancel(uuid));
    return std::string("{}");
}

Result<std::string> retry(const JobAccess& jobs, const identity::Caller& caller, const JobId& uuid) {
    TRY(own_job(jobs, caller, uuid));
    TRY(jobs.retry(uuid));
    return std::string("{}");
}

}  // namespace

void bind_job_routes(Routes& routes, const JobAccess& jobs) {
    routes.bind<api::GetJob>([jobs](const Call& call, auto& message) { return answer_of(show(jobs, call.caller, message.uuid)); });
    routes.bind<api::CancelJob>([jobs](const Call& call, auto& message) { return answer_of(cancel(jobs, call.caller, message.uuid)); });
    routes.bind<api::RetryJob>([jobs](const Call& call, auto& message) { return answer_of(retry(jobs, call.caller, message.uuid)); });
    routes.bind<api::WatchJob>([jobs](const Call& call, auto& message) -> Result<Answer> {
        TRY(own_job(jobs, call.caller, message.uuid));
        return Answer{Watching{message.uuid}};
    });
    routes.bind<api::GetTaskProgress>(
        [jobs](const Call& call, auto& message) { return answer_of(task_progress(jobs, call.caller, message.api_id)); });
}

}  // namespace ramet::http
