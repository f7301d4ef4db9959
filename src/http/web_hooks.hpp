// Tells others that a job has ended: POSTs its result, again until it is taken (contract 1.6). What waits for its delivery is a row of the
// store, so that a restart of the server delivers it; a hook may arrive twice when the server dies between delivery and its note.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ramet::http {

// Where hooks may go. Judged on the address a connection is about to use; redirects are not followed. Link-local and metadata addresses never.
enum class HookAddresses : std::uint8_t {
    guarded,      // public addresses; for jobs of administrators also private ones and this machine
    public_only,  // public addresses, whoever asks
    local         // public and private ones and this machine, whoever asks
};
inline constexpr std::array<std::string_view, 3> kHookAddressesNames{"guarded", "public", "local"};

struct WebHookOptions {
    int tries_max = 15;
    std::chrono::milliseconds pause{2000};  // between two tries
    std::chrono::milliseconds request_timeout{5000};
    std::size_t queue_max = 4096;  // beyond it a hook waits in the store for the next start
    HookAddresses addresses = HookAddresses::guarded;
    std::size_t threads = 4;  // a receiver that hangs holds up one of them
};

struct WebHookCall {
    std::string url;  // http or https
    std::string job_uuid;
    bool success = false;
    std::string body;
    std::string batch = {};  // X-Job-Batch, or empty: no such header
    bool by_admin = false;   // an administrator's job
    std::int64_t tries = 0;  // made already
};

// Told after each try, on a thread of WebHooks.
struct WebHookLedger {
    std::function<void(const std::string& job_uuid, std::int64_t tries)> tried;  // in vain; it will be tried again
    std::function<void(const std::string& job_uuid)> settled;                    // taken, or given up
};

class WebHooks {
public:
    explicit WebHooks(WebHookOptions options = {}, WebHookLedger ledger = {});
    ~WebHooks();  // ends the tries in progress; what waits stays in the store
    WebHooks(const WebHooks&) = delete;
    WebHooks& operator=(const WebHooks&) = delete;
    void announce(WebHookCall call);  // from any thread; never blocks

private:
    struct Due {
        std::chrono::steady_clock::time_point when;
        WebHookCall call;
        bool operator>(const Due& other) const { return when > other.when; }
    };
    void work(const std::stop_token& stop);
    // Takes the next one that is due, waiting for it; nothing when `stop` is requested.
    bool take(const std::stop_token& stop, Due& due);
    void try_one(const std::stop_token& stop, Due due);
    bool deliver(const std::stop_token& stop, const WebHookCall& call) const;

    WebHookOptions options_;
    WebHookLedger ledger_;
    std::mutex mutex_;
    std::condition_variable_any ready_;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> queue_;
    std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace ramet::http
