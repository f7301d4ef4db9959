// The edge: from an HTTP request to a use case and back. It decides nothing about a VM.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "http/call_headers.hpp"
#include "http/handler.hpp"
#include "http/job_waiters.hpp"
#include "http/references.hpp"
#include "http/request_reader.hpp"
#include "http/router.hpp"
#include "http/site.hpp"
#include "http/web_hooks.hpp"
#include "model/account.hpp"
#include "telemetry/metrics.hpp"

namespace ramet::http {

using SessionCheck = std::function<Result<identity::Caller>(const std::string& session_uuid)>;  // session_invalid when unknown or expired

// Jobs as the edge needs them; every call blocks and may come from many threads.
struct JobAccess {
    std::function<Result<std::optional<Job>>(const JobId&)> find;
    std::function<Result<std::vector<JobStep>>(const JobId&)> steps;
    std::function<Result<void>(const Job&)> save_finished;  // inserts a job that has ended already
    std::function<Result<void>(const JobId&)> cancel;
};

struct EdgeParts {
    SessionCheck check_session;
    ReferenceCheck check_references;
    QueryHandler query;
    JobAccess jobs;
    Assets assets;        // may be empty
    std::string openapi;  // the document of /openapi.json
    std::string version;
    std::string fallback_authority = "127.0.0.1:8080";  // for locations when the client sent no usable Host
    std::chrono::milliseconds job_wait_max = limits::kJobWaitMax;
    WebHookOptions web_hooks = {};
};

// Thread-safe. `clock`, `metrics` and what the parts refer to outlive it; so does the server that calls handle() end before it.
class Edge {
public:
    Edge(EdgeParts parts, const Routes& routes, const Clock& clock, telemetry::Metrics& metrics);

    Reply handle(const Request& request);
    // The engine's listener: a job has ended and its row is committed. Wakes held requests, sends its web hook.
    void job_finished(const Job& job);
    std::size_t held() const { return waiters_.size(); }

private:
    struct Passage;  // one call on its way through
    Reply dispatch(const Request& request, const Target& target, const std::vector<std::string>& segments);
    Reply call(const Request& request, const Found& found, const Target& target);
    Result<Answer> run(Passage& passage);
    Result<void> authenticate(Passage& passage);
    Result<Answer> answer_query(Passage& passage);
    Result<Answer> answer_message(Passage& passage);
    Reply deliver(Passage& passage, Result<Answer> answer);
    Reply hold(Passage& passage, const JobId& job);
    Reply store_and_accept(Passage& passage, Result<Answer> answer);
    Response poll_job(const Request& request, const std::string& uuid);
    Response own_job(const Request& request, const std::string& uuid);
    Response failure(const Error& error) const;
    void finish(const Request& request, Response& response, std::chrono::steady_clock::time_point begun);

    EdgeParts parts_;
    const Clock& clock_;
    telemetry::Metrics& metrics_;
    Router router_;
    std::map<std::string, const api::MessageInfo*, std::less<>> messages_;
    Site site_;
    JobWaiters waiters_;
    std::mutex claims_mutex_;
    std::set<JobId> claims_;  // X-Job-UUIDs of calls in progress
    WebHooks web_hooks_;
};

}  // namespace ramet::http
