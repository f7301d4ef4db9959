#include "api_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "base/id.hpp"
#include "event_stream.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr std::string_view kBase = "/zstack/v1";
constexpr long kConnectSeconds = 10;
constexpr long kAnswerSeconds = 120;
constexpr std::size_t kReplyBytesMax = 256U << 20U;
constexpr std::chrono::milliseconds kPollPauseMin{20}, kPollPauseMax{1000};
constexpr std::chrono::milliseconds kShowAfter{100};
constexpr long kSilenceSeconds = 60;  // the server speaks every 15

std::string sha512_hex(const std::string& clear) {
    std::array<unsigned char, crypto_hash_sha512_BYTES> hash{};
    crypto_hash_sha512(hash.data(), reinterpret_cast<const unsigned char*>(clear.data()), clear.size());
    std::string text(hash.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), hash.data(), hash.size());
    text.pop_back();
    return text;
}

std::filesystem::path session_file() {
    const char* config = std::getenv("XDG_CONFIG_HOME");
    const char* home = std::getenv("HOME");
    const std::filesystem::path base =
        config != nullptr && *config != '\0' ? std::filesystem::path(config) : std::filesystem::path(home != nullptr ? home : "/") / ".config";
    return base / "ramet" / "login.json";
}

std::size_t append_body(char* data, std::size_t size, std::size_t count, void* target) {
    auto& body = *static_cast<std::string*>(target);
    if (body.size() + size * count > kReplyBytesMax) return 0;
    body.append(data, size * count);
    return size * count;
}

std::string text_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string{};
}

Error error_of(const HttpReply& reply) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(reply.body, failed);
    if (!failed && parsed.is_object() && parsed.as_object().contains("error") && parsed.at("error").is_object()) {
        const json::object& error = parsed.at("error").as_object();
        const std::string code = text_of(error, "code");
        std::string details = text_of(error, "details");
        if (details.empty()) details = text_of(error, "description");
        return Error{code == "ID.1001" ? ErrorCode::session_invalid : ErrorCode::operation_failed, "error " + code + ": " + details, {}, nullptr, {}};
    }
    return Error{
        ErrorCode::operation_failed, fmt::format("the server answered HTTP {}: {}", reply.status, reply.body.substr(0, 500)), {}, nullptr, {}};
}

Result<json::object> object_of(const HttpReply& reply) {
    boost::system::error_code failed;
    json::value parsed = json::parse(reply.body, failed);
    if (failed || !parsed.is_object()) return fail(ErrorCode::operation_failed, "the server's answer is no JSON object; is --server right?");
    return std::move(parsed.as_object());
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
    load_session();
}
ApiClient::~ApiClient() = default;

void ApiClient::load_session() {
    std::ifstream file(session_file());
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    boost::system::error_code failed;
    const json::value saved = json::parse(text, failed);
    if (failed || !saved.is_object()) return;
    const json::value* entry = saved.as_object().if_contains(connection_.server + " " + connection_.account);
    if (entry != nullptr && entry->is_string()) session_ = entry->as_string();
}

Result<void> ApiClient::save_session() const {
    const std::filesystem::path path = session_file();
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    json::object all;
    {
        std::ifstream file(path);
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        boost::system::error_code failed;
        json::value saved = json::parse(text, failed);
        if (!failed && saved.is_object()) all = std::move(saved.as_object());
    }
    all[connection_.server + " " + connection_.account] = session_;
    const std::string partial = path.string() + ".partial";
    const mode_t before = ::umask(0077);
    std::ofstream(partial) << json::serialize(all) << '\n';
    ::umask(before);
    std::filesystem::rename(partial, path, error);
    if (error) return fail(ErrorCode::operation_failed, "the login cannot be saved in " + path.string() + ": " + error.message());
    return {};
}

Result<HttpReply> ApiClient::send(const std::string& method, const std::string& url, const std::string& body, bool with_session) {
    CURL* handle = curl_->handle;
    curl_easy_reset(handle);
    HttpReply reply;
    std::string answer;
    curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json;charset=UTF-8");
    headers = curl_slist_append(headers, "Expect:");
    if (method != "GET") headers = curl_slist_append(headers, "Prefer: respond-async");
    const std::string authorization = "Authorization: OAuth " + session_;
    if (with_session) headers = curl_slist_append(headers, authorization.c_str());
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT, kAnswerSeconds);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &append_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
    if (!body.empty()) {
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.c_str());
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    }
    const CURLcode code = curl_easy_perform(handle);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return fail(ErrorCode::operation_failed,
                    fmt::format("cannot talk to {}: {}; is rametd running there?", connection_.server, curl_easy_strerror(code)));
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &reply.status);
    reply.body = std::move(answer);
    return reply;
}

