// For tests: an edge with calls of its own, fakes behind it and a server before it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <map>

#include "api/json.hpp"
#include "http/edge.hpp"
#include "http/routes.hpp"
#include "http/server.hpp"
#include "http/test_client.hpp"

namespace ramet::http::edge_test {

inline constexpr const char* kBox = "327b60d6b8cd41489ade6f4830bcec16";
inline constexpr const char* kForeignBox = "427b60d6b8cd41489ade6f4830bcec16";
inline constexpr const char* kMissing = "927b60d6b8cd41489ade6f4830bcec16";
inline constexpr const char* kAdminSession = "a27b60d6b8cd41489ade6f4830bcec16";
inline constexpr std::array<std::string_view, 2> kDropModes{"Permissive", "Enforcing"};
inline constexpr const char* kUserSession = "b27b60d6b8cd41489ade6f4830bcec16";

struct Part {
    std::string name;
};
struct Box {
    VmId uuid;
    std::string name;
    std::vector<Part> parts;
};
struct FillBox {  // PUT, asynchronous
    VmId box_uuid;
    std::vector<std::string> names;
    std::int64_t count = 0;
    bool full = false;
    std::optional<VmId> near_uuid;
    std::vector<Part> parts;
    std::vector<std::string> system_tags;
    std::vector<std::string> user_tags;
};
struct ShutBox {
    VmId uuid;
    std::string type = "soft";
};  // PUT on the same path, synchronous
struct MakeBox {  // POST params
    std::string name;
    std::optional<std::string> note;
    std::vector<std::string> system_tags;
};
struct LinkBox {
    VmId box_uuid;
    VmId other_uuid;
};  // POST "null"
struct DropBox {
    VmId uuid;
    std::string mode = "Permissive";
    std::vector<std::string> names;
};  // DELETE
struct PeekBox {
    VmId uuid;
};  // GET
struct PeekReply {
    std::string colour;
};
struct RuleBoxes {
    std::int64_t limit = 0;
};  // PUT, administrators
struct Knock {
    std::string who;
};  // PUT, open

// Jobs as the engine would keep them; a test ends them.
class FakeJobs {
public:
    JobAccess access();
    void start(const JobId& id, const std::string& api_name, const AccountId& account, const std::optional<std::string>& hook);
    Job end(const JobId& id, JobState state, const std::string& text);
    std::optional<Job> find(const JobId& id) const;
    std::size_t size() const;
    JobId wait_for_one() const;  // the first job that was started
    std::vector<JobId> cancelled() const;
    std::vector<JobId> retried() const;
    void show(const JobId& id, const workflow::LiveJob& live);  // what look() gives while the job runs
    std::vector<std::string> settled_hooks() const;
    void add_undelivered(const Job& job, std::int64_t tries);

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::map<JobId, Job> jobs_;
    std::vector<JobId> cancelled_;
    std::vector<JobId> retried_;
    std::map<JobId, workflow::LiveJob> live_;
    std::map<std::string, IdempotencyKey> keys_;
    std::vector<std::string> settled_;
    std::vector<UndeliveredHook> undelivered_;
    friend class World;
};

class World {
public:
    explicit World(std::chrono::milliseconds job_wait_max = std::chrono::seconds(20));
    ~World();

    // One request over a fresh connection; headers are whole lines. The session is the administrator's unless the headers have one.
    Response ask(const std::string& method, const std::string& path, const std::string& body = "", const std::string& headers = "");
    std::string bytes(const std::string& method, const std::string& path, const std::string& body = "", const std::string& headers = "") const;
    std::uint16_t port() const { return server_->port(); }
    void resume_web_hooks() { edge_->resume_web_hooks(); }
    void end_job(const JobId& id, JobState state, const std::string& text) { edge_->job_finished(jobs.end(id, state, text)); }
    // What the last handler got, as JSON; empty when none ran.
    std::string last_request() const;
    std::size_t held() const { return edge_->held(); }

    query::Parameters last_query() const;
    void fill_answers(Result<std::string> answer);  // FillBox fails so before a job exists, or answers at once; "": starts a job

    FakeJobs jobs;
    telemetry::Metrics metrics;

private:
    Routes routes();
    Result<void> check(const api::MessageInfo& message, void* request) const;
    void remember(std::string json);
    mutable std::mutex mutex_;
    std::string last_;
    query::Parameters last_query_;
    Result<std::string> fill_answer_ = std::string();
    SystemClock clock_;
    std::unique_ptr<Edge> edge_;
    std::unique_ptr<Server> server_;
};

}  // namespace ramet::http::edge_test

namespace ramet {
#define RAMET_DECLARE_TEST_MESSAGE(Request)                             \
    template <> const TypeInfo& describe<http::edge_test::Request>();   \
    namespace api {                                                     \
    template <> const MessageInfo& message<http::edge_test::Request>(); \
    }
RAMET_DECLARE_TEST_MESSAGE(FillBox)
RAMET_DECLARE_TEST_MESSAGE(ShutBox)
RAMET_DECLARE_TEST_MESSAGE(MakeBox)
RAMET_DECLARE_TEST_MESSAGE(LinkBox)
RAMET_DECLARE_TEST_MESSAGE(DropBox)
RAMET_DECLARE_TEST_MESSAGE(PeekBox)
RAMET_DECLARE_TEST_MESSAGE(RuleBoxes)
RAMET_DECLARE_TEST_MESSAGE(Knock)
#undef RAMET_DECLARE_TEST_MESSAGE
}  // namespace ramet
