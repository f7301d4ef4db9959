// job list, show, watch, cancel, retry.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "base/id.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "job_watch.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr std::size_t kListedMax = 50;
const std::vector<Column> kJobColumns{{"CREATED", "createDate"},  {"STATE", "state"},       {"PERCENT", "progress"}, {"CALL", "apiName"},
                                      {"FINISHED", "finishDate"}, {"TARGET", "targetUuid"}, {"UUID", "uuid"}};
const std::vector<Column> kStepColumns{{"CLONE", "branch"}, {"STEP", "name"}, {"STATUS", "status"},
                                       {"BEGUN", "start"},  {"MS", "ms"},     {"ERROR", "error.details"}};
const std::vector<Column> kBranchColumns{{"CLONE", "name"}, {"STEP", "step"},   {"STATUS", "status"}, {"PERCENT", "progress"},
                                         {"DONE", "done"},  {"TOTAL", "total"}, {"BYTES/S", "rate"},  {"SECONDS LEFT", "secondsLeft"}};

Result<int> show(ApiClient& api, const std::string& job, Format format) {
    TRY_ASSIGN(const json::object detail, api.get("/jobs/" + job));
    if (format == Format::json) {
        print_object(detail, format);
        return kDone;
    }
    for (const char* field :
         {"uuid", "apiName", "targetUuid", "state", "progress", "createDate", "finishDate", "ms", "done", "total", "rate", "secondsLeft"}) {
        const std::string text = field_text(detail, field);
        if (!text.empty()) fmt::print("{:<12} {}\n", field, text);
    }
    if (const std::string error = field_text(detail, "error.details"); !error.empty()) fmt::print("{:<12} {}\n", "error", error);
    if (const std::string capture = capture_text(detail, "detail.capture"); !capture.empty()) fmt::print("{:<12} {}\n", "capture", capture);
    const auto print_list = [&](const char* name, const std::vector<Column>& columns) {
        const json::value* rows = detail.if_contains(name);
        if (rows == nullptr || !rows->is_array() || rows->as_array().empty()) return;
        fmt::print("\n");
        print_rows(rows->as_array(), columns, format);
    };
    print_list("branches", kBranchColumns);
    print_list("steps", kStepColumns);
    return kDone;
}

void tell_errors(const json::value& job) {
    if (const std::string error = field_text(job, "error.details"); !error.empty())
        fmt::print(stderr, "ramet: error {}: {}\n", field_text(job, "error.code"), error);
    for (std::size_t i = 0;; ++i) {
        const std::string entry = fmt::format("result.result.inventories.{}", i);
        if (field_text(job, entry).empty()) return;
        const std::string details = field_text(job, entry + ".error.details");
        if (!details.empty()) fmt::print(stderr, "ramet: error {}: {}\n", field_text(job, entry + ".error.code"), details);
    }
}

void print_end(const json::value& end, const std::string& job, Format format) {
    if (format == Format::json)
        fmt::print("{}\n", pretty(end));
    else
        fmt::print("{} {}\n", job, field_text(end, "state"));
}

Result<int> watch(ApiClient& api, const std::string& job, Format format) {
    using Style = JobScreen::Style;
    JobScreen screen(format == Format::json                                         ? Style::silent
                     : ::isatty(STDERR_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1 ? Style::bars
                                                                                    : Style::lines);
    TRY(api.get("/jobs/" + job));  // no such job, or a server that is not there, is told at once
    const InterruptNote note(job);
    TRY_ASSIGN(const json::value end, watch_job(api, job, screen));
    print_end(end, job, format);
    tell_errors(end);
    return exit_code_of(end);
}

// What the job ends as; printed.
Result<json::value> await_end(ApiClient& api, const std::string& job, Format format) {
    JobScreen screen(JobScreen::Style::silent);
    const InterruptNote note(job);
    TRY_ASSIGN(json::value end, watch_job(api, job, screen));
    print_end(end, job, format);
    return end;
}

// Asks, and waits until the job has gone back.
Result<int> cancel(ApiClient& api, const std::string& job, Format format) {
    TRY(api.call("DELETE", "/jobs/" + job, {}));
    TRY_ASSIGN(const json::value end, await_end(api, job, format));
    const std::string state = field_text(end, "state");
    if (state == "Canceled") return kDone;
    return fail(ErrorCode::operation_failed, fmt::format("the job ended as {} before it could be cancelled; see `ramet job show {}`", state, job));
}

// Asks, and follows the job to its new end.
Result<int> retry(ApiClient& api, const std::string& job, Format format) {
    TRY(api.call("PUT", "/jobs/" + job + "/actions", {{"retryJob", json::object{}}}));
    TRY_ASSIGN(const json::value end, await_end(api, job, format));
    if (field_text(end, "state") != "Stuck") return kDone;
    tell_errors(end);
    return kFailed;
}

using Act = Result<int> (*)(ApiClient&, const std::string&, Format);

void add_verb(CLI::App& group, Context& context, const std::string& verb, const std::string& help, Act act) {
    auto target = std::make_shared<std::string>();
    CLI::App* command = group.add_subcommand(verb, help);
    command->add_option("JOB", *target, "Its uuid")->required()->check([](const std::string& text) -> std::string {
        return is_uuid_text(text) ? std::string() : "a job's uuid has 32 lower-case hex digits";
    });
    command->callback(
        [&context, target, act] { context.command = [&context, target, act](ApiClient& api) { return act(api, *target, context.format); }; });
}

}  // namespace

void add_job_commands(CLI::App& app, Context& context) {
    CLI::App* job = app.add_subcommand("job", "Jobs")->require_subcommand(1);
    add_list_command(*job, context,
                     {"/jobs?sort=-createDate", kJobColumns, "List jobs, newest first; the last 50 unless -q is given", "state=Running", kListedMax});
    add_verb(*job, context, "show", "Show a job with its steps and their times", &show);
    add_verb(*job, context, "watch", "Follow a job to its end; exit 0 done, 1 failed, 3 partly done", &watch);
    add_verb(*job, context, "cancel", "Cancel a job, and wait until all it did is undone", &cancel);
    add_verb(*job, context, "retry", "Try again to undo what a Stuck job made, once what stood in the way is mended", &retry);
}

}  // namespace ramet::cli
