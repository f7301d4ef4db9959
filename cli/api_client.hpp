// The server's API as the commands use it: one login, calls, jobs awaited. Prints nothing.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace ramet::cli {

struct Connection {
    std::string server = "http://127.0.0.1:8080";
    std::string account = "admin";
    std::optional<std::string> password;  // clear; from RAMET_PASSWORD or the prompt
};

struct HttpReply {
    long status = 0;
    std::string body;
};

class ApiClient {
public:
    explicit ApiClient(Connection connection);
    ~ApiClient();
    Result<void> log_in(const std::string& clear_password);  // saves the session for later commands
    // `path` below /zstack/v1. An asynchronous call is awaited. The answer is the final body.
    Result<boost::json::object> get(const std::string& path);
    Result<boost::json::object> call(const std::string& method, const std::string& path, const boost::json::object& body);
    // All rows a query finds.
    Result<boost::json::array> query(const std::string& path, const std::vector<std::string>& conditions);
    // A uuid as it is, else the one resource of this name.
    Result<std::string> resolve(const std::string& path, const std::string& kind, const std::string& name_or_uuid);
    // Follows a text/event-stream until it ends.
    Result<void> events(const std::string& path, const std::function<void(const std::string& name, const std::string& data)>& listener);
    const std::string& last_job() const { return last_job_; }
    // Called once for a job that takes longer than a moment; may take until the job ends.
    void while_waiting(std::function<void(ApiClient&, const std::string& job)> show) { show_ = std::move(show); }

private:
    Result<HttpReply> send(const std::string& method, const std::string& url, const std::string& body, bool with_session);
    Result<boost::json::object> request(const std::string& method, const std::string& path, const std::string& body, bool may_log_in);
    Result<boost::json::object> await(const std::string& location);
    void load_session();
    Result<void> save_session() const;
    Connection connection_;
    std::string session_;
    std::string last_job_;
    std::function<void(ApiClient&, const std::string& job)> show_;
    struct Curl;
    std::unique_ptr<Curl> curl_;
};

std::string percent_encode(const std::string& text);

}  // namespace ramet::cli
