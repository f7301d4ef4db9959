#include "http/edge.hpp"

#include "api/json.hpp"
#include "api/reply_schema.hpp"
#include "http/job_views.hpp"
#include "telemetry/log.hpp"

namespace ramet::http {

namespace {

constexpr std::string_view kModeHeader = "X-Ramet-Mode";

Response method_not_allowed(std::string_view method, const std::string& allowed) {
    Response response = text_response(405, std::string(method) + " is not allowed here; allowed: " + allowed);
    response.headers.emplace_back("Allow", allowed);
    return response;
}

// Deleting what is gone already is a success; only calls whose path names one resource delete it.
bool succeeds_without_resource(const api::MessageInfo& message) {
    if (message.method != api::Method::del || message.request == nullptr) return false;
    std::size_t in_path = 0;
    for (const FieldInfo& field : message.request().fields)
        if (field.rules.in_path) ++in_path;
    return in_path == 1;
}

// Keeps a job's uuid to one call at a time; what is stored is found by the store.
class Claim {
public:
    Claim(std::mutex& mutex, std::set<JobId>& claims, JobId job) : mutex_(mutex), claims_(claims), job_(std::move(job)) {
        const std::lock_guard lock(mutex_);
        taken_ = claims_.insert(job_).second;
    }
    ~Claim() {
        if (!taken_) return;
        const std::lock_guard lock(mutex_);
        claims_.erase(job_);
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    bool taken() const { return taken_; }

private:
    std::mutex& mutex_;
    std::set<JobId>& claims_;
    JobId job_;
    bool taken_ = false;
};

}  // namespace

struct Edge::Passage {
    const Request& request;
    CallHeaders headers;
    ReadCall read;
    Call call;
    bool keeps_nothing = false;  // a dry run: answered at once, and no job tells of it
    const api::MessageInfo& message() const { return *read.endpoint->message; }
    bool answered_later() const {
        return message().completion == api::Completion::async && headers.patience.count() == 0 && !headers.mock && !keeps_nothing;
    }
};

Edge::Edge(EdgeParts parts, const Routes& routes, const Clock& clock, telemetry::Metrics& metrics)
    : parts_(std::move(parts)),
      clock_(clock),
      metrics_(metrics),
      web_hooks_(parts_.web_hooks) {
    for (const Routes::Route& route : routes.routes()) {
        router_.add(*route.message, route.handler);
        messages_.emplace(route.message->name, route.message);
    }
    site_ = Site{parts_.version, parts_.openapi, [this] { return metrics_.text(); }, parts_.assets};
}

Reply Edge::handle(const Request& request) {
    const auto begun = std::chrono::steady_clock::now();
    metrics_.request_started();
    Reply reply;
    try {
        const Result<Target> target = parse_target(request.target);
        reply = target.has_value() ? dispatch(request, *target, target->segments) : Reply(text_response(400, target.error().message));
    } catch (...) {  // the server answers it
        metrics_.request_finished(request.method, 503, 0);
        throw;
    }
    if (Response* const response = std::get_if<Response>(&reply)) {
        finish(request, *response, begun);
        return reply;
    }
    Held& held = std::get<Held>(reply);
    const Request head{request.method, request.target, {}, {}, request.client_address};  // a waiting request keeps no body
    held.answer = [this, head, begun, answer = std::move(held.answer)] {
        Response response = answer();
        finish(head, response, begun);
        return response;
    };
    return reply;
}

void Edge::finish(const Request& request, Response& response, std::chrono::steady_clock::time_point begun) {
    add_security_headers(response);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    metrics_.request_finished(request.method, response.status, took.count());
    const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));  // parameters may hold secrets
    telemetry::log_debug("{} {} {} {} {:.1f} ms", request.client_address, request.method, path, response.status, took.count() * 1000);
}

Reply Edge::dispatch(const Request& request, const Target& target, const std::vector<std::string>& segments) {
    if (segments.size() < 2 || segments[0] != "zstack" || segments[1] != "v1") return site_.answer(request, target);
    const std::vector<std::string> below(segments.begin() + 2, segments.end());
    if (below.size() == 2 && below[0] == "api-jobs") return poll_job(request, below[1]);
    if (below.size() == 2 && below[0] == "jobs") return own_job(request, below[1]);
    const auto found = router_.find(request.method, below);
    if (std::holds_alternative<UnknownPath>(found)) return text_response(404, "no API maps to " + target.path);
    if (const WrongMethod* const wrong = std::get_if<WrongMethod>(&found)) return method_not_allowed(request.method, wrong->allowed);
    return call(request, std::get<Found>(found), target);
}

