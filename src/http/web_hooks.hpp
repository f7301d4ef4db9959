// Tells others that a job has ended: POSTs its result, again until it is taken (contract 1.6). What is not delivered when the server
// stops is lost; the job itself can still be polled.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <queue>
#include <string>
#include <thread>

namespace ramet::http {

struct WebHookOptions {
    int tries_max = 15;
    std::chrono::milliseconds pause{2000};  // between two tries
    std::chrono::milliseconds request_timeout{5000};
    std::size_t queue_max = 4096;  // beyond it a hook is dropped, with a line in the log
};

struct WebHookCall {
    std::string url;  // http or https
    std::string job_uuid;
    bool success = false;
    std::string body;
};

class WebHooks {
public:
    explicit WebHooks(WebHookOptions options = {});
    ~WebHooks();  // gives up what is waiting
    WebHooks(const WebHooks&) = delete;
    WebHooks& operator=(const WebHooks&) = delete;
    void announce(WebHookCall call);  // from any thread; never blocks

private:
    struct Due {
        std::chrono::steady_clock::time_point when;
        int tries;
        WebHookCall call;
        bool operator>(const Due& other) const { return when > other.when; }
    };
    void work(const std::stop_token& stop);
    bool deliver(const std::stop_token& stop, const WebHookCall& call) const;

    WebHookOptions options_;
    std::mutex mutex_;
    std::condition_variable_any ready_;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> queue_;
    std::jthread thread_;  // last: it uses all of the above
};

}  // namespace ramet::http
