#include "http_reply.hpp"

#include <fmt/format.h>

#include <optional>

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr std::size_t kShownBytesMax = 500;
constexpr std::size_t kDepthMax = 1000;  // each of a line of 128 snapshots is two levels below the one before

std::optional<json::object> error_in(const HttpReply& reply) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(reply.body, failed);
    if (failed || !parsed.is_object()) return std::nullopt;
    const json::value* error = parsed.as_object().if_contains("error");
    if (error == nullptr || !error->is_object()) return std::nullopt;
    return error->as_object();
}

std::string trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return std::string(text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin));
}

}  // namespace

std::string text_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string{};
}

Error error_of(const HttpReply& reply) {
    if (const std::optional<json::object> error = error_in(reply)) {
        const std::string code = text_of(*error, "code");
        std::string details = text_of(*error, "details");
        if (details.empty()) details = text_of(*error, "description");
        return Error{code == "ID.1001" ? ErrorCode::session_invalid : ErrorCode::operation_failed, "error " + code + ": " + details, {}, nullptr, {}};
    }
    const std::string text = trimmed(std::string_view(reply.body).substr(0, kShownBytesMax));
    std::string message;
    if (text.empty())
        message = fmt::format("the server answered HTTP {} without a word; is --server right?", reply.status);
    else if (reply.status == 400)
        message = "the server refuses the call: " + text;
    else
        message = fmt::format("the server answered HTTP {}: {}", reply.status, text);
    return Error{ErrorCode::operation_failed, std::move(message), {}, nullptr, {}};
}

Result<json::object> object_of(const HttpReply& reply) {
    json::parse_options options;
    options.max_depth = kDepthMax;
    boost::system::error_code failed;
    json::value parsed = json::parse(reply.body, failed, {}, options);
    if (failed || !parsed.is_object()) return fail(ErrorCode::operation_failed, "the server's answer is no JSON object; is --server right?");
    return std::move(parsed.as_object());
}

bool is_nobody_there(const HttpReply& reply) { return (reply.status == 502 || reply.status == 503 || reply.status == 504) && !error_in(reply); }

}  // namespace ramet::cli
