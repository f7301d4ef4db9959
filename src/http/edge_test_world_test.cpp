// The calls and fakes of edge_test_world.hpp.
#include "http/edge_test_world.hpp"

#include "http/job_views.hpp"

namespace ramet {

using namespace http::edge_test;

template <> const TypeInfo& describe<Part>() {
    static const TypeInfo info =
        row<Part>({"", "", "org.example.Part"}, "Part", "A part.", field<&Part::name>("name", "Its name.", {.required = true}));
    return info;
}
template <> const TypeInfo& describe<Box>() {
    static const TypeInfo info =
        row<Box>({"box", "BoxVO", "org.example.Box"}, "Box", "A box.", field<&Box::uuid>("uuid", "Its uuid.", {.primary = true}),
                 field<&Box::name>("name", "Its name."), field<&Box::parts>("parts", "Parts."));
    return info;
}
template <> const TypeInfo& describe<FillBox>() {
    static const TypeInfo info =
        object<FillBox>("FillBox", "Fills.", field<&FillBox::box_uuid>("boxUuid", "The box.", {.in_path = true, .names_a = "BoxVO"}),
                        field<&FillBox::names>("names", "Names.", {.required = true}), field<&FillBox::count>("count", "How many.", {.at_most = 10}),
                        field<&FillBox::full>("full", "All."), field<&FillBox::near_uuid>("nearUuid", "Beside this one.", {.names_a = "BoxVO"}),
                        field<&FillBox::parts>("parts", "Parts.", {.loose_shape = true}), field<&FillBox::system_tags>("systemTags", "Tags."),
                        field<&FillBox::user_tags>("userTags", "Tags."));
    return info;
}
template <> const TypeInfo& describe<ShutBox>() {
    static const TypeInfo info = object<ShutBox>(
        "ShutBox", "Shuts.", field<&ShutBox::uuid>("uuid", "The box.", {.in_path = true, .names_a = "BoxVO"}), field<&ShutBox::type>("type", "How."));
    return info;
}
template <> const TypeInfo& describe<MakeBox>() {
    static const TypeInfo info = object<MakeBox>("MakeBox", "Makes.", field<&MakeBox::name>("name", "Its name.", {.required = true}),
                                                 field<&MakeBox::note>("note", "A note."), field<&MakeBox::system_tags>("systemTags", "Tags."));
    return info;
}
template <> const TypeInfo& describe<LinkBox>() {
    static const TypeInfo info =
        object<LinkBox>("LinkBox", "Links.", field<&LinkBox::box_uuid>("boxUuid", "The box.", {.in_path = true, .names_a = "BoxVO"}),
                        field<&LinkBox::other_uuid>("otherUuid", "The other.", {.in_path = true, .names_a = "BoxVO"}));
    return info;
}
template <> const TypeInfo& describe<DropBox>() {
    static const TypeInfo info = object<DropBox>(
        "DropBox", "Drops.", field<&DropBox::uuid>("uuid", "The box.", {.in_path = true, .names_a = "BoxVO"}),
        field<&DropBox::mode>("deleteMode", "How.", {.one_of = kDropModes, .fallback = "Permissive"}), field<&DropBox::names>("names", "Names."));
    return info;
}
template <> const TypeInfo& describe<PeekBox>() {
    static const TypeInfo info =
        object<PeekBox>("PeekBox", "Peeks.", field<&PeekBox::uuid>("uuid", "The box.", {.in_path = true, .names_a = "BoxVO"}));
    return info;
}
template <> const TypeInfo& describe<PeekReply>() {
    static const TypeInfo info = object<PeekReply>("PeekReply", "What was seen.", field<&PeekReply::colour>("colour", "Its colour."));
    return info;
}
template <> const TypeInfo& describe<RuleBoxes>() {
    static const TypeInfo info = object<RuleBoxes>("RuleBoxes", "Rules.", field<&RuleBoxes::limit>("limit", "How many."));
    return info;
}
template <> const TypeInfo& describe<Knock>() {
    static const TypeInfo info = object<Knock>("Knock", "Knocks.", field<&Knock::who>("who", "Who."));
    return info;
}

namespace api {
namespace {
template <class Request>
MessageInfo made(Method method, std::string_view path, std::string_view key) {
    MessageInfo info;
    info.name = describe<Request>().name;
    info.method = method;
    info.path = path;
    info.body_key = key;
    info.request = &describe<Request>;
    info.make = &make_request<Request>;
    return info;
}
}  // namespace
template <> const MessageInfo& message<FillBox>() {
    static const MessageInfo info = [] {
        MessageInfo made_info = made<FillBox>(Method::put, "/boxes/{boxUuid}/actions", "fillBox");
        made_info.completion = Completion::async;
        made_info.reply_key = "inventory";
        made_info.reply = &describe<Box>;
        made_info.response_example = R"({"inventory":{"name":"example"}})";
        return made_info;
    }();
    return info;
}
template <> const MessageInfo& message<ShutBox>() {
    static const MessageInfo info = made<ShutBox>(Method::put, "/boxes/{uuid}/actions", "shutBox");
    return info;
}
template <> const MessageInfo& message<MakeBox>() {
    static const MessageInfo info = [] {
        MessageInfo made_info = made<MakeBox>(Method::post, "/boxes", "params");
        made_info.reply_key = "inventory";
        made_info.reply = &describe<Box>;
        return made_info;
    }();
    return info;
}
template <> const MessageInfo& message<LinkBox>() {
    static const MessageInfo info = made<LinkBox>(Method::post, "/boxes/{boxUuid}/links/{otherUuid}", "null");
    return info;
}
template <> const MessageInfo& message<DropBox>() {
    static const MessageInfo info = made<DropBox>(Method::del, "/boxes/{uuid}", "");
    return info;
}
template <> const MessageInfo& message<PeekBox>() {
    static const MessageInfo info = made<PeekBox>(Method::get, "/boxes/{uuid}/colour", "");
    return info;
}
template <> const MessageInfo& message<RuleBoxes>() {
    static const MessageInfo info = [] {
        MessageInfo made_info = made<RuleBoxes>(Method::put, "/rules", "ruleBoxes");
        made_info.access = Access::admin;
        return made_info;
    }();
    return info;
}
template <> const MessageInfo& message<Knock>() {
    static const MessageInfo info = [] {
        MessageInfo made_info = made<Knock>(Method::put, "/knock", "knock");
        made_info.access = Access::open;
        return made_info;
    }();
    return info;
}
}  // namespace api
}  // namespace ramet

