#include "http/edge.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "http/edge_test_world.hpp"

namespace ramet::http::edge_test {

using namespace std::chrono_literals;

const std::string kActions = std::string("/zstack/v1/boxes/") + kBox + "/actions";
const std::string kJob = "c27b60d6b8cd41489ade6f4830bcec16";
const std::string kLater = "Prefer: respond-async\r\n";
const std::string kFill = R"({"fillBox":{"names":["a"]}})";

std::string location_of(const std::string& job) {
    return "{\"location\":\"http://api.example:8080/zstack/v1/api-jobs/" + job + "\",\"apiTimeout\":1800000}";
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(EdgeRouting, UnknownPathsAndMethodsAreToldInPlainText) {
    World world;
    struct Probe {
        const char* method;
        std::string path;
        int status;
    };
    for (const Probe& probe :
         {Probe{"GET", "/zstack/v1/nonsense", 404}, Probe{"GET", "/zstack/v1", 404}, Probe{"POST", kActions, 405}, Probe{"GET", kActions, 405},
          Probe{"PATCH", "/zstack/v1/boxes", 405}, Probe{"DELETE", "/zstack/v1/boxes", 405}, Probe{"GET", "/zstack/v1/boxes//colour", 404},
          Probe{"GET", "/zstack/v1/%zz", 400}, Probe{"GET", "/nowhere", 404}, Probe{"POST", "/healthz", 405}}) {
        const Response response = world.ask(probe.method, probe.path);
        EXPECT_EQ(response.status, probe.status) << probe.method << probe.path;
        EXPECT_EQ(response.content_type, "text/plain;charset=UTF-8") << probe.path;
        EXPECT_FALSE(response.body.empty());
        EXPECT_EQ(header_of(response, "Allow") != nullptr, probe.status == 405) << probe.path;
    }
    TestClient client(world.port());
    ASSERT_TRUE(client.send(world.bytes("HEAD", "/zstack/v1/boxes")));
    EXPECT_EQ(client.receive(true).status, 405);
}

TEST(EdgeRouting, PathsAreDecodedBeforeTheyAreMatched) {
    World world;
    EXPECT_EQ(world.ask("GET", std::string("/zstack/v1/b%6fxes/") + kBox + "/c%6Flour").body, R"({"colour":"red","success":true})");
    EXPECT_EQ(world.ask("GET", std::string("http://api.example:8080/zstack/v1/boxes/") + kBox + "/colour/").status, 200);
}

TEST(EdgeBody, TheActionKeyChoosesTheCallExactlyFirstThenIgnoringCase) {
    World world;
    for (const char* key : {"shutBox", "shutbox", "SHUTBOX"}) {
        EXPECT_EQ(world.ask("PUT", kActions, std::string("{\"") + key + "\":{\"type\":\"" + key + "\"}}").body, "{}") << key;
        EXPECT_EQ(world.last_request(), std::string("{\"uuid\":\"") + kBox + "\",\"type\":\"" + key + "\"}");
    }
    EXPECT_EQ(world.ask("PUT", kActions, R"({"shutbox":{"type":"no"},"shutBox":{"type":"yes"}})").body, "{}");
    EXPECT_TRUE(has(world.last_request(), "\"yes\""));
}

TEST(EdgeBody, WhatIsNoActionIsRefusedInPlainText) {
    World world;
    for (const char* body : {"", " ", "{}", R"({"other":{}})", "[]", "{", R"({"shutBox":[]})", R"({"shutBox":"x"})", R"({"fillBox":{"names":"a"}})",
                             R"({"fillBox":{"names":["a"],"count":"4.0"}})", R"({"fillBox":{"names":["a"],"full":"maybe"}})"}) {
        const Response response = world.ask("PUT", kActions, body);
        EXPECT_EQ(response.status, 400) << body;
        EXPECT_EQ(response.content_type, "text/plain;charset=UTF-8");
    }
    EXPECT_TRUE(has(world.ask("PUT", kActions, R"({"other":{}})").body, "fillBox, shutBox"));
    EXPECT_TRUE(has(world.ask("PUT", kActions, R"({"fillBox":{"names":["a"],"count":"4.0"}})").body, "'count'"));
    EXPECT_EQ(world.last_request(), "");
}

TEST(EdgeBody, DeepJsonIsRefused) {
    World world;
    EXPECT_EQ(world.ask("PUT", kActions, "{\"shutBox\":" + std::string(10'000, '[') + std::string(10'000, ']') + "}").status, 400);
}

TEST(EdgeBody, EmptyAndNullActionsUnknownFieldsAndTextNumbersAreFine) {
    World world;
    for (const char* body : {R"({"shutBox":{}})", R"({"shutBox":null})", R"({"shutBox":{"stopHa":false,"requestIp":"1.2.3.4"}})"}) {
        EXPECT_EQ(world.ask("PUT", kActions, body).body, "{}") << body;
    }
    world.fill_answers("{}");
    EXPECT_EQ(
        world.ask("PUT", kActions, R"({"fillBox":{"names":["a"],"count":"4","full":"true","nearUuid":null,"parts":["{\"name\":\"p\"}"]}})").status,
        200);
    EXPECT_EQ(world.last_request(), std::string("{\"boxUuid\":\"") + kBox +
                                        R"(","names":["a"],"count":4,"full":true,"parts":[{"name":"p"}],"systemTags":[],"userTags":[]})");
}

