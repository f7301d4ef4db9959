#include "http/web_hooks.hpp"

#include <curl/curl.h>

#include <memory>

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
    static_cast<void>(list.release());  // it is the tail or the head of `longer`
    list.reset(longer);
}

}  // namespace

WebHooks::WebHooks(WebHookOptions options) : options_(options), thread_([this](const std::stop_token& stop) { work(stop); }) {}

WebHooks::~WebHooks() {
    thread_.request_stop();
    thread_.join();
}

void WebHooks::announce(WebHookCall call) {
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() >= options_.queue_max) {
            telemetry::log_warning("too many web hooks are waiting: that of job {} is dropped", call.job_uuid);
            return;
        }
        queue_.push(Due{std::chrono::steady_clock::now(), 0, std::move(call)});
    }
    ready_.notify_one();
}

void WebHooks::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (queue_.empty()) {
            ready_.wait(lock, stop, [this] { return !queue_.empty(); });
            continue;
        }
        const auto when = queue_.top().when;
        if (when > std::chrono::steady_clock::now()) {
            ready_.wait_until(lock, stop, when, [this, when] { return !queue_.empty() && queue_.top().when < when; });
            continue;
        }
        Due due = queue_.top();
        queue_.pop();
        lock.unlock();
        const bool delivered = deliver(stop, due.call);
        ++due.tries;
        if (!delivered && due.tries >= options_.tries_max)
            telemetry::log_warning("the web hook of job {} was not taken after {} tries", due.call.job_uuid, due.tries);
        lock.lock();
        if (delivered || due.tries >= options_.tries_max) continue;
        due.when = std::chrono::steady_clock::now() + options_.pause;
        queue_.push(std::move(due));
    }
}

bool WebHooks::deliver(const std::stop_token& stop, const WebHookCall& call) const {
    const std::unique_ptr<CURL, CurlDeleter> handle(curl_easy_init());
    if (!handle) return false;
    HeaderList headers;
    append(headers, "Content-Type: application/json;charset=UTF-8");
    append(headers, "X-Job-UUID: " + call.job_uuid);
    append(headers, std::string("X-Job-Success: ") + (call.success ? "true" : "false"));
    append(headers, "Expect:");
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
    if (curl_easy_perform(curl) != CURLE_OK) return false;
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

}  // namespace ramet::http