namespace ramet::http::edge_test {

const api::MessageInfo& query_message() {
    static const api::MessageInfo info = [] {
        api::MessageInfo query;
        query.name = "QueryBox";
        query.path = "/boxes";
        query.reply_key = "inventories";
        query.query_row = &describe<Box>;
        return query;
    }();
    return info;
}

JobAccess FakeJobs::access() {
    JobAccess out;
    out.find = [this](const JobId& id) -> Result<std::optional<Job>> { return find(id); };
    out.steps = [](const JobId& id) -> Result<std::vector<JobStep>> {
        JobStep step{"s", id, "0", "write-overlay", StepStatus::done, "", std::nullopt, Timestamp{1000}, Timestamp{1007}};
        return std::vector<JobStep>{step};
    };
    out.look = [this](const JobId& id, std::size_t from) -> std::optional<workflow::LiveJob> {
        const std::lock_guard lock(mutex_);
        const auto found = live_.find(id);
        if (found == live_.end() || has_ended(jobs_.at(id))) return std::nullopt;
        workflow::LiveJob live = found->second;
        live.changes.erase(live.changes.begin(), live.changes.begin() + static_cast<std::ptrdiff_t>(std::min(from, live.changes.size())));
        return live;
    };
    out.save_finished = [this](const Job& job, const std::optional<IdempotencyKey>& key) -> Result<void> {
        const std::lock_guard lock(mutex_);
        jobs_[job.uuid] = job;
        if (key) keys_[key->uuid] = *key;
        return {};
    };
    out.find_key = [this](const std::string& uuid) -> Result<std::optional<IdempotencyKey>> {
        const std::lock_guard lock(mutex_);
        const auto found = keys_.find(uuid);
        return found == keys_.end() ? std::nullopt : std::optional<IdempotencyKey>(found->second);
    };
    out.forget_key = [this](const std::string& uuid) -> Result<void> {
        const std::lock_guard lock(mutex_);
        keys_.erase(uuid);
        return {};
    };
    out.undelivered_hooks = [this]() -> Result<std::vector<UndeliveredHook>> {
        const std::lock_guard lock(mutex_);
        return undelivered_;
    };
    out.hook_tried = [](const JobId&, std::int64_t) {};
    out.hook_settled = [this](const JobId& id) {
        const std::lock_guard lock(mutex_);
        settled_.push_back(id.text());
    };
    out.is_admin = [](const AccountId& account) { return account == AccountId::trusted("a"); };
    out.cancel = [this](const JobId& id) -> Result<void> {
        const std::lock_guard lock(mutex_);
        cancelled_.push_back(id);
        return {};
    };
    out.retry = [this](const JobId& id) -> Result<void> {
        const std::lock_guard lock(mutex_);
        retried_.push_back(id);
        return {};
    };
    return out;
}

void FakeJobs::show(const JobId& id, const workflow::LiveJob& live) {
    const std::lock_guard lock(mutex_);
    live_[id] = live;
}

std::vector<std::string> FakeJobs::settled_hooks() const {
    const std::lock_guard lock(mutex_);
    return settled_;
}

void FakeJobs::add_undelivered(const Job& job, std::int64_t tries) {
    const std::lock_guard lock(mutex_);
    undelivered_.push_back({job, tries});
}

void FakeJobs::start(const JobId& id, const std::string& api_name, const AccountId& account, const std::optional<std::string>& hook) {
    Job job;
    job.uuid = id;
    job.kind = "fill";
    job.api_name = api_name;
    job.account_uuid = account;
    job.state = JobState::running;
    job.web_hook = hook;
    const std::lock_guard lock(mutex_);
    jobs_[id] = job;
    changed_.notify_all();
}

Job FakeJobs::end(const JobId& id, JobState state, const std::string& text) {
    const std::lock_guard lock(mutex_);
    Job& job = jobs_.at(id);
    job.state = state;
    (state == JobState::succeeded ? job.result : job.error) = text;
    return job;
}

std::optional<Job> FakeJobs::find(const JobId& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    return found == jobs_.end() ? std::nullopt : std::optional<Job>(found->second);
}

std::size_t FakeJobs::size() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
}