TEST(EdgeBody, TagsMayStandInsideOrBesideAndBesideWins) {
    World world;
    world.fill_answers("{}");
    EXPECT_EQ(world.ask("PUT", kActions, R"({"fillBox":{"names":["a"],"systemTags":["in"],"userTags":["in"]},"systemTags":["out"],"userTags":null})")
                  .status,
              200);
    EXPECT_TRUE(has(world.last_request(), R"("systemTags":["out"],"userTags":["in"])")) << world.last_request();
}

TEST(EdgeBody, ThePathWinsOverTheBody) {
    World world;
    EXPECT_EQ(world.ask("PUT", kActions, std::string(R"({"shutBox":{"uuid":")") + kForeignBox + "\"}}").body, "{}");
    EXPECT_TRUE(has(world.last_request(), kBox));
}

TEST(EdgeBody, PlainParametersMayBeCalledParamsOrNullOrBeAbsent) {
    World world;
    const std::string links = std::string("/zstack/v1/boxes/") + kBox + "/links/" + kBox;
    for (const char* body : {R"({"null":{}})", R"({"params":{}})", R"({"null":null})", "{}", ""})
        EXPECT_EQ(world.ask("POST", links, body).body, "{}") << body;
    EXPECT_EQ(world.ask("POST", "/zstack/v1/boxes", R"({"params":{"name":"n"}})").status, 200);
    const Response missing = world.ask("POST", "/zstack/v1/boxes", "");
    EXPECT_EQ(missing.status, 503);
    EXPECT_TRUE(has(missing.body, "SYS.1007"));
    EXPECT_TRUE(has(missing.body, "name"));
}

TEST(EdgeParameters, OfADeleteComeFromTheUrl) {
    World world;
    const std::string box = std::string("/zstack/v1/boxes/") + kBox;
    EXPECT_EQ(world.ask("DELETE", box + "?deleteMode=Perm%69ssive&names=a+b&names=c&unknown=1&sessionId=x").body, "{}");
    EXPECT_TRUE(has(world.last_request(), R"("deleteMode":"Permissive","names":["a b","c"])")) << world.last_request();
    EXPECT_EQ(world.ask("DELETE", box + "?names.1=b&names.0=a&names.10=c").body, "{}");
    EXPECT_TRUE(has(world.last_request(), R"("names":["a","b","c"])")) << world.last_request();
    EXPECT_EQ(world.ask("DELETE", box + "?deleteMode=a&deleteMode=b").status, 400);
    EXPECT_EQ(world.ask("DELETE", box + "?deleteMode=").body, "{}");  // left out, as Go clients write it
    EXPECT_TRUE(has(world.last_request(), R"("deleteMode":"Permissive")")) << world.last_request();
}

