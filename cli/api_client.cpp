#include "api_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "base/id.hpp"
#include "event_stream.hpp"
#include "interrupt.hpp"
#include "saved_login.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr std::string_view kBase = "/zstack/v1";
constexpr long kConnectSeconds = 10;
constexpr long kAnswerSeconds = 120;
constexpr std::size_t kReplyBytesMax = 256U << 20U;
constexpr std::chrono::milliseconds kPollPauseMin{20}, kPollPauseMax{1000};
constexpr std::chrono::milliseconds kShowAfter{100};
constexpr std::chrono::milliseconds kRetryPause{500};
constexpr long kSilenceSeconds = 60;  // the server speaks every 15
constexpr const char* kNotLoggedIn = "not logged in; run `ramet login`, or set RAMET_PASSWORD";
constexpr const char* kLoginExpired = "the login has expired; run `ramet login`, or set RAMET_PASSWORD";

std::string sha512_hex(const std::string& clear) {
    std::array<unsigned char, crypto_hash_sha512_BYTES> hash{};
    crypto_hash_sha512(hash.data(), reinterpret_cast<const unsigned char*>(clear.data()), clear.size());
    std::string text(hash.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), hash.data(), hash.size());
    text.pop_back();
    return text;
}

std::size_t append_body(char* data, std::size_t size, std::size_t count, void* target) {
    auto& body = *static_cast<std::string*>(target);
    if (body.size() + size * count > kReplyBytesMax) return 0;
    body.append(data, size * count);
    return size * count;
}

}  // namespace

struct ApiClient::Curl {
    CURL* handle = curl_easy_init();
    ~Curl() { curl_easy_cleanup(handle); }
};

std::string percent_encode(const std::string& text) {
    std::string out;
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (std::isalnum(byte) != 0 || character == '-' || character == '_' || character == '.' || character == '~')
            out += character;
        else
            out += fmt::format("%{:02X}", byte);
    }
    return out;
}

ApiClient::ApiClient(Connection connection) : connection_(std::move(connection)), curl_(std::make_unique<Curl>()) {
    while (connection_.server.ends_with('/')) connection_.server.pop_back();
    session_ = saved_session(connection_.server, connection_.account);
}
ApiClient::~ApiClient() = default;

std::string ApiClient::url_of(const std::string& path) const { return connection_.server + std::string(kBase) + path; }

// The connection was there: whether the server has got the call is not known.
bool is_lost(CURLcode code) {
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE ||
           code == CURLE_OPERATION_TIMEDOUT;
}

Result<HttpReply> ApiClient::send(const Request& request) {
    CURL* handle = curl_->handle;
    curl_easy_reset(handle);
    HttpReply reply;
    std::string answer;
    curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json;charset=UTF-8");
    headers = curl_slist_append(headers, "Expect:");
    if (request.method != "GET") headers = curl_slist_append(headers, "Prefer: respond-async");
    if (!request.key.empty()) {
        headers = curl_slist_append(headers, ("Idempotency-Key: " + request.key).c_str());
        if (!connection_.web_hook.empty()) headers = curl_slist_append(headers, ("X-Web-Hook: " + connection_.web_hook).c_str());
    }
    if (request.with_session) headers = curl_slist_append(headers, ("Authorization: OAuth " + session_).c_str());
    curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT, kAnswerSeconds);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &append_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
    if (!request.body.empty()) {
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.c_str());
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    }
    const CURLcode code = curl_easy_perform(handle);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return fail(is_lost(code) ? ErrorCode::timeout : ErrorCode::operation_failed,
                    fmt::format("cannot talk to {}: {}; is rametd running there?", connection_.server, curl_easy_strerror(code)));
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &reply.status);
    reply.body = std::move(answer);
    return reply;
}