JobId FakeJobs::wait_for_one() const {
    std::unique_lock lock(mutex_);
    const bool there = changed_.wait_for(lock, std::chrono::seconds(10), [this] { return !jobs_.empty(); });
    return there ? jobs_.begin()->first : JobId();
}

std::vector<JobId> FakeJobs::cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
}

std::vector<JobId> FakeJobs::retried() const {
    const std::lock_guard lock(mutex_);
    return retried_;
}

World::World(std::chrono::milliseconds job_wait_max) {
    allow_many_descriptors();
    EdgeParts parts;
    parts.version = "1.2.3";
    parts.openapi = R"({"openapi":"3.1.0"})";
    parts.job_wait_max = job_wait_max;
    parts.web_hooks.pause = std::chrono::milliseconds(10);
    parts.jobs = jobs.access();
    parts.check_session = [](const std::string& session) -> Result<identity::Caller> {
        if (session == kAdminSession) return identity::Caller{AccountId::trusted("a"), "admin", true};
        if (session == kUserSession) return identity::Caller{AccountId::trusted("u"), "user", false};
        return fail(ErrorCode::session_invalid, "the session does not exist or has expired; log in again");
    };
    parts.check_references = [this](const identity::Caller&, const api::MessageInfo& message, void* request) { return check(message, request); };
    parts.query = [this](const Call&, const api::MessageInfo&, const query::Parameters& parameters) -> Result<Answer> {
        const std::lock_guard lock(mutex_);
        last_query_ = parameters;
        return Answer(Body{R"({"inventories":[]})"});
    };
    parts.assets = [](std::string_view path) -> std::optional<Asset> {
        if (path == "/index.html") return Asset{"<console>", "text/html;charset=UTF-8"};
        if (path == "/explorer/index.html") return Asset{"<explorer>", "text/html;charset=UTF-8"};
        if (path == "/assets/app-1f.js") return Asset{"js", "text/javascript", true, "gzip"};
        return std::nullopt;
    };
    edge_ = std::make_unique<Edge>(std::move(parts), routes(), clock_, metrics);
    ServerOptions options;
    options.port = 0;
    options.handler_threads = 4;
    server_ = std::make_unique<Server>(options, [this](const Request& request) { return edge_->handle(request); });
    const Result<void> started = server_->start();
    EXPECT_TRUE(started.has_value()) << started.error().message;
}