TEST(EdgeBody, AnEmptyUuidIsNotAnAbsentOne) {
    World world;
    const Response refused = world.ask("PUT", kActions, R"({"fillBox":{"names":["a"],"nearUuid":""}})");
    EXPECT_TRUE(has(refused.body, "SYS.1007") && has(refused.body, "nearUuid")) << refused.body;
    EXPECT_EQ(world.last_request(), "");
}

TEST(EdgeQuery, ParametersAreReadAsClientsSendThem) {
    World world;
    const std::string path =
        "/zstack/v1/"
        "boxes?q=name%3Dweb%25&q=state!=Stopped&q=state!=Stopped&limit=20&start=5&sort=+name&fields=uuid,name&replyWithCount=true&filterName=a:b&x=y";
    EXPECT_EQ(world.ask("GET", path).body, R"({"inventories":[]})");
    EXPECT_EQ(world.last_query().conditions, (std::vector<std::string>{"name=web%", "state!=Stopped"}));
    EXPECT_EQ(world.last_query().limit, 20);
    EXPECT_EQ(world.last_query().start, 5);
    EXPECT_EQ(world.last_query().sort, "name");
    EXPECT_EQ(world.last_query().fields, (std::vector<std::string>{"uuid", "name"}));
    EXPECT_TRUE(world.last_query().reply_with_count);
    EXPECT_FALSE(world.last_query().uuid);
    EXPECT_EQ(world.ask("GET", std::string("/zstack/v1/boxes/") + kMissing + "?count=true&sort=-name").body, R"({"inventories":[]})");
    EXPECT_EQ(world.last_query().uuid, kMissing);
    EXPECT_EQ(world.last_query().sort, "-name");
    EXPECT_TRUE(world.last_query().count);
    EXPECT_EQ(world.ask("GET", "/zstack/v1/boxes?limit=many").status, 400);
    EXPECT_EQ(world.ask("GET", "/zstack/v1/boxes?start=-1").status, 400);
    EXPECT_TRUE(has(world.ask("GET", "/zstack/v1/boxes?filterName=a").body, "SYS.1007"));
    EXPECT_TRUE(has(world.ask("GET", "/zstack/v1/boxes?limit=99999999").body, "SYS.1007"));
}

TEST(EdgeAuthentication, HeaderErrorsAreImmediateAndSessionErrorsAre503) {
    World world;
    struct Probe {
        const char* header;
        int status;
        const char* part;
    };
    for (const Probe& probe :
         {Probe{"X-authorization: none\r\n", 400, "missing"}, Probe{"Authorization: Basic abc\r\n", 400, "OAuth"},
          Probe{"Authorization: OAuth\r\n", 400, "OAuth"}, Probe{"Authorization: ZStack id:signature\r\n", 400, "access keys are not enabled"},
          Probe{"authorization: OAuth unknown\r\n", 503, "ID.1001"}}) {
        const Response response = world.ask("PUT", kActions, R"({"shutBox":{}})", probe.header);
        EXPECT_EQ(response.status, probe.status) << probe.header;
        EXPECT_TRUE(has(response.body, probe.part)) << response.body;
    }
    EXPECT_EQ(world.last_request(), "");
    EXPECT_EQ(world.ask("PUT", "/zstack/v1/knock", R"({"knock":{}})", "X-authorization: none\r\n").body, "{}");
}

