// Jobs at the edge: views, events, repeated calls, web hooks that survive.
#include <algorithm>
#include <atomic>
#include <thread>

#include "http/edge_test_world.hpp"
#include "http/job_views.hpp"
#include "workflow/step_error.hpp"

namespace ramet::http::edge_test {
namespace {

using namespace std::chrono_literals;

const std::string kJob = "c27b60d6b8cd41489ade6f4830bcec16";
const std::string kActions = std::string("/zstack/v1/boxes/") + kBox + "/actions";
const std::string kFill = R"({"fillBox":{"names":["a"]}})";
const std::string kAsJob = "X-Job-UUID: " + kJob + "\r\n";
const std::string kUser = std::string("Authorization: OAuth ") + kUserSession + "\r\n";

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

JobStep step(const std::string& name, StepStatus status) {
    JobStep row;
    row.uuid = kJob + "/0/" + name;
    row.branch = "0";
    row.name = name;
    row.status = status;
    return row;
}

workflow::LiveJob live_job(std::int64_t done) {
    workflow::LiveJob live;
    live.row.uuid = JobId::trusted(kJob);
    live.row.api_name = "FillBox";
    live.row.account_uuid = AccountId::trusted("a");
    live.row.state = JobState::running;
    live.row.progress = done / 2;
    live.progress.whole = {done / 2, done, 200, 50, 3};
    live.progress.branches = {{"0", "web-01", "materialize", StepStatus::running, {done / 2, done, 200, 50, 3}}};
    live.changes = {step("materialize", StepStatus::running), step("@cause", StepStatus::failed)};
    return live;
}

// Everything a connection says until it ends.
std::string read_to_end(World& world, const std::string& path, const std::function<void()>& meanwhile) {
    TestClient client(world.port());
    EXPECT_TRUE(client.send(world.bytes("GET", path)));
    meanwhile();
    EXPECT_TRUE(client.closes());
    return client.buffered();
}

TEST(JobView, ShowsProgressOfTheWholeAndOfEachBranch) {
    World world;
    world.ask("PUT", kActions, kFill, kAsJob);
    world.jobs.show(JobId::trusted(kJob), live_job(82));
    const std::string body = world.ask("GET", "/zstack/v1/jobs/" + kJob).body;
    for (const char* part :
         {R"("progress":41,"done":82,"total":200,"rate":50,"secondsLeft":3)",
          R"({"branch":"0","name":"web-01","step":"materialize","status":"running","progress":41,"done":82)", R"("success":true})"}) {
        EXPECT_TRUE(has(body, part)) << body;
    }
    const std::string tasks = world.ask("GET", "/zstack/v1/task-progresses/" + kJob + "?all=true").body;
    EXPECT_TRUE(has(tasks, R"({"inventories":[{"taskUuid":")" + kJob + R"(","taskName":"FillBox","type":"Progress","content":"41","time":)"))
        << tasks;
    EXPECT_EQ(world.ask("GET", "/zstack/v1/api-jobs/" + kJob).body, "{}");
}

TEST(JobView, HidesInternalRowsAndWhatErrorsHaveForTheLog) {
    JobStep failed = step("boot", StepStatus::undone);
    failed.error = workflow::error_to_text(Error{ErrorCode::storage_full, "no room", "/secret/path", nullptr, {}});
    Job job;
    job.uuid = JobId::trusted(kJob);
    const std::string json = job_json(job, {failed, step("@cause", StepStatus::failed)}, nullptr);
    EXPECT_TRUE(has(json, R"("error":{"code":"PS.1000")")) << json;
    EXPECT_FALSE(has(json, "secret"));
    EXPECT_FALSE(has(json, "@cause"));
}

TEST(JobEvents, TellProgressStepsAndTheEndThenClose) {
    World world;
    world.ask("PUT", kActions, kFill, kAsJob);
    const JobId job = JobId::trusted(kJob);
    world.jobs.show(job, live_job(10));
    const std::string seen = read_to_end(world, "/zstack/v1/jobs/" + kJob + "/events", [&] {
        std::this_thread::sleep_for(50ms);
        world.jobs.show(job, live_job(90));
        std::this_thread::sleep_for(700ms);  // past one pause between looks
        world.end_job(job, JobState::succeeded, R"({"inventory":{}})");
    });
    EXPECT_TRUE(has(seen, "Content-Type: text/event-stream")) << seen;
    const std::size_t first = seen.find("\"done\":10");
    const std::size_t second = seen.find("\"done\":90");
    const std::size_t end = seen.find("event: end\ndata: {");
    EXPECT_TRUE(first < second && second < end && end != std::string::npos) << seen;
    EXPECT_TRUE(has(seen, "event: step\ndata: {\"name\":\"materialize\",\"branch\":\"0\",\"status\":\"running\"")) << seen;
    EXPECT_FALSE(has(seen, "@cause"));
    EXPECT_TRUE(has(seen.substr(end), R"("state":"Succeeded")"));
    EXPECT_TRUE(has(seen.substr(end), R"("result":{"inventory":{}})"));
    EXPECT_TRUE(seen.ends_with("\n\n"));
    EXPECT_EQ(world.held(), 0U);
}

TEST(JobEvents, OfAJobThatHasEndedAreItsEnd) {
    World world;
    world.ask("PUT", kActions, kFill, kAsJob);
    world.end_job(JobId::trusted(kJob), JobState::failed, R"({"code":"SYS.1006"})");
    const std::string seen = read_to_end(world, "/zstack/v1/jobs/" + kJob + "/events", [] {});
    EXPECT_TRUE(has(seen, "event: end")) << seen;
    EXPECT_TRUE(has(seen, "SYS.1006"));
}

TEST(JobEvents, AreForOwnersAndAdministratorsAndEndWithTheServer) {
    auto world = std::make_unique<World>();
    world->ask("PUT", kActions, kFill, kAsJob);
    const std::string path = "/zstack/v1/jobs/" + kJob + "/events";
    EXPECT_TRUE(has(world->ask("GET", path, "", kUser).body, "SYS.1006"));
    EXPECT_EQ(world->ask("GET", path, "", "X-authorization: none\r\n").status, 400);
    TestClient client(world->port());
    ASSERT_TRUE(client.send(world->bytes("GET", path)));
    ASSERT_TRUE(until([&] { return world->held() == 1; }));
    const auto begun = std::chrono::steady_clock::now();
    world.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST(IdempotencyKey, TenAtOnceAreOneJobAndOneAnswer) {
    World world;
    const std::string key = "Idempotency-Key: k1\r\n";
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 10; ++i) {
        clients.push_back(std::make_unique<TestClient>(world.port()));
        ASSERT_TRUE(clients.back()->send(world.bytes("PUT", kActions, kFill, key)));
    }
    const JobId job = world.jobs.wait_for_one();
    ASSERT_TRUE(until([&] { return world.held() == 10; }));
    world.end_job(job, JobState::succeeded, R"({"inventory":{"name":"x"}})");
    for (const auto& client : clients) EXPECT_EQ(client->receive().body, R"({"inventory":{"name":"x"}})");
    EXPECT_EQ(world.jobs.size(), 1U);
    EXPECT_EQ(world.ask("PUT", kActions, R"({ "fillBox": {"names": ["a"]} })", key).body, R"({"inventory":{"name":"x"}})");
    EXPECT_TRUE(has(world.ask("PUT", kActions, kFill, key + "Prefer: respond-async\r\n").body, job.text()));
    EXPECT_EQ(world.jobs.size(), 1U);
}

TEST(IdempotencyKey, WithAnotherBodyIsRefusedAndIsEachAccountsOwn) {
    World world;
    const std::string key = "Idempotency-Key: k1\r\nPrefer: respond-async\r\n";
    EXPECT_EQ(world.ask("PUT", kActions, kFill, key).status, 202);
    const Response other = world.ask("PUT", kActions, R"({"fillBox":{"names":["b"]}})", key);
    EXPECT_EQ(other.status, 409);
    EXPECT_TRUE(has(other.body, "another body")) << other.body;
    EXPECT_EQ(world.ask("PUT", kActions, R"({"shutBox":{}})", key).status, 409);
    EXPECT_EQ(world.ask("PUT", kActions, kFill, key + kUser).status, 202);
    EXPECT_EQ(world.jobs.size(), 2U);
    for (const std::string& bad : {std::string(256, 'x'), std::string("a\tb")}) {
        EXPECT_EQ(world.ask("PUT", kActions, kFill, "Idempotency-Key: " + bad + "\r\n").status, 400);
    }
}

TEST(IdempotencyKey, IsLetGoByACallThatFails) {
    World world;
    const std::string key = "Idempotency-Key: k1\r\n";
    world.fill_answers(Error{ErrorCode::storage_full, "no room", {}, nullptr, {}});
    EXPECT_TRUE(has(world.ask("PUT", kActions, kFill, key).body, "PS.1000"));
    world.fill_answers(std::string());
    EXPECT_EQ(world.ask("PUT", kActions, kFill, key + "Prefer: respond-async\r\n").status, 202);
    const JobId first = world.jobs.wait_for_one();
    world.end_job(first, JobState::failed, R"({"code":"SYS.1006"})");
    const Response again = world.ask("PUT", kActions, kFill, key + "Prefer: respond-async\r\n");
    EXPECT_EQ(again.status, 202);
    EXPECT_FALSE(has(again.body, first.text()));
    EXPECT_EQ(world.jobs.size(), 2U);
}

TEST(IdempotencyKey, KeepsTheAnswerOfSynchronousCallsToo) {
    World world;
    const std::string key = "Idempotency-Key: k1\r\n";
    const std::string made = world.ask("POST", "/zstack/v1/boxes", R"({"params":{"name":"n"}})", key).body;
    EXPECT_TRUE(has(world.last_request(), "\"n\""));
    world.ask("PUT", kActions, R"({"shutBox":{"type":"marker"}})");
    EXPECT_EQ(world.ask("POST", "/zstack/v1/boxes", R"({"params":{"name":"n"}})", key).body, made);
    EXPECT_TRUE(has(world.last_request(), "marker"));  // the handler did not run again
    EXPECT_EQ(world.ask("POST", "/zstack/v1/boxes", R"({"params":{"name":"m"}})", key).status, 409);
}

TEST(IdempotencyKey, AndXJobUuidKeepsItsOwnRule) {
    World world;
    EXPECT_EQ(world.ask("PUT", kActions, kFill, kAsJob).status, 202);
    EXPECT_EQ(world.ask("PUT", kActions, kFill, kAsJob).status, 400);
}

struct Receiver {
    Receiver() : server(options(), [this](const Request& request) -> Reply { return take(request); }) { EXPECT_TRUE(server.start().has_value()); }
    static ServerOptions options() {
        ServerOptions wanted;
        wanted.port = 0;
        wanted.handler_threads = 1;
        return wanted;
    }
    Reply take(const Request& request) {
        const std::lock_guard lock(mutex);
        received.push_back(request);
        Response response = text_response(status, "");
        if (status == 302) response.headers.emplace_back("Location", "/elsewhere");
        return response;
    }
    std::size_t count() {
        const std::lock_guard lock(mutex);
        return received.size();
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(server.port()) + "/done"; }
    std::mutex mutex;
    std::vector<Request> received;
    std::atomic<int> status{200};
    Server server;
};

Job ended_job(const std::string& url, JobState state, const std::string& result) {
    Job job;
    job.uuid = JobId::trusted(kJob);
    job.api_name = "CloneVmInstance";
    job.account_uuid = AccountId::trusted("a");
    job.state = state;
    job.web_hook = url;
    job.result = result;
    return job;
}

TEST(WebHooks, OfAnEarlierServerAreDeliveredWithTheirHeadersAndSettled) {
    Receiver receiver;
    World world;
    world.jobs.add_undelivered(
        ended_job(receiver.url(), JobState::succeeded, R"({"result":{"inventories":[{"inventory":{}},{"error":{"code":"x"}}]}})"), 3);
    world.resume_web_hooks();
    ASSERT_TRUE(until([&] { return receiver.count() == 1 && world.jobs.settled_hooks().size() == 1; }));
    EXPECT_EQ(*receiver.received[0].header("X-Job-UUID"), kJob);
    EXPECT_EQ(*receiver.received[0].header("X-Job-Success"), "true");
    EXPECT_EQ(*receiver.received[0].header("X-Job-Batch"), "PARTIAL");
}

TEST(WebHooks, CountTheTriesOfAnEarlierServer) {
    Receiver receiver;
    receiver.status = 500;
    World world;
    world.jobs.add_undelivered(ended_job(receiver.url(), JobState::failed, ""), 13);  // 2 of 15 are left
    world.resume_web_hooks();
    ASSERT_TRUE(until([&] { return world.jobs.settled_hooks().size() == 1; }));
    EXPECT_EQ(receiver.count(), 2U);
    EXPECT_EQ(*receiver.received[0].header("X-Job-Batch"), "FAIL");
}

TEST(WebHooks, FollowNoRedirect) {
    Receiver receiver;
    receiver.status = 302;
    std::atomic<int> settled{0};
    WebHooks hooks(WebHookOptions{2, 1ms, 1000ms, 10, HookAddresses::local}, WebHookLedger{{}, [&](const std::string&) { ++settled; }});
    hooks.announce(WebHookCall{receiver.url(), kJob, true, "{}"});
    ASSERT_TRUE(until([&] { return settled == 1; }));
    ASSERT_EQ(receiver.count(), 2U);
    for (const Request& request : receiver.received) EXPECT_EQ(request.target, "/done");
}

TEST(WebHooks, GoOnlyWhereTheOperatorLetsThem) {
    Receiver receiver;
    struct Case {
        HookAddresses addresses;
        bool by_admin;
        std::string url;
        bool arrives;
    };
    const std::vector<Case> cases{
        {HookAddresses::guarded, true, receiver.url(), true},           {HookAddresses::guarded, false, receiver.url(), false},
        {HookAddresses::public_only, true, receiver.url(), false},      {HookAddresses::local, false, receiver.url(), true},
        {HookAddresses::local, true, "http://169.254.169.254/", false}, {HookAddresses::local, true, "http://[fe80::1%25lo]/", false},
    };
    for (const Case& one : cases) {
        const std::size_t before = receiver.count();
        std::atomic<int> settled{0};
        WebHooks hooks(WebHookOptions{1, 1ms, 1000ms, 10, one.addresses}, WebHookLedger{{}, [&](const std::string&) { ++settled; }});
        WebHookCall call{one.url, kJob, true, "{}"};
        call.by_admin = one.by_admin;
        hooks.announce(call);
        ASSERT_TRUE(until([&] { return settled == 1; }));
        EXPECT_EQ(receiver.count() - before, one.arrives ? 1U : 0U) << one.url << static_cast<int>(one.addresses) << one.by_admin;
    }
}

}  // namespace
}  // namespace ramet::http::edge_test