World::~World() { server_->stop(); }

Result<void> World::check(const api::MessageInfo& message, void* request) const {
    const auto exists = [](std::string_view uuid, std::string_view vo_type, std::string_view field) -> Result<void> {
        if (uuid == kBox || uuid == kForeignBox) return {};
        return fail(ErrorCode::not_found, "field '" + std::string(field) + "': no " + std::string(vo_type) + " has the uuid " + std::string(uuid));
    };
    const auto own = [&](std::string_view uuid, std::string_view vo_type, std::string_view field) -> Result<void> {
        if (uuid == kForeignBox) return fail(ErrorCode::not_owner, "field '" + std::string(field) + "' names another account's resource");
        return exists(uuid, vo_type, field);
    };
    return check_references(message, request, own, exists);
}

void World::remember(std::string json) {
    const std::lock_guard lock(mutex_);
    last_ = std::move(json);
}

std::string World::last_request() const {
    const std::lock_guard lock(mutex_);
    return last_;
}

query::Parameters World::last_query() const {
    const std::lock_guard lock(mutex_);
    return last_query_;
}

void World::fill_answers(Result<std::string> answer) {
    const std::lock_guard lock(mutex_);
    fill_answer_ = std::move(answer);
}

Routes World::routes() {
    Routes out;
    out.bind<FillBox>([this](const Call& call, FillBox& request) -> Result<Answer> {
        remember(api::to_json(request));
        {
            const std::lock_guard lock(mutex_);
            if (!fill_answer_.has_value()) return fill_answer_.error();
            if (!fill_answer_->empty()) return Answer(Body{*fill_answer_});
        }
        if (call.key) {  // committed with the job
            const std::lock_guard lock(jobs.mutex_);
            jobs.keys_[call.key->uuid] = *call.key;
        }
        jobs.start(call.job, "FillBox", call.caller.account, call.web_hook);
        return Answer(Started{call.job});
    });
    const auto plain = [this](const auto& request) -> Result<Answer> {
        remember(api::to_json(request));
        return Answer(Body{});
    };
    out.bind<ShutBox>([plain](const Call&, ShutBox& request) { return plain(request); });
    out.bind<MakeBox>([this](const Call&, MakeBox& request) -> Result<Answer> {
        remember(api::to_json(request));
        return Answer(Body{"{\"inventory\":" + api::to_json(Box{VmId::trusted(kBox), request.name, {Part{"p"}}}) + "}"});
    });
    out.bind<LinkBox>([plain](const Call&, LinkBox& request) { return plain(request); });
    out.bind<DropBox>([plain](const Call&, DropBox& request) { return plain(request); });
    out.bind<PeekBox>([](const Call&, PeekBox&) -> Result<Answer> { return Answer(Body{R"({"colour":"red","success":true})"}); });
    out.bind<RuleBoxes>([plain](const Call&, RuleBoxes& request) { return plain(request); });
    out.bind<Knock>([plain](const Call&, Knock& request) { return plain(request); });
    out.add(query_message(), nullptr);
    bind_job_routes(out, jobs.access());
    return out;
}

std::string World::bytes(const std::string& method, const std::string& path, const std::string& body, const std::string& headers) const {
    std::string out = method + " " + path + " HTTP/1.1\r\nHost: api.example:8080\r\n" + headers;
    if (headers.find("uthorization:") == std::string::npos) out += std::string("Authorization: OAuth ") + kAdminSession + "\r\n";
    if (!body.empty() || method == "PUT" || method == "POST") out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return out + "\r\n" + body;
}

Response World::ask(const std::string& method, const std::string& path, const std::string& body, const std::string& headers) {
    TestClient client(port());
    return client.ask(bytes(method, path, body, headers));
}

}  // namespace ramet::http::edge_test