TEST(EdgeAuthentication, AnAsynchronousCallOfAnUnknownSessionFailsInItsJob) {
    World world;
    const Response response = world.ask("PUT", kActions, kFill, "Authorization: OAuth unknown\r\nX-Job-UUID: " + kJob + "\r\n");
    EXPECT_EQ(response.status, 202);
    EXPECT_EQ(response.body, location_of(kJob));
    const Response polled = world.ask("GET", "/zstack/v1/api-jobs/" + kJob, "", "X-authorization: none\r\n");
    EXPECT_EQ(polled.status, 503);
    EXPECT_TRUE(polled.body.starts_with("{\"error\":{\"code\":\"ID.1001\"")) << polled.body;
    EXPECT_EQ(world.ask("PUT", kActions, kFill, "Authorization: OAuth unknown\r\n").status, 503);
}

TEST(EdgeAuthorisation, AdministratorsCallsAndOthersResourcesAreRefused) {
    World world;
    const std::string user = std::string("Authorization: OAuth ") + kUserSession + "\r\n";
    EXPECT_TRUE(has(world.ask("PUT", "/zstack/v1/rules", R"({"ruleBoxes":{}})", user).body, "ID.1002"));
    EXPECT_EQ(world.ask("PUT", "/zstack/v1/rules", R"({"ruleBoxes":{}})").body, "{}");
    EXPECT_TRUE(has(world.ask("PUT", std::string("/zstack/v1/boxes/") + kForeignBox + "/actions", R"({"shutBox":{}})", user).body, "SYS.1006"));
    EXPECT_EQ(world.ask("GET", std::string("/zstack/v1/boxes/") + kForeignBox + "/colour", "", user).status, 200);
}

TEST(EdgeReferences, AUuidThatNamesNothingIsNotFoundWithItsField) {
    World world;
    const Response path = world.ask("PUT", std::string("/zstack/v1/boxes/") + kMissing + "/actions", R"({"shutBox":{}})");
    EXPECT_TRUE(has(path.body, "SYS.1003") && has(path.body, "uuid") && has(path.body, "BoxVO") && has(path.body, kMissing)) << path.body;
    const Response inner = world.ask("PUT", kActions, std::string(R"({"fillBox":{"names":["a"],"nearUuid":")") + kMissing + "\"}}");
    EXPECT_TRUE(has(inner.body, "SYS.1003") && has(inner.body, "nearUuid")) << inner.body;
    EXPECT_TRUE(has(world.ask("PUT", "/zstack/v1/boxes/123/actions", R"({"shutBox":{}})").body, "SYS.1003"));
}

TEST(EdgeReferences, DeletingWhatIsGoneSucceedsUnlessItsUuidIsNone) {
    World world;
    const Response gone = world.ask("DELETE", std::string("/zstack/v1/boxes/") + kMissing);
    EXPECT_EQ(gone.status, 200);
    EXPECT_EQ(gone.body, "{}");
    EXPECT_EQ(world.last_request(), "");
    EXPECT_TRUE(has(world.ask("DELETE", "/zstack/v1/boxes/123").body, "SYS.1003"));
}

TEST(EdgeJobs, APlainCallIsHeldUntilItsJobEnds) {
    World world;
    TestClient client(world.port());
    ASSERT_TRUE(client.send(world.bytes("PUT", kActions, kFill)));
    const JobId job = world.jobs.wait_for_one();
    world.end_job(job, JobState::succeeded, R"({"inventory":{"name":"x","parts":[{"name":"p"}]}})");
    const Response response = client.receive();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.content_type, "application/json;charset=UTF-8");
    EXPECT_EQ(response.body, R"({"inventory":{"name":"x","parts":[{"name":"p"}]}})");
    EXPECT_EQ(world.held(), 0U);
}

TEST(EdgeJobs, AHeldCallWhoseJobFailsIsAnError) {
    World world;
    TestClient client(world.port());
    ASSERT_TRUE(client.send(world.bytes("PUT", kActions, kFill)));
    world.end_job(world.jobs.wait_for_one(), JobState::failed, R"({"code":"SYS.1006"})");
    const Response response = client.receive();
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.body, R"({"error":{"code":"SYS.1006"}})");
}

