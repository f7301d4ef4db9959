#include "api/messages_jobs.hpp"

namespace ramet {
namespace {

constexpr std::string_view kCategory = "Operation and Maintenance/Jobs";
constexpr std::string_view kUuidExample = "327b60d6b8cd41489ade6f4830bcec16";
constexpr std::string_view kJobExample =
    R"({"uuid":"327b60d6b8cd41489ade6f4830bcec16","kind":"clone-vm","apiName":"CloneVmInstance","state":"Running","progress":41,"done":450887680,)"
    R"("total":1073741824,"rate":157286400,"secondsLeft":4,"createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:21:00 PM",)"
    R"("branches":[{"branch":"0","name":"web02","step":"materialize","status":"running","progress":41,"done":450887680,"total":1073741824,)"
    R"("rate":157286400,"secondsLeft":4}],"steps":[{"name":"capture","status":"done","start":"Nov 14, 2017 10:20:57 PM",)"
    R"("finish":"Nov 14, 2017 10:20:57 PM","ms":31}],"success":true})";

template <auto Member>
FieldInfo job_uuid(std::string_view name = "uuid") {
    return field<Member>(name, "The job's uuid.", {.required = true, .in_path = true, .example = kUuidExample});
}

}  // namespace

template <> const TypeInfo& describe<api::GetJob>() {
    static const TypeInfo info = object<api::GetJob>("GetJob", "Shows a job.", job_uuid<&api::GetJob::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::CancelJob>() {
    static const TypeInfo info = object<api::CancelJob>("CancelJob", "Cancels a job.", job_uuid<&api::CancelJob::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::RetryJob>() {
    static const TypeInfo info = object<api::RetryJob>("RetryJob", "Tries again to undo a job.", job_uuid<&api::RetryJob::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::WatchJob>() {
    static const TypeInfo info = object<api::WatchJob>("WatchJob", "Follows a job.", job_uuid<&api::WatchJob::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::GetTaskProgress>() {
    using api::GetTaskProgress;
    static const TypeInfo info = object<GetTaskProgress>(
        "GetTaskProgress", "Asks how far a call is.", job_uuid<&GetTaskProgress::api_id>("apiId"),
        field<&GetTaskProgress::all>("all", "Taken for compatibility; there is one entry either way.", {.fallback = "false"}));
    return info;
}

template <> const TypeInfo& describe<api::JobStepView>() {
    using api::JobStepView;
    static const TypeInfo info = object<JobStepView>(
        "JobStep", "One step of a job.", field<&JobStepView::name>("name", "The step's name."),
        field<&JobStepView::branch>("branch", "The branch it belongs to: the number of a clone, from 0; none for steps that serve all."),
        field<&JobStepView::status>("status", "pending, running, done, failed, undoing, undone or stuck."),
        field<&JobStepView::start>("start", "When it was begun."), field<&JobStepView::finish>("finish", "When it ended."),
        field<&JobStepView::ms>("ms", "How long it took, milliseconds."), field<&JobStepView::error>("error", "Why it failed."));
    return info;
}

template <> const TypeInfo& describe<api::JobBranchView>() {
    using api::JobBranchView;
    static const TypeInfo info = object<JobBranchView>(
        "JobBranch", "How far one clone is, while the job runs.", field<&JobBranchView::branch>("branch", "Its number, from 0."),
        field<&JobBranchView::name>("name", "The clone's name."), field<&JobBranchView::step>("step", "Its present step, or the last."),
        field<&JobBranchView::status>("status", "The state of that step."), field<&JobBranchView::progress>("progress", "Percent; never falls."),
        field<&JobBranchView::done>("done", "Bytes done; never falls."), field<&JobBranchView::total>("total", "Bytes in all."),
        field<&JobBranchView::rate>("rate", "Bytes per second, smoothed."),
        field<&JobBranchView::seconds_left>("secondsLeft", "Estimate until its bytes are done."));
    return info;
}

template <> const TypeInfo& describe<api::AnyJson>() {
    static const TypeInfo info = object<api::AnyJson>("Any", "An object that depends on the call.");
    return info;
}

template <> const TypeInfo& describe<api::JobView>() {
    using api::JobView;
    static const TypeInfo info = object<JobView>(
        "JobView", "A job with its steps.", field<&JobView::uuid>("uuid", "Its uuid."), field<&JobView::kind>("kind", "The kind of work."),
        field<&JobView::api_name>("apiName", "The API that was called."), field<&JobView::account_uuid>("accountUuid", "Who called."),
        field<&JobView::target_uuid>("targetUuid", "The resource it acts on."),
        field<&JobView::state>("state", "Queued, Running, Undoing, Succeeded, Failed, Canceled or Stuck."),
        field<&JobView::progress>("progress", "Percent; never falls."),
        field<&JobView::done>("done", "Bytes done while it runs; clones that have not begun count in total as large as the others."),
        field<&JobView::total>("total", "Bytes in all."), field<&JobView::rate>("rate", "Bytes per second, smoothed."),
        field<&JobView::seconds_left>("secondsLeft", "Estimate until all bytes are done."),
        field<&JobView::create_date>("createDate", "When it was accepted."), field<&JobView::last_op_date>("lastOpDate", "When it last changed."),
        field<&JobView::finish_date>("finishDate", "When it ended."), field<&JobView::ms>("ms", "How long it took, milliseconds."),
        field<&JobView::branches>("branches", "One entry per clone, while it runs."),
        field<&JobView::steps>("steps", "Its steps, in the order in which they were begun."), field<&JobView::detail>("detail", "What was measured."),
        field<&JobView::result>("result", "The body of its answer."), field<&JobView::error>("error", "Why it failed."));
    return info;
}

template <> const TypeInfo& describe<api::TaskProgressInventory>() {
    using api::TaskProgressInventory;
    static const TypeInfo info = row<TaskProgressInventory>(
        {"", "", "org.zstack.header.core.progress.TaskProgressInventory"}, "TaskProgressInventory", "How far a call is.",
        field<&TaskProgressInventory::task_uuid>("taskUuid", "The job's uuid."),
        field<&TaskProgressInventory::task_name>("taskName", "The API that was called."), field<&TaskProgressInventory::type>("type", "Progress."),
        field<&TaskProgressInventory::content>("content", "Percent, as text."),
        field<&TaskProgressInventory::time>("time", "When this was so, milliseconds since 1970."));
    return info;
}

namespace api {
namespace {

const MessageInfo& query_job() {
    static const MessageInfo info{.name = "QueryJob",
                                  .category = kCategory,
                                  .method = Method::get,
                                  .path = "/jobs",
                                  .doc =
                                      "Finds the caller's jobs, or all of them for an administrator, that satisfy all conditions q, such as "
                                      "state=Running; sort=-createDate gives the newest first. Finished jobs are kept for three hours.",
                                  .since = "ramet 0.1",
                                  .reply_key = "inventories",
                                  .reply = &describe<Job>,
                                  .query_row = &describe<Job>,
                                  .request_example = "{}",
                                  .response_example = R"({"inventories":[{"uuid":"327b60d6b8cd41489ade6f4830bcec16","apiName":"CloneVmInstance",)"
                                                      R"("state":"Running","progress":40,"createDate":"Nov 14, 2017 10:20:57 PM"}]})"};
    return info;
}

}  // namespace

template <> const MessageInfo& message<GetJob>() {
    static const MessageInfo info{.name = "GetJob",
                                  .category = kCategory,
                                  .method = Method::get,
                                  .path = "/jobs/{uuid}",
                                  .doc =
                                      "Shows a job of the caller, or any job to an administrator: how far it is, its steps with their times, and how "
                                      "it ended. Finished jobs are kept for three hours.",
                                  .since = "ramet 0.1",
                                  .reply_key = "*",
                                  .request = &describe<GetJob>,
                                  .reply = &describe<JobView>,
                                  .response_example = kJobExample,
                                  .make = &make_request<GetJob>};
    return info;
}

template <> const MessageInfo& message<CancelJob>() {
    static const MessageInfo info{
        .name = "CancelJob",
        .category = kCategory,
        .method = Method::del,
        .path = "/jobs/{uuid}",
        .doc =
            "Cancels a job of the caller, or any job for an administrator, in any phase: what it made is removed, its source stays as it is. The "
            "answer says that the cancel is recorded; the job then goes back and ends as Canceled. A job that has ended stays as it is.",
        .since = "ramet 0.1",
        .request = &describe<CancelJob>,
        .response_example = "{}",
        .make = &make_request<CancelJob>};
    return info;
}

template <> const MessageInfo& message<RetryJob>() {
    static const MessageInfo info{
        .name = "RetryJob",
        .category = kCategory,
        .method = Method::put,
        .path = "/jobs/{uuid}/actions",
        .body_key = "retryJob",
        .doc =
            "Tries again to undo what a Stuck job of the caller has made, or any for an administrator, after what stood in the way is mended. The "
            "answer says that it has begun; the job then ends as it would have, or is Stuck again.",
        .since = "ramet 0.1",
        .request = &describe<RetryJob>,
        .request_example = "{}",
        .response_example = "{}",
        .make = &make_request<RetryJob>};
    return info;
}

template <> const MessageInfo& message<WatchJob>() {
    static const MessageInfo info{
        .name = "WatchJob",
        .category = kCategory,
        .method = Method::get,
        .path = "/jobs/{uuid}/events",
        .doc =
            "Follows a job as server-sent events: `progress` (the fields of GetJob without steps), `step` (one entry of steps, when it changes), "
            "and one `end` with state, result and error, after which the stream closes. Lines that begin with a colon keep the connection alive.",
        .since = "ramet 0.1",
        .reply_key = "*",
        .request = &describe<WatchJob>,
        .reply = &describe<JobView>,
        .response_example = kJobExample,
        .reply_media = "text/event-stream",
        .make = &make_request<WatchJob>};
    return info;
}

template <> const MessageInfo& message<GetTaskProgress>() {
    static const MessageInfo info{
        .name = "GetTaskProgress",
        .category = kCategory,
        .method = Method::get,
        .path = "/task-progresses/{apiId}",
        .doc = "Tells how far an asynchronous call is; apiId is its job's uuid.",
        .reply_key = "inventories",
        .request = &describe<GetTaskProgress>,
        .reply = &describe<TaskProgressInventory>,
        .response_example = R"({"inventories":[{"taskUuid":"327b60d6b8cd41489ade6f4830bcec16","taskName":"CloneVmInstance","type":"Progress",)"
                            R"("content":"41","time":1510669257141}]})",
        .make = &make_request<GetTaskProgress>};
    return info;
}

std::vector<const MessageInfo*> job_messages() {
    return {&query_job(), &message<GetJob>(), &message<CancelJob>(), &message<RetryJob>(), &message<WatchJob>(), &message<GetTaskProgress>()};
}

}  // namespace api
}  // namespace ramet