// Order is the contract: each line may rely on those above it, and what fails above "run" is an immediate 400.
Reply Edge::call(const Request& request, const Found& found, const Target& target) {
    Result<CallHeaders> headers = read_call_headers(request, parts_.job_wait_max);
    if (!headers.has_value()) return failure(headers.error());
    Result<ReadCall> read = read_call(found, request, target);
    if (!read.has_value()) return failure(read.error());
    Passage passage{request, std::move(*headers), std::move(*read), {}};
    if (passage.message().access != api::Access::open) {
        Result<std::string> session = read_session_uuid(request);
        if (!session.has_value()) return failure(session.error());
        passage.call.session_uuid = std::move(*session);
    }
    passage.call.job = passage.headers.job ? *passage.headers.job : JobId::random();
    passage.call.web_hook = passage.headers.web_hook;
    passage.call.client_address = request.client_address;
    const Claim claim(claims_mutex_, claims_, passage.call.job);
    if (passage.headers.job && request.method != "GET") {
        const Result<std::optional<Job>> stored = parts_.jobs.find(passage.call.job);
        if (!stored.has_value()) return failure(stored.error());
        if (!claim.taken() || stored->has_value()) return text_response(400, "Duplicate job uuid[" + passage.call.job.text() + "]");
    }
    Result<Answer> answer = run(passage);
    Reply reply = deliver(passage, std::move(answer));
    if (Response* const response = std::get_if<Response>(&reply); response != nullptr && passage.headers.mock)
        response->headers.emplace_back(kModeHeader, "mock");
    return reply;
}

Result<Answer> Edge::run(Passage& passage) {
    TRY(authenticate(passage));
    return passage.message().query_row != nullptr ? answer_query(passage) : answer_message(passage);
}

Result<void> Edge::authenticate(Passage& passage) {
    const api::MessageInfo& message = passage.message();
    if (message.access == api::Access::open) return {};
    TRY_ASSIGN(passage.call.caller, parts_.check_session(passage.call.session_uuid));
    if (message.access == api::Access::admin && !passage.call.caller.admin) {
        return fail(ErrorCode::denied,
                    std::string(message.name) + " is for administrators; account '" + passage.call.caller.account_name + "' is none");
    }
    return {};
}

Result<Answer> Edge::answer_query(Passage& passage) {
    const api::MessageInfo& message = passage.message();
    if (passage.headers.mock) return Answer(Body{message.response_example.empty() ? "{\"inventories\":[]}" : std::string(message.response_example)});
    return parts_.query(passage.call, message, passage.read.query);
}

Result<Answer> Edge::answer_message(Passage& passage) {
    const api::MessageInfo& message = passage.message();
    if (message.make == nullptr || message.request == nullptr) return fail(ErrorCode::internal, std::string(message.name) + " has no request type");
    const std::shared_ptr<void> request = message.make();
    const boost::json::value fields(std::move(passage.read.fields));
    TRY(api::read_json(fields, message.request(), request.get()));
    if (const FieldInfo* const dry_run = message.request().find("dryRun"))
        passage.keeps_nothing = dry_run->number(dry_run->member(request.get())) != 0;
    TRY(api::check_rules(message.request(), request.get()));
    if (message.access != api::Access::open) {
        const Result<void> references = parts_.check_references(passage.call.caller, message, request.get());
        if (!references.has_value()) {
            if (references.error().code == ErrorCode::not_found && succeeds_without_resource(message)) return Answer(Body{});
            return std::unexpected(references.error());
        }
    }
    if (passage.headers.mock) return Answer(Body{message.response_example.empty() ? "{}" : std::string(message.response_example)});
    return passage.read.endpoint->handler(passage.call, request.get());
}

Response Edge::failure(const Error& error) const {
    if (error.code == ErrorCode::malformed) return text_response(400, error.message);
    if (error.code == ErrorCode::internal)
        telemetry::log_error("{}: {}", error.message, error.detail);
    else if (!error.detail.empty())
        telemetry::log_debug("{}: {}", error.message, error.detail);
    Response response = json_response(503, api::error_body(error));
    if (error.code == ErrorCode::overloaded) response.headers.emplace_back("Retry-After", "1");
    return response;
}

Reply Edge::deliver(Passage& passage, Result<Answer> answer) {
    if (!answer.has_value() && answer.error().code == ErrorCode::malformed) return failure(answer.error());
    if (passage.answered_later()) return store_and_accept(passage, std::move(answer));
    if (!answer.has_value()) return failure(answer.error());
    if (const Started* const started = std::get_if<Started>(&*answer)) return hold(passage, started->job);
    std::string& body = std::get<Body>(*answer).json;
    return json_response(200, passage.headers.schema ? api::with_schema(passage.message(), body) : std::move(body));
}