// Once lost, a call with a key is sent until the server says what became of it; it may be on its way up again. One that never reached a server
// fails at once.
Result<HttpReply> ApiClient::deliver(const Request& request) {
    Result<HttpReply> reply = send(request);
    if (request.key.empty() || reply.has_value() || reply.error().code != ErrorCode::timeout) return reply;
    const auto give_up = std::chrono::steady_clock::now() + connection_.patience;
    while ((!reply.has_value() || is_nobody_there(*reply)) && std::chrono::steady_clock::now() < give_up) {
        std::this_thread::sleep_for(kRetryPause);
        reply = send(request);
    }
    if (!reply.has_value()) reply.error().message += "; whether the server has got the call is not known: see `ramet job list`";
    return reply;
}

Result<void> ApiClient::begin_session(const std::string& clear_password) {
    const json::object body{{"logInByAccount", {{"accountName", connection_.account}, {"password", sha512_hex(clear_password)}}}};
    TRY_ASSIGN(const HttpReply reply, send({"PUT", url_of("/accounts/login"), json::serialize(body), {}, false}));
    if (reply.status != 200) return error_of(reply);
    TRY_ASSIGN(const json::object answer, object_of(reply));
    const json::value* inventory = answer.if_contains("inventory");
    if (inventory == nullptr || !inventory->is_object()) return fail(ErrorCode::operation_failed, "the server's login answer has no session");
    session_ = text_of(inventory->as_object(), "uuid");
    return {};
}

Result<void> ApiClient::log_in(const std::string& clear_password) {
    TRY(begin_session(clear_password));
    return save_session(connection_.server, connection_.account, session_);
}

// A session of the password at hand; saved where it can be, so that the next command need not log in.
Result<void> ApiClient::need_session(const char* without_password) {
    if (!connection_.password) return fail(ErrorCode::session_invalid, without_password);
    TRY(begin_session(*connection_.password));
    (void)save_session(connection_.server, connection_.account, session_);
    return {};
}

Result<json::object> ApiClient::get(const std::string& path) { return perform({"GET", url_of(path), {}}, true); }

// A command that is repeated makes the same calls in the same order.
std::string ApiClient::next_key() {
    if (connection_.key.empty()) return random_uuid_text();
    ++keys_;
    return keys_ == 1 ? connection_.key : fmt::format("{}#{}", connection_.key, keys_);
}

Result<json::object> ApiClient::call(const std::string& method, const std::string& path, const json::object& body) {
    return perform({method, url_of(path), body.empty() ? std::string{} : json::serialize(body), next_key()}, true);
}

Result<json::object> ApiClient::perform(const Request& request, bool may_log_in) {
    if (session_.empty() && may_log_in) TRY(need_session(kNotLoggedIn));
    TRY_ASSIGN(const HttpReply reply, deliver(request));
    if (reply.status == 202) {
        TRY_ASSIGN(const json::object accepted, object_of(reply));
        return await(text_of(accepted, "location"));
    }
    if (reply.status == 200) return object_of(reply);
    Error error = error_of(reply);
    if (error.code != ErrorCode::session_invalid || !may_log_in) return error;
    TRY(need_session(kLoginExpired));
    return perform(request, false);
}

namespace {

std::size_t feed(char* data, std::size_t size, std::size_t count, void* reader) {
    return static_cast<EventReader*>(reader)->take({data, size * count}) ? size * count : 0;
}

}  // namespace

Result<void> ApiClient::events(const std::string& path, const std::function<void(const std::string&, const std::string&)>& listener) {
    if (session_.empty()) TRY(need_session(kNotLoggedIn));
    Curl curl;
    EventReader reader(listener);
    curl_slist* headers = curl_slist_append(nullptr, ("Authorization: OAuth " + session_).c_str());
    headers = curl_slist_append(headers, "Accept: text/event-stream");
    curl_easy_setopt(curl.handle, CURLOPT_URL, url_of(path).c_str());
    curl_easy_setopt(curl.handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl.handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl.handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(curl.handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl.handle, CURLOPT_LOW_SPEED_TIME, kSilenceSeconds);
    curl_easy_setopt(curl.handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.handle, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl.handle, CURLOPT_WRITEFUNCTION, &feed);
    curl_easy_setopt(curl.handle, CURLOPT_WRITEDATA, &reader);
    const CURLcode code = curl_easy_perform(curl.handle);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) return fail(ErrorCode::operation_failed, fmt::format("the events of {} ended: {}", path, curl_easy_strerror(code)));
    return {};
}

