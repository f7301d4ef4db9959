// The edge: from an HTTP request to a use case and back. It decides nothing about a VM.
#pragma once

#include <atomic>
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
#include "http/idempotency.hpp"
#include "http/job_access.hpp"
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
    // Announces again what an earlier server did not deliver. Once, before jobs end.
    void resume_web_hooks();
    std::size_t held() const { return waiters_.size(); }

private:
    struct Passage;  // one call on its way through
    // `key_waits`: how often the call may still wait for others with its Idempotency-Key.
    Reply route(const Request& request, int key_waits);
    Reply finished(const Request& head, std::chrono::steady_clock::time_point begun, Reply reply);
    Reply dispatch(const Request& request, const Target& target, const std::vector<std::string>& segments, int key_waits);
    Reply call(const Request& request, const Found& found, const Target& target, int key_waits);
    Reply call_once(Passage& passage, int key_waits);
    Result<std::optional<Reply>> answer_of_key(Passage& passage);
    Reply wait_for_key(const Passage& passage, std::shared_ptr<Signal> free, int key_waits);
    Reply perform(Passage& passage);
    Result<Answer> run(Passage& passage);
    Result<void> authenticate(Passage& passage);
    Result<Answer> answer_query(Passage& passage);
    Result<Answer> answer_message(Passage& passage);
    Reply deliver(Passage& passage, Result<Answer> answer);
    Reply hold(Passage& passage, const JobId& job);
    Reply watch(const JobId& job);
    Result<Job> keep(const Passage& passage, const Result<Answer>& answer);
    Reply store_and_accept(Passage& passage, Result<Answer> answer);
    WebHookCall hook_call(const Job& job, std::int64_t tries) const;
    Response poll_job(const Request& request, const std::string& uuid);
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
    KeysInUse keys_in_use_;
    std::atomic<std::size_t> streams_{0};
    WebHooks web_hooks_;
};

}  // namespace ramet::http
