// The server's API as the commands use it: one login, calls, jobs awaited. Prints nothing.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "http_reply.hpp"

namespace ramet::cli {

struct Connection {
    std::string server = "http://127.0.0.1:8080";
    std::string account = "admin";
    std::optional<std::string> password;  // clear; from RAMET_PASSWORD or the prompt
    std::chrono::seconds patience{60};    // with a server that is away while a job is waited for
    std::string key;                      // the caller's Idempotency-Key, of all changes of one command; empty: each has a random one
    std::string web_hook;                 // where the server posts results of jobs to; empty: nowhere
};

class ApiClient {
public:
    explicit ApiClient(Connection connection);
    ~ApiClient();
    Result<void> log_in(const std::string& clear_password);  // saves the session for later commands; fails when it cannot
    // `path` below /zstack/v1. An asynchronous call is awaited. The answer is the final body. A call whose connection is lost is sent again, with
    // the same Idempotency-Key: what it asks for is done once.
    Result<boost::json::object> get(const std::string& path);
    Result<boost::json::object> call(const std::string& method, const std::string& path, const boost::json::object& body);
    // How a job stands. Like the wait for an asynchronous call, it outlasts a restart of the server.
    Result<boost::json::object> job(const std::string& uuid);
    // All rows a query finds. `path` may have parameters.
    Result<boost::json::array> query(const std::string& path, const std::vector<std::string>& conditions);
    // The uuid of the one resource of this name or uuid; not_found when there is none.
    Result<std::string> resolve(const std::string& path, const std::string& kind, const std::string& name_or_uuid);
    // Follows a text/event-stream until it ends.
    Result<void> events(const std::string& path, const std::function<void(const std::string& name, const std::string& data)>& listener);
    // Called when the server has taken a job.
    void when_accepted(std::function<void(const std::string& job)> tell) { tell_ = std::move(tell); }
    // Called once for a job that takes longer than a moment; may take until the job ends.
    void while_waiting(std::function<void(ApiClient&, const std::string& job)> show) { show_ = std::move(show); }

private:
    struct Request {
        std::string method, url, body;
        std::string key = {};  // the Idempotency-Key; empty: none
        bool with_session = true;
    };
    Result<HttpReply> send(const Request& request);
    Result<HttpReply> deliver(const Request& request);
    Result<boost::json::object> perform(const Request& request, bool may_log_in);
    Result<boost::json::object> await(const std::string& location);
    Result<HttpReply> ask_about(const std::string& job, const std::string& path);
    Result<void> need_session(const char* without_password);
    Result<void> begin_session(const std::string& clear_password);
    std::string url_of(const std::string& path) const;
    std::string next_key();
    Connection connection_;
    int keys_ = 0;  // that were used
    std::string session_;
    std::optional<std::chrono::steady_clock::time_point> away_since_;  // the server, while a job is waited for
    std::function<void(const std::string& job)> tell_;
    std::function<void(ApiClient&, const std::string& job)> show_;
    struct Curl;
    std::unique_ptr<Curl> curl_;
};

std::string percent_encode(const std::string& text);

}  // namespace ramet::cli