// The job goes on while the server is restarted or cut off: only after a while is it left to the user.
Result<HttpReply> ApiClient::ask_about(const std::string& job, const std::string& path) {
    bool may_log_in = connection_.password.has_value();
    for (;;) {
        Result<HttpReply> reply = send({"GET", url_of(path), {}});
        if (reply.has_value() && !is_nobody_there(*reply)) {
            away_since_.reset();
            const bool expired = reply->status != 200 && reply->status != 202 && error_of(*reply).code == ErrorCode::session_invalid;
            if (!expired || !may_log_in) return reply;
            TRY(need_session(kLoginExpired));
            may_log_in = false;
            continue;
        }
        const auto now = std::chrono::steady_clock::now();
        if (!away_since_) away_since_ = now;
        if (now - *away_since_ >= connection_.patience) {
            return fail(ErrorCode::operation_failed,
                        fmt::format("the server has been away for {} s: {}; {}", connection_.patience.count(),
                                    reply.has_value() ? error_of(*reply).message : reply.error().message, job_goes_on(job)));
        }
        std::this_thread::sleep_for(kRetryPause);
    }
}

Result<json::object> ApiClient::await(const std::string& location) {
    const std::string job = location.substr(location.rfind('/') + 1);  // asked for where we reached the server, whatever it calls itself
    const InterruptNote note(job);
    if (tell_) tell_(job);
    std::chrono::milliseconds pause = kPollPauseMin;
    for (;;) {
        TRY_ASSIGN(const HttpReply reply, ask_about(job, "/api-jobs/" + job));
        if (reply.status == 200) return object_of(reply);
        if (reply.status != 202) return error_of(reply);
        std::this_thread::sleep_for(pause);
        if (show_ && pause >= kShowAfter) std::exchange(show_, nullptr)(*this, job);
        pause = std::min(pause * 3 / 2, kPollPauseMax);
    }
}

Result<json::object> ApiClient::job(const std::string& uuid) {
    if (session_.empty()) TRY(need_session(kNotLoggedIn));
    TRY_ASSIGN(const HttpReply reply, ask_about(uuid, "/jobs/" + uuid));
    if (reply.status != 200) return error_of(reply);
    return object_of(reply);
}

Result<json::array> ApiClient::query(const std::string& path, const std::vector<std::string>& conditions) {
    std::string target = path;
    for (const std::string& condition : conditions) target += (target.find('?') == std::string::npos ? "?q=" : "&q=") + percent_encode(condition);
    TRY_ASSIGN(json::object answer, get(target));
    json::value* rows = answer.if_contains("inventories");
    if (rows == nullptr || !rows->is_array()) return fail(ErrorCode::operation_failed, "the server's answer has no inventories");
    return std::move(rows->as_array());
}

Result<std::string> ApiClient::resolve(const std::string& path, const std::string& kind, const std::string& name_or_uuid) {
    const bool by_uuid = is_uuid_text(name_or_uuid);
    TRY_ASSIGN(const json::array rows, query(path, {(by_uuid ? "uuid=" : "name=") + name_or_uuid}));
    if (rows.empty()) {
        const char* which = path.ends_with("/group") ? " --groups" : "";  // of snapshots, of whole VMs
        return fail(ErrorCode::not_found,
                    fmt::format("there is no {} {} '{}'; see `ramet {} list{}`", kind, by_uuid ? "with uuid" : "named", name_or_uuid, kind, which));
    }
    if (rows.size() == 1) return text_of(rows.front().as_object(), "uuid");
    std::string uuids;
    for (const json::value& row : rows) uuids += "\n  " + text_of(row.as_object(), "uuid");
    return fail(ErrorCode::invalid_argument,
                fmt::format("'{}' is the name of {} resources; give one of their uuids:{}", name_or_uuid, rows.size(), uuids));
}

}  // namespace ramet::cli
