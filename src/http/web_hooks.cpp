#include "http/web_hooks.hpp"

#include <curl/curl.h>
#include <sys/socket.h>

#include <memory>
#include <tuple>

#include "storage/address_policy.hpp"
#include "telemetry/log.hpp"

namespace ramet::http {

namespace {

std::size_t discard(char*, std::size_t size, std::size_t count, void*) { return size * count; }

int abort_when_stopping(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

struct CurlDeleter {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct ListDeleter {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

void append(HeaderList& list, const std::string& line) {
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) return;
    std::ignore = list.release();  // it is the tail or the head of `longer`
    list.reset(longer);
}

// What the address filter needs of the call.
struct Gate {
    HookAddresses addresses;
    bool by_admin;
    bool lets_through(const curl_sockaddr& address) const {
        if (storage::is_forbidden_address(&address.addr, address.addrlen)) return false;
        const bool local_too = addresses == HookAddresses::local || (addresses == HookAddresses::guarded && by_admin);
        return local_too || storage::is_public_address(&address.addr, address.addrlen);
    }
};

curl_socket_t open_socket(void* gate, curlsocktype, curl_sockaddr* address) {
    if (!static_cast<const Gate*>(gate)->lets_through(*address)) return CURL_SOCKET_BAD;
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace

WebHooks::WebHooks(WebHookOptions options, WebHookLedger ledger) : options_(options), ledger_(std::move(ledger)) {
    for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

WebHooks::~WebHooks() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
}

void WebHooks::announce(WebHookCall call) {
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() >= options_.queue_max) {
            telemetry::log_warning("too many web hooks are waiting: that of job {} waits for the next start of the server", call.job_uuid);
            return;
        }
        queue_.push(Due{std::chrono::steady_clock::now(), std::move(call)});
    }
    ready_.notify_one();
}

void WebHooks::work(const std::stop_token& stop) {
    Due due;
    while (take(stop, due)) try_one(stop, std::move(due));
}

bool WebHooks::take(const std::stop_token& stop, Due& due) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (queue_.empty()) {
            ready_.wait(lock, stop, [this] { return !queue_.empty(); });
            continue;
        }
        const auto when = queue_.top().when;
        if (when > std::chrono::steady_clock::now()) {
            ready_.wait_until(lock, stop, when, [this, when] { return queue_.empty() || queue_.top().when < when; });
            continue;
        }
        due = queue_.top();
        queue_.pop();
        return true;
    }
    return false;
}

void WebHooks::try_one(const std::stop_token& stop, Due due) {
    const bool delivered = deliver(stop, due.call);
    if (!delivered && stop.stop_requested()) return;  // cut off by the end of the server: not counted
    ++due.call.tries;
    const bool given_up = !delivered && due.call.tries >= options_.tries_max;
    if (given_up) telemetry::log_warning("the web hook of job {} was not taken after {} tries", due.call.job_uuid, due.call.tries);
    if (delivered || given_up) {
        if (ledger_.settled) ledger_.settled(due.call.job_uuid);
        return;
    }
    if (ledger_.tried) ledger_.tried(due.call.job_uuid, due.call.tries);
    due.when = std::chrono::steady_clock::now() + options_.pause;
    {
        const std::lock_guard lock(mutex_);
        queue_.push(std::move(due));
    }
    ready_.notify_one();
}

bool WebHooks::deliver(const std::stop_token& stop, const WebHookCall& call) const {
    const std::unique_ptr<CURL, CurlDeleter> handle(curl_easy_init());
    if (!handle) return false;
    HeaderList headers;
    append(headers, "Content-Type: application/json;charset=UTF-8");
    append(headers, "X-Job-UUID: " + call.job_uuid);
    append(headers, std::string("X-Job-Success: ") + (call.success ? "true" : "false"));
    if (!call.batch.empty()) append(headers, "X-Job-Batch: " + call.batch);
    append(headers, "Expect:");
    Gate gate{options_.addresses, call.by_admin};
    CURL* const curl = handle.get();
    curl_easy_setopt(curl, CURLOPT_URL, call.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.request_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.c_str());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &discard);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &abort_when_stopping);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &stop);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &gate);
    const CURLcode outcome = curl_easy_perform(curl);
    if (outcome != CURLE_OK) {
        telemetry::log_debug("the web hook of job {}: {}", call.job_uuid, curl_easy_strerror(outcome));
        return false;
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

}  // namespace ramet::http
