#include "http/edge.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "api/reply_schema.hpp"
#include "http/job_events.hpp"
#include "http/job_views.hpp"
#include "resources/tag_patterns.hpp"
#include "telemetry/log.hpp"

namespace ramet::http {

namespace {

constexpr std::string_view kModeHeader = "X-Ramet-Mode";

Response method_not_allowed(std::string_view method, const std::string& allowed) {
    Response response = text_response(405, std::string(method) + " is not allowed here; allowed: " + allowed);
    response.headers.emplace_back("Allow", allowed);
    return response;
}

// Deleting what is gone already is a success; only calls whose path ends with the one resource that it names delete it.
bool succeeds_without_resource(const api::MessageInfo& message) {
    if (message.method != api::Method::del || message.request == nullptr || !message.path.ends_with('}')) return false;
    return std::ranges::count_if(message.request().fields, [](const FieldInfo& field) { return field.rules.in_path; }) == 1;
}

// A request that has nothing but what stands in its path.
Result<std::shared_ptr<void>> path_alone(const api::MessageInfo& message, const boost::json::object& fields) {
    boost::json::object path;
    for (const FieldInfo& field : message.request().fields) {
        const boost::json::value* const value = field.rules.in_path ? fields.if_contains(field.name) : nullptr;
        if (value != nullptr) path[field.name] = *value;
    }
    std::shared_ptr<void> request = message.make();
    TRY(api::read_json(boost::json::value(std::move(path)), message.request(), request.get()));
    return request;
}

bool asks_for_validation_only(const boost::json::object& fields) {
    const boost::json::value* const tags = fields.if_contains("systemTags");
    if (tags == nullptr || !tags->is_array()) return false;
    return std::ranges::find(tags->get_array(), boost::json::value(resources::kValidationOnlyTag)) != tags->get_array().end();
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
    bool keyed() const {
        return headers.key && request.method != "GET" && message().access != api::Access::open && !headers.mock && !answers_with_a_secret(message());
    }
    bool answered_later() const {
        return message().completion == api::Completion::async && headers.patience.count() == 0 && !headers.mock && !keeps_nothing;
    }
};

Edge::Edge(EdgeParts parts, const Routes& routes, const Clock& clock, telemetry::Metrics& metrics)
    : parts_(std::move(parts)),
      clock_(clock),
      metrics_(metrics),
      web_hooks_(parts_.web_hooks,
                 WebHookLedger{[this](const std::string& job, std::int64_t tries) { parts_.jobs.hook_tried(JobId::trusted(job), tries); },
                               [this](const std::string& job) { parts_.jobs.hook_settled(JobId::trusted(job)); }}) {
    for (const Routes::Route& route : routes.routes()) {
        router_.add(*route.message, route.handler);
        messages_.emplace(route.message->name, route.message);
    }
    site_ = Site{parts_.version, parts_.openapi, [this] { return metrics_.text(); }, parts_.assets};
}

Reply Edge::handle(const Request& request) {
    const auto begun = std::chrono::steady_clock::now();
    metrics_.request_started();
    try {
        Reply reply = route(request, limits::kKeyWaitsMax);
        if (Response* const response = std::get_if<Response>(&reply)) {
            finish(request, *response, begun);
            return reply;
        }
        const Request head{request.method, request.target, {}, {}, request.client_address};  // a waiting request keeps no body
        return finished(head, begun, std::move(reply));
    } catch (...) {  // the server answers it
        metrics_.request_finished(request.method, 503, 0);
        throw;
    }
}

Reply Edge::route(const Request& request, int key_waits) {
    const Result<Target> target = parse_target(request.target);
    if (!target.has_value()) return text_response(400, target.error().message);
    return dispatch(request, *target, target->segments, key_waits);
}

// Sees to it that a request is counted when it is answered, however often it is held before.
Reply Edge::finished(const Request& head, std::chrono::steady_clock::time_point begun, Reply reply) {
    if (Response* const response = std::get_if<Response>(&reply)) {
        finish(head, *response, begun);
    } else if (EventStream* const stream = std::get_if<EventStream>(&reply)) {
        Response opened;
        finish(head, opened, begun);
        stream->headers.insert(stream->headers.end(), opened.headers.begin(), opened.headers.end());
    } else {
        Held& held = std::get<Held>(reply);
        held.answer = [this, head, begun, answer = std::move(held.answer)] { return finished(head, begun, answer()); };
    }
    return reply;
}

void Edge::finish(const Request& request, Response& response, std::chrono::steady_clock::time_point begun) {
    add_security_headers(response);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    metrics_.request_finished(request.method, response.status, took.count());
    const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));  // parameters may hold secrets
    telemetry::log_debug("{} {} {} {} {:.1f} ms", request.client_address, request.method, path, response.status, took.count() * 1000);
}