TEST(EdgeJobs, PatienceIsLimitedAndThenTheLocationIsGiven) {
    World world(50ms);
    const Response plain = world.ask("PUT", kActions, kFill);
    EXPECT_EQ(plain.status, 202);
    EXPECT_EQ(plain.body, location_of(world.jobs.wait_for_one().text()));
    EXPECT_EQ(world.held(), 0U);
}

TEST(EdgeJobs, PreferOverridesEitherWay) {
    World world;
    const auto begun = std::chrono::steady_clock::now();
    for (const char* prefer : {"Prefer: respond-async\r\n", "Prefer: wait=0\r\n", "prefer: Respond-Async; x=y, lenient\r\n"}) {
        EXPECT_EQ(world.ask("PUT", kActions, kFill, prefer).status, 202) << prefer;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
    TestClient client(world.port());
    ASSERT_TRUE(client.send(world.bytes("PUT", kActions, kFill, "X-Job-UUID: " + kJob + "\r\nPrefer: wait=30\r\n")));
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!world.jobs.find(JobId::trusted(kJob)) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    world.end_job(JobId::trusted(kJob), JobState::succeeded, "{}");
    EXPECT_EQ(client.receive().status, 200);
}

TEST(EdgeJobs, AJobUuidIsHonouredAndARepeatRefused) {
    World world;
    const std::string header = "X-Job-UUID: " + kJob + "\r\n";
    EXPECT_EQ(world.ask("PUT", kActions, kFill, header).body, location_of(kJob));
    const Response repeat = world.ask("PUT", kActions, kFill, header);
    EXPECT_EQ(repeat.status, 400);
    EXPECT_TRUE(has(repeat.body, "Duplicate job uuid[" + kJob + "]"));
    for (const char* bad : {"short", "g27b60d6b8cd41489ade6f4830bcec16", "c27b60d6-b8cd-4148-9ade-6f4830bcec16"}) {
        EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Job-UUID: " + std::string(bad) + "\r\n").status, 400) << bad;
    }
    EXPECT_EQ(world.ask("PUT", kActions, R"({"shutBox":{}})", "X-Job-UUID: d27b60d6b8cd41489ade6f4830bcec16\r\n").status, 200);
}

TEST(EdgeJobs, PollingGoesFromRunningToTheResultAndNeedsNoSession) {
    World world;
    const std::string none = "X-authorization: none\r\n";
    const std::string path = "/zstack/v1/api-jobs/" + kJob;
    EXPECT_EQ(world.ask("GET", path, "", none).status, 404);
    EXPECT_EQ(world.ask("GET", "/zstack/v1/api-jobs/nonsense", "", none).status, 404);
    EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Job-UUID: " + kJob + "\r\n").status, 202);
    const Response running = world.ask("GET", path, "", none);
    EXPECT_EQ(running.status, 202);
    EXPECT_EQ(running.body, "{}");
    EXPECT_EQ(world.ask("POST", path, "", none).status, 405);
    world.end_job(JobId::trusted(kJob), JobState::succeeded, R"({"inventory":{"name":"x","parts":[{"name":"p"}]}})");
    for (int i = 0; i < 2; ++i) EXPECT_EQ(world.ask("GET", path, "", none).body, R"({"inventory":{"name":"x","parts":[{"name":"p"}]}})");
    EXPECT_EQ(
        world.ask("GET", path, "", none + "X-JSON-Schema: true\r\n").body,
        R"({"inventory":{"name":"x","parts":[{"name":"p"}]},"schema":{"inventory":"org.example.Box","inventory.parts[0]":"org.example.Part"}})");
}

TEST(EdgeJobs, WhatEndsWithoutAJobBecomesOneWhenTheAnswerComesLater) {
    World world;
    world.fill_answers(Error{ErrorCode::storage_full, "no room", {}, nullptr, {}});
    const Response plain = world.ask("PUT", kActions, kFill);
    EXPECT_EQ(plain.status, 503);
    EXPECT_TRUE(plain.body.starts_with("{\"error\":{\"code\":\"PS.1000\""));
    EXPECT_EQ(world.jobs.size(), 0U);
    EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Job-UUID: " + kJob + "\r\n").status, 202);
    EXPECT_TRUE(has(world.ask("GET", "/zstack/v1/api-jobs/" + kJob).body, "PS.1000"));
    world.fill_answers(R"({"inventory":{}})");
    const std::string other = "d" + kJob.substr(1);
    EXPECT_EQ(world.ask("PUT", kActions, kFill).body, R"({"inventory":{}})");
    EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Job-UUID: " + other + "\r\n").body, location_of(other));
    EXPECT_EQ(world.ask("GET", "/zstack/v1/api-jobs/" + other).body, R"({"inventory":{}})");
    EXPECT_TRUE(has(world.ask("PUT", kActions, R"({"fillBox":{}})", kLater).body, "location"));
}

TEST(EdgeJobs, OwnersAndAdministratorsSeeAndCancelJobs) {
    World world;
    const std::string user = std::string("Authorization: OAuth ") + kUserSession + "\r\n";
    const std::string path = "/zstack/v1/jobs/" + kJob;
    EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Job-UUID: " + kJob + "\r\n").status, 202);
    const Response detail = world.ask("GET", path);
    EXPECT_EQ(detail.status, 200);
    for (const char* part :
         {R"("apiName":"FillBox")", R"("state":"Running")", R"("steps":[{"name":"write-overlay","branch":"0","status":"done")", R"("ms":7})"}) {
        EXPECT_TRUE(has(detail.body, part)) << detail.body;
    }
    EXPECT_TRUE(has(world.ask("GET", path, "", user).body, "SYS.1006"));
    EXPECT_TRUE(has(world.ask("DELETE", path, "", user).body, "SYS.1006"));
    EXPECT_EQ(world.ask("GET", path, "", "X-authorization: none\r\n").status, 400);
    EXPECT_TRUE(has(world.ask("GET", std::string("/zstack/v1/jobs/") + kMissing).body, "SYS.1003"));
    EXPECT_EQ(world.ask("PUT", path).status, 405);
    EXPECT_TRUE(has(world.ask("PUT", path + "/actions", R"({"retryJob":{}})", user).body, "SYS.1006"));
    EXPECT_TRUE(world.jobs.cancelled().empty() && world.jobs.retried().empty());
    EXPECT_EQ(world.ask("PUT", path + "/actions", R"({"retryJob":{}})").body, "{}");
    EXPECT_EQ(world.jobs.retried(), std::vector<JobId>{JobId::trusted(kJob)});
    EXPECT_EQ(world.ask("DELETE", path).body, "{}");
    EXPECT_EQ(world.jobs.cancelled(), std::vector<JobId>{JobId::trusted(kJob)});
}

TEST(EdgeJobs, FiveHundredCallsAreHeldBesideQuickOnes) {
    World world;
    constexpr std::size_t kHeld = 500;
    std::vector<std::unique_ptr<TestClient>> clients;
    std::vector<JobId> jobs;
    for (std::size_t i = 0; i < kHeld; ++i) {
        jobs.push_back(JobId::random());
        clients.push_back(std::make_unique<TestClient>(world.port()));
        ASSERT_TRUE(clients.back()->send(world.bytes("PUT", kActions, kFill, "X-Job-UUID: " + jobs.back().text() + "\r\nPrefer: wait=50\r\n")));
    }
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (world.held() < kHeld && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
    ASSERT_EQ(world.held(), kHeld);
    EXPECT_EQ(world.ask("GET", "/zstack/v1/boxes").status, 200);
    for (const JobId& job : jobs) world.end_job(job, JobState::succeeded, "{\"job\":\"" + job.text() + "\"}");
    for (std::size_t i = 0; i < kHeld; ++i) ASSERT_EQ(clients[i]->receive().body, "{\"job\":\"" + jobs[i].text() + "\"}");
    EXPECT_EQ(world.held(), 0U);
}

TEST(EdgeSchema, IsAddedToAnyAnswerWhenAskedFor) {
    World world;
    const std::string plain = std::string(R"({"inventory":{"uuid":")") + kBox + R"(","name":"n","parts":[{"name":"p"}]})";
    EXPECT_EQ(world.ask("POST", "/zstack/v1/boxes", R"({"params":{"name":"n"}})").body, plain + "}");
    EXPECT_EQ(world.ask("POST", "/zstack/v1/boxes", R"({"params":{"name":"n"}})", "x-json-schema: x\r\n").body,
              plain + R"(,"schema":{"inventory":"org.example.Box","inventory.parts[0]":"org.example.Part"}})");
}

TEST(EdgeMock, ChecksEverythingAnswersTheExampleAndChangesNothing) {
    World world;
    const std::string mock = "X-Ramet-Mode: Mock\r\n";
    for (const std::string& headers : {mock, mock + "X-Job-UUID: " + kJob + "\r\n"}) {
        const Response response = world.ask("PUT", kActions, kFill, headers);
        EXPECT_EQ(response.status, 200);
        EXPECT_EQ(response.body, R"({"inventory":{"name":"example"}})");
        ASSERT_NE(header_of(response, "X-Ramet-Mode"), nullptr);
        EXPECT_EQ(*header_of(response, "X-Ramet-Mode"), "mock");
    }
    EXPECT_TRUE(has(world.ask("PUT", kActions, R"({"fillBox":{}})", mock).body, "SYS.1007"));
    EXPECT_TRUE(has(world.ask("PUT", std::string("/zstack/v1/boxes/") + kMissing + "/actions", kFill, mock).body, "SYS.1003"));
    EXPECT_TRUE(has(world.ask("PUT", kActions, kFill, mock + "Authorization: OAuth unknown\r\n").body, "ID.1001"));
    EXPECT_EQ(world.ask("PUT", kActions, R"({"fillBox":{"names":7}})", mock).status, 400);
    EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Ramet-Mode: dream\r\n").status, 400);
    EXPECT_EQ(world.last_request(), "");
    EXPECT_EQ(world.jobs.size(), 0U);
}

TEST(EdgeReplies, NoAnswerIsEmptyAndErrorsHaveOneKey) {
    World world;
    EXPECT_EQ(world.ask("PUT", kActions, R"({"shutBox":{}})").body, "{}");
    const Response error = world.ask("POST", "/zstack/v1/boxes", "{}");
    EXPECT_EQ(error.content_type, "application/json;charset=UTF-8");
    const auto parsed = api::parse_json(error.body);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->as_object().size(), 1U);
    EXPECT_TRUE(parsed->as_object().contains("error"));
}

TEST(EdgeSite, ServesPagesHealthMetricsAndTheDocument) {
    World world;
    EXPECT_EQ(world.ask("GET", "/").body, "<console>");
    EXPECT_EQ(world.ask("GET", "/explorer").body, "<explorer>");
    EXPECT_EQ(world.ask("GET", "/explorer/CloneVmInstance").body, "<explorer>");
    EXPECT_EQ(world.ask("GET", "/healthz").body, R"({"status":"ok","version":"1.2.3"})");
    EXPECT_EQ(world.ask("GET", "/openapi.json").body, R"({"openapi":"3.1.0"})");
    const Response script = world.ask("GET", "/assets/app-1f.js");
    EXPECT_EQ(script.body, "js");
    EXPECT_TRUE(has(*header_of(script, "Cache-Control"), "immutable"));
    EXPECT_EQ(*header_of(script, "Content-Encoding"), "gzip");
    EXPECT_TRUE(has(*header_of(script, "Content-Security-Policy"), "frame-ancestors 'none'"));
    EXPECT_EQ(*header_of(script, "X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(world.ask("GET", "/assets/../index.html").status, 404);
    EXPECT_EQ(world.ask("GET", "/assets/%2e%2e/index.html").status, 404);
    EXPECT_EQ(world.ask("GET", "/assets/other.js").status, 404);
    EXPECT_TRUE(has(world.ask("GET", "/metrics").body, "ramet_http_requests_total{method=\"GET\",status=\"200\"}"));
}

TEST(EdgeMetrics, CountsHeldRequestsAsInFlight) {
    World world;
    TestClient client(world.port());
    ASSERT_TRUE(client.send(world.bytes("PUT", kActions, kFill)));
    const JobId job = world.jobs.wait_for_one();
    EXPECT_TRUE(has(world.metrics.text(), "ramet_http_requests_in_flight 1"));
    world.end_job(job, JobState::succeeded, "{}");
    EXPECT_EQ(client.receive().status, 200);
    EXPECT_TRUE(has(world.metrics.text(), "ramet_http_requests_in_flight 0"));
    EXPECT_TRUE(has(world.metrics.text(), "ramet_jobs_finished_total{api=\"FillBox\",state=\"Succeeded\"} 1"));
}

// A receiver of web hooks that refuses the first tries.
TEST(EdgeWebHooks, TheResultIsPostedUntilItIsTaken) {
    std::mutex mutex;
    std::vector<Request> received;
    ServerOptions options;
    options.port = 0;
    options.handler_threads = 1;
    Server receiver(options, [&](const Request& request) -> Reply {
        const std::lock_guard lock(mutex);
        received.push_back(request);
        return text_response(received.size() < 3 ? 500 : 200, "");
    });
    ASSERT_TRUE(receiver.start().has_value());
    World world;
    const std::string hook = "X-Web-Hook: http://127.0.0.1:" + std::to_string(receiver.port()) + "/done\r\n";
    const Response accepted = world.ask("PUT", kActions, kFill, hook);
    EXPECT_EQ(accepted.status, 202);
    world.end_job(world.jobs.wait_for_one(), JobState::succeeded, R"({"inventory":{}})");
    const auto count = [&] {
        const std::lock_guard lock(mutex);
        return received.size();
    };
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (count() < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    receiver.stop();
    ASSERT_EQ(received.size(), 3U);
    EXPECT_EQ(received[2].method, "POST");
    EXPECT_EQ(received[2].target, "/done");
    EXPECT_EQ(received[2].body, R"({"inventory":{}})");
    EXPECT_EQ(*received[2].header("X-Job-UUID"), world.jobs.wait_for_one().text());
    EXPECT_EQ(*received[2].header("X-Job-Success"), "true");
}

TEST(EdgeWebHooks, OnlyWebUrlsAreTaken) {
    World world;
    for (const char* url : {"file:///etc/passwd", "gopher://x/", "http://", "nonsense"}) {
        EXPECT_EQ(world.ask("PUT", kActions, kFill, "X-Web-Hook: " + std::string(url) + "\r\n").status, 400) << url;
    }
    EXPECT_EQ(world.jobs.size(), 0U);
}

TEST(WebHooks, GivesUpAfterItsTriesAndStopsAtOnce) {
    std::atomic<int> tries{0};
    ServerOptions options;
    options.port = 0;
    Server receiver(options, [&](const Request&) -> Reply {
        ++tries;
        return text_response(500, "");
    });
    ASSERT_TRUE(receiver.start().has_value());
    const std::string url = "http://127.0.0.1:" + std::to_string(receiver.port()) + "/";
    WebHooks impatient(WebHookOptions{4, 1ms, 1000ms, 10, HookAddresses::local});
    WebHooks slow(WebHookOptions{15, 60s, 1000ms, 10, HookAddresses::local});
    impatient.announce(WebHookCall{url, kJob, false, "{}"});
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (tries < 4 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(tries, 4);
    slow.announce(WebHookCall{url, kJob, false, "{}"});
    while (tries < 5 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(tries, 5);
}

}  // namespace ramet::http::edge_test