Result<void> ApiClient::log_in(const std::string& clear_password) {
    const json::object body{{"logInByAccount", {{"accountName", connection_.account}, {"password", sha512_hex(clear_password)}}}};
    TRY_ASSIGN(const HttpReply reply, send("PUT", connection_.server + std::string(kBase) + "/accounts/login", json::serialize(body), false));
    if (reply.status != 200) return error_of(reply);
    TRY_ASSIGN(const json::object answer, object_of(reply));
    const json::value* inventory = answer.if_contains("inventory");
    if (inventory == nullptr || !inventory->is_object()) return fail(ErrorCode::operation_failed, "the server's login answer has no session");
    session_ = text_of(inventory->as_object(), "uuid");
    return save_session();
}

Result<json::object> ApiClient::get(const std::string& path) { return request("GET", path, {}, true); }

Result<json::object> ApiClient::call(const std::string& method, const std::string& path, const json::object& body) {
    return request(method, path, body.empty() ? std::string{} : json::serialize(body), true);
}

Result<json::object> ApiClient::request(const std::string& method, const std::string& path, const std::string& body, bool may_log_in) {
    if (session_.empty() && may_log_in) {
        if (!connection_.password) return fail(ErrorCode::session_invalid, "not logged in; run `ramet login`, or set RAMET_PASSWORD");
        TRY(log_in(*connection_.password));
    }
    TRY_ASSIGN(const HttpReply reply, send(method, connection_.server + std::string(kBase) + path, body, true));
    Result<json::object> answer = json::object{};
    if (reply.status == 202) {
        TRY_ASSIGN(const json::object accepted, object_of(reply));
        answer = await(text_of(accepted, "location"));
    } else if (reply.status == 200) {
        answer = object_of(reply);
    } else {
        answer = error_of(reply);
    }
    if (answer.has_value() || answer.error().code != ErrorCode::session_invalid || !may_log_in) return answer;
    if (!connection_.password) return fail(ErrorCode::session_invalid, "the login has expired; run `ramet login`, or set RAMET_PASSWORD");
    TRY(log_in(*connection_.password));
    return request(method, path, body, false);
}

namespace {

std::size_t feed(char* data, std::size_t size, std::size_t count, void* reader) {
    return static_cast<EventReader*>(reader)->take({data, size * count}) ? size * count : 0;
}

}  // namespace

Result<void> ApiClient::events(const std::string& path, const std::function<void(const std::string&, const std::string&)>& listener) {
    if (session_.empty()) {
        if (!connection_.password) return fail(ErrorCode::session_invalid, "not logged in; run `ramet login`, or set RAMET_PASSWORD");
        TRY(log_in(*connection_.password));
    }
    Curl curl;
    EventReader reader(listener);
    curl_slist* headers = curl_slist_append(nullptr, ("Authorization: OAuth " + session_).c_str());
    headers = curl_slist_append(headers, "Accept: text/event-stream");
    curl_easy_setopt(curl.handle, CURLOPT_URL, (connection_.server + std::string(kBase) + path).c_str());
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

Result<json::object> ApiClient::await(const std::string& location) {
    last_job_ = location.substr(location.rfind('/') + 1);
    const std::string url =
        connection_.server + std::string(kBase) + "/api-jobs/" + last_job_;  // the address we reached, whatever the server calls itself
    std::chrono::milliseconds pause = kPollPauseMin;
    for (;;) {
        TRY_ASSIGN(const HttpReply reply, send("GET", url, {}, true));
        if (reply.status != 202) {
            if (reply.status == 200) return object_of(reply);
            return error_of(reply);
        }
        std::this_thread::sleep_for(pause);
        if (show_ && pause >= kShowAfter) std::exchange(show_, nullptr)(*this, last_job_);
        pause = std::min(pause * 3 / 2, kPollPauseMax);
    }
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
    if (is_uuid_text(name_or_uuid)) return name_or_uuid;
    TRY_ASSIGN(const json::array rows, query(path, {"name=" + name_or_uuid}));
    if (rows.empty()) return fail(ErrorCode::not_found, fmt::format("there is no {} named '{}'; see `ramet {} list`", kind, name_or_uuid, kind));
    if (rows.size() == 1) return text_of(rows.front().as_object(), "uuid");
    std::string uuids;
    for (const json::value& row : rows) uuids += "\n  " + text_of(row.as_object(), "uuid");
    return fail(ErrorCode::invalid_argument,
                fmt::format("'{}' is the name of {} resources; give one of their uuids:{}", name_or_uuid, rows.size(), uuids));
}

}  // namespace ramet::cli