Reply Edge::dispatch(const Request& request, const Target& target, const std::vector<std::string>& segments, int key_waits) {
    if (segments.size() < 2 || segments[0] != "zstack" || segments[1] != "v1") return site_.answer(request, target);
    const std::vector<std::string> below(segments.begin() + 2, segments.end());
    if (below.size() == 2 && below[0] == "api-jobs") return poll_job(request, below[1]);
    const auto found = router_.find(request.method, below);
    if (std::holds_alternative<UnknownPath>(found)) return text_response(404, "no API maps to " + target.path);
    if (const WrongMethod* const wrong = std::get_if<WrongMethod>(&found)) return method_not_allowed(request.method, wrong->allowed);
    return call(request, std::get<Found>(found), target, key_waits);
}

// Order is the contract: each line may rely on those above it, and what fails above "run" is an immediate 400.
Reply Edge::call(const Request& request, const Found& found, const Target& target, int key_waits) {
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
    passage.call.web_hook_has_schema = passage.headers.web_hook && passage.headers.schema;
    passage.call.client_address = request.client_address;
    return passage.keyed() ? call_once(passage, key_waits) : perform(passage);
}

// A call with an Idempotency-Key: the answer of the first such call, or the first itself.
Reply Edge::call_once(Passage& passage, int key_waits) {
    if (!authenticate(passage).has_value()) return perform(passage);  // fails in its usual way
    IdempotencyKey key;
    key.uuid = key_uuid(passage.call.caller.account, *passage.headers.key);
    key.fingerprint = fingerprint_of(passage.message(), passage.read.fields);
    key.job_uuid = passage.call.job;
    key.create_date = clock_.now();
    passage.call.key = key;
    Result<std::optional<Reply>> earlier = answer_of_key(passage);
    if (!earlier.has_value()) return failure(earlier.error());
    if (*earlier) return std::move(**earlier);
    const auto free = std::make_shared<Signal>();
    const std::optional<KeysInUse::Claim> claim = keys_in_use_.enter(key.uuid, free);
    if (!claim) return wait_for_key(passage, free, key_waits);
    earlier = answer_of_key(passage);  // another call may have been quicker
    if (!earlier.has_value()) return failure(earlier.error());
    if (*earlier) return std::move(**earlier);
    return perform(passage);
}

// Nothing when the key is free: never used, or let go by a call that failed.
Result<std::optional<Reply>> Edge::answer_of_key(Passage& passage) {
    const IdempotencyKey& wanted = *passage.call.key;
    TRY_ASSIGN(const std::optional<IdempotencyKey> stored, parts_.jobs.find_key(wanted.uuid));
    if (!stored) return std::optional<Reply>();
    TRY_ASSIGN(const std::optional<Job> job, parts_.jobs.find(stored->job_uuid));
    if (!job || job->state == JobState::failed || job->state == JobState::cancelled) {  // it was undone, so it may be tried again
        TRY(parts_.jobs.forget_key(wanted.uuid));
        return std::optional<Reply>();
    }
    if (stored->fingerprint != wanted.fingerprint) {
        return std::optional<Reply>(text_response(409, "the Idempotency-Key was used for another call or another body (job " + job->uuid.text() +
                                                           "); send the first body again, or choose a new key"));
    }
    if (passage.answered_later()) return std::optional<Reply>(accepted_response(passage.request, job->uuid, parts_.fallback_authority));
    return std::optional<Reply>(hold(passage, job->uuid));
}

Reply Edge::wait_for_key(const Passage& passage, std::shared_ptr<Signal> free, int key_waits) {
    const Error busy{ErrorCode::overloaded, "another call with this Idempotency-Key is being worked on; ask again in a moment", {}, nullptr, {}};
    if (key_waits <= 0) return failure(busy);
    Held held;
    held.signal = std::move(free);
    held.deadline = std::chrono::steady_clock::now() + parts_.job_wait_max;
    held.answer = [this, request = passage.request, key_waits] { return route(request, key_waits - 1); };
    return held;
}