// 202 at once. What ended without a job becomes a job that has ended, so that polling finds it.
Reply Edge::store_and_accept(Passage& passage, Result<Answer> answer) {
    const auto accept = [&](const JobId& job) { return accepted_response(passage.request, job, parts_.fallback_authority); };
    if (answer.has_value() && std::holds_alternative<Started>(*answer)) return accept(std::get<Started>(*answer).job);
    Job job;
    job.uuid = passage.call.job;
    job.kind = job.api_name = std::string(passage.message().name);
    job.account_uuid = passage.call.caller.account;
    job.progress = 100;
    job.plan = "{}";
    job.web_hook = passage.call.web_hook;
    job.create_date = job.last_op_date = clock_.now();
    job.finish_date = job.create_date;
    if (answer.has_value()) {
        job.state = JobState::succeeded;
        job.result = std::get<Body>(*answer).json;
    } else {
        job.state = JobState::failed;
        job.error = api::error_object(answer.error());
        if (answer.error().code == ErrorCode::internal) telemetry::log_error("{}: {}", answer.error().message, answer.error().detail);
    }
    const Result<void> saved = parts_.jobs.save_finished(job);
    if (!saved.has_value()) return failure(saved.error());
    job_finished(job);
    return accept(job.uuid);
}

// Waits for the job without a thread; after the client's patience, 202.
Reply Edge::hold(Passage& passage, const JobId& job) {
    const api::MessageInfo* const schema_of = passage.headers.schema ? &passage.message() : nullptr;
    const std::shared_ptr<JobWaiter> waiter = waiters_.add(job);
    const auto look = [this, job, schema_of]() -> std::optional<Response> {
        const Result<std::optional<Job>> stored = parts_.jobs.find(job);
        if (stored.has_value() && stored->has_value() && has_ended(**stored)) return finished_response(**stored, schema_of);
        return std::nullopt;
    };
    if (std::optional<Response> ended = look()) {
        waiters_.remove(waiter);
        return std::move(*ended);
    }
    Held held;
    held.signal = waiter->signal();
    held.deadline = std::chrono::steady_clock::now() + passage.headers.patience;
    held.answer = [this, waiter, schema_of, look, later = accepted_response(passage.request, job, parts_.fallback_authority)]() -> Response {
        waiters_.remove(waiter);
        if (const std::shared_ptr<const Job> finished = waiter->finished()) return finished_response(*finished, schema_of);
        return look().value_or(later);
    };
    return held;
}

void Edge::job_finished(const Job& job) {
    metrics_.job_finished(job.api_name, name_of(job.state));
    waiters_.finish(job);
    if (!job.web_hook || job.web_hook->empty()) return;
    web_hooks_.announce(WebHookCall{*job.web_hook, job.uuid.text(), job.state == JobState::succeeded, result_body(job)});
}

Response Edge::poll_job(const Request& request, const std::string& uuid) {
    if (request.method != "GET") return method_not_allowed(request.method, "GET");
    const Result<JobId> id = JobId::parse(uuid);
    if (!id.has_value()) return text_response(404, "no job has this uuid, or it has expired");
    const Result<std::optional<Job>> job = parts_.jobs.find(*id);
    if (!job.has_value()) return failure(job.error());
    if (!job->has_value()) return text_response(404, "no job has this uuid, or it has expired");
    if (!has_ended(**job)) return json_response(202, "{}");
    const auto message = messages_.find((*job)->api_name);
    const bool wants_schema = request.header("X-JSON-Schema") != nullptr && message != messages_.end();
    return finished_response(**job, wants_schema ? message->second : nullptr);
}

Response Edge::own_job(const Request& request, const std::string& uuid) {
    if (request.method != "GET" && request.method != "DELETE") return method_not_allowed(request.method, "GET, DELETE");
    const Result<std::string> session = read_session_uuid(request);
    if (!session.has_value()) return failure(session.error());
    const auto answer = [&]() -> Result<std::string> {
        TRY_ASSIGN(const identity::Caller caller, parts_.check_session(*session));
        TRY_ASSIGN(const JobId id, JobId::parse(uuid));
        TRY_ASSIGN(const std::optional<Job> job, parts_.jobs.find(id));
        if (!job) return fail(ErrorCode::not_found, "no job has the uuid " + uuid + ", or it has expired");
        if (!caller.admin && job->account_uuid != caller.account) return fail(ErrorCode::not_owner, "job " + uuid + " belongs to another account");
        if (request.method == "DELETE") {
            if (!has_ended(*job)) TRY(parts_.jobs.cancel(id));
            return std::string("{}");
        }
        TRY_ASSIGN(const std::vector<JobStep> steps, parts_.jobs.steps(id));
        return job_detail(*job, steps);
    }();
    return answer.has_value() ? json_response(200, *answer) : failure(answer.error());
}

}  // namespace ramet::http