Reply Edge::perform(Passage& passage) {
    const Claim claim(claims_mutex_, claims_, passage.call.job);
    if (passage.headers.job && passage.request.method != "GET") {
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
            if (references.error().code == ErrorCode::not_found && succeeds_without_resource(message)) {
                TRY_ASSIGN(const std::shared_ptr<void> path, path_alone(message, fields.get_object()));
                const Result<void> resource = parts_.check_references(passage.call.caller, message, path.get());
                if (!resource.has_value() && resource.error().code == ErrorCode::not_found) return Answer(Body{});
            }
            return std::unexpected(references.error());
        }
    }
    if (passage.headers.mock) return Answer(Body{message.response_example.empty() ? "{}" : std::string(message.response_example)});
    passage.call.validates_only = asks_for_validation_only(fields.get_object());
    // A handler that reads the tags checks what only it can; for others, what has been checked is all.
    if (passage.call.validates_only && message.request().find("systemTags") == nullptr) return Answer(Body{});
    Result<Answer> answer = passage.read.endpoint->handler(passage.call, request.get());
    if (passage.call.validates_only && answer.has_value()) return Answer(Body{});
    return answer;
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
    if (const Watching* const watching = std::get_if<Watching>(&*answer)) return watch(watching->job);
    if (passage.call.key && !passage.keeps_nothing) {
        const Result<Job> kept = keep(passage, answer);
        if (!kept.has_value()) return failure(kept.error());
        if (kept->web_hook) job_finished(*kept);
    }
    std::string& body = std::get<Body>(*answer).json;
    return json_response(200, passage.headers.schema ? api::with_schema(passage.message(), body) : std::move(body));
}

// What ended without a job becomes a job that has ended, so that polling and repeating find it.
Result<Job> Edge::keep(const Passage& passage, const Result<Answer>& answer) {
    Job job;
    job.uuid = passage.call.job;
    job.kind = job.api_name = std::string(passage.message().name);
    job.account_uuid = passage.call.caller.account;
    job.progress = 100;
    job.plan = "{}";
    job.web_hook = passage.call.web_hook;
    job.web_hook_has_schema = passage.call.web_hook_has_schema;
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
    TRY(parts_.jobs.save_finished(job, answer.has_value() ? passage.call.key : std::nullopt));
    return job;
}

// 202 at once.
Reply Edge::store_and_accept(Passage& passage, Result<Answer> answer) {
    const auto accept = [&](const JobId& job) { return accepted_response(passage.request, job, parts_.fallback_authority); };
    if (answer.has_value() && std::holds_alternative<Started>(*answer)) return accept(std::get<Started>(*answer).job);
    const Result<Job> kept = keep(passage, answer);
    if (!kept.has_value()) return failure(kept.error());
    job_finished(*kept);
    return accept(kept->uuid);
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

Reply Edge::watch(const JobId& job) {
    if (streams_.fetch_add(1) >= limits::kEventStreamsMax) {
        --streams_;
        return failure(Error{ErrorCode::overloaded, "too many jobs are being watched; poll the job instead, or try again later", {}, nullptr, {}});
    }
    const std::shared_ptr<JobWaiter> waiter = waiters_.add(job);
    const std::shared_ptr<JobEvents> events(new JobEvents(parts_.jobs, waiter), [this, waiter](JobEvents* ended) {
        delete ended;
        waiters_.remove(waiter);
        --streams_;
    });
    return EventStream{waiter->signal(), limits::kEventPause, [events] { return events->next(); }};
}

void Edge::job_finished(const Job& job) {
    metrics_.job_finished(job.api_name, name_of(job.state));
    waiters_.finish(job);
    if (job.web_hook && !job.web_hook->empty()) web_hooks_.announce(hook_call(job, 0));
}

WebHookCall Edge::hook_call(const Job& job, std::int64_t tries) const {
    const auto message = job.web_hook_has_schema ? messages_.find(job.api_name) : messages_.end();
    WebHookCall call{*job.web_hook, job.uuid.text(), job.state == JobState::succeeded,
                     finished_body(job, message == messages_.end() ? nullptr : message->second)};
    call.batch = batch_outcome(job).value_or("");
    call.by_admin = parts_.jobs.is_admin(job.account_uuid);
    call.tries = tries;
    return call;
}

void Edge::resume_web_hooks() {
    const Result<std::vector<UndeliveredHook>> hooks = parts_.jobs.undelivered_hooks();
    if (!hooks.has_value()) {
        telemetry::log_error("web hooks of the last server cannot be read: {} {}", hooks.error().message, hooks.error().detail);
        return;
    }
    for (const UndeliveredHook& hook : *hooks) {
        if (hook.job.web_hook) web_hooks_.announce(hook_call(hook.job, hook.tries));
    }
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

}  // namespace ramet::http
