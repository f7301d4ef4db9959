#include "http/call_headers.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace ramet::http {

namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// RFC 7240, for the two preferences that mean something here. What is not understood is no error there.
void read_preference(std::string_view preference, bool& respond_async, std::optional<std::chrono::seconds>& wait) {
    preference = trimmed(preference.substr(0, preference.find(';')));
    if (equal_ignoring_case(preference, "respond-async")) respond_async = true;
    const std::size_t equals = preference.find('=');
    if (equals == std::string_view::npos || !equal_ignoring_case(trimmed(preference.substr(0, equals)), "wait")) return;
    std::string_view digits = trimmed(preference.substr(equals + 1));
    if (digits.size() > 1 && digits.front() == '"' && digits.back() == '"') digits = digits.substr(1, digits.size() - 2);
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error == std::errc() && end == digits.data() + digits.size()) wait = std::chrono::seconds(seconds);
}

std::chrono::milliseconds patience_of(const Request& request, bool told_later, std::chrono::milliseconds patience_max) {
    bool respond_async = told_later;
    std::optional<std::chrono::seconds> wait;
    for (const auto& [name, value] : request.headers) {
        if (!equal_ignoring_case(name, "Prefer")) continue;
        for (std::string_view rest = value; !rest.empty();) {
            const std::string_view preference = rest.substr(0, rest.find(','));
            read_preference(preference, respond_async, wait);
            rest.remove_prefix(std::min(preference.size() + 1, rest.size()));
        }
    }
    if (wait) return std::min<std::chrono::milliseconds>(*wait, patience_max);
    return respond_async ? std::chrono::milliseconds(0) : patience_max;
}

Result<JobId> read_job_uuid(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
    if (!is_uuid_text(text)) return fail(ErrorCode::malformed, "the header X-Job-UUID must be a uuid of 32 hex digits without dashes");
    return JobId::trusted(std::move(text));
}

bool is_web_url(std::string_view url) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (url.size() > scheme.size() && equal_ignoring_case(url.substr(0, scheme.size()), scheme)) return true;
    }
    return false;
}

bool is_key(std::string_view text) {
    constexpr std::size_t kKeyCharactersMax = 255;
    return !text.empty() && text.size() <= kKeyCharactersMax && std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

Result<CallHeaders> read_call_headers(const Request& request, std::chrono::milliseconds patience_max) {
    CallHeaders out;
    if (const std::string* const job = request.header("X-Job-UUID")) { TRY_ASSIGN(out.job, read_job_uuid(*job)); }
    if (const std::string* const hook = request.header("X-Web-Hook")) {
        constexpr std::size_t kUrlCharactersMax = 2048;
        if (!is_web_url(*hook) || hook->size() > kUrlCharactersMax)
            return fail(ErrorCode::malformed, "the header X-Web-Hook must be an http or https URL");
        out.web_hook = *hook;
    }
    if (const std::string* const key = request.header("Idempotency-Key")) {
        const std::string_view text = trimmed(*key);
        if (!is_key(text)) return fail(ErrorCode::malformed, "the header Idempotency-Key must have 1 to 255 printable ASCII characters");
        out.key = std::string(text);
    }
    if (const std::string* const mode = request.header("X-Ramet-Mode")) {
        out.mock = equal_ignoring_case(*mode, "mock");
        if (!out.mock && !equal_ignoring_case(*mode, "real")) return fail(ErrorCode::malformed, "the header X-Ramet-Mode must be 'mock' or 'real'");
    }
    if (request.header("X-API-Timeout") != nullptr && !api_timeout_of(request))
        return fail(ErrorCode::malformed, "the header X-API-Timeout must be a whole number of seconds from 1");
    out.schema = request.header("X-JSON-Schema") != nullptr;
    out.patience = patience_of(request, out.job || out.web_hook, patience_max);
    return out;
}

std::optional<std::chrono::milliseconds> api_timeout_of(const Request& request) {
    const std::string* const header = request.header("X-API-Timeout");
    if (header == nullptr) return std::nullopt;
    const std::string_view digits = trimmed(*header);
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error != std::errc() || end != digits.data() + digits.size() || seconds == 0) return std::nullopt;
    return std::chrono::seconds(seconds);
}

Result<std::string> read_session_uuid(const Request& request) {
    const std::string* const header = request.header("Authorization");
    if (header == nullptr)
        return fail(ErrorCode::malformed, "the header Authorization is missing; log in and send 'Authorization: OAuth <session uuid>'");
    const std::string_view credentials = trimmed(*header);
    const std::size_t space = credentials.find(' ');
    const std::string_view scheme = credentials.substr(0, space);
    const std::string_view value = space == std::string_view::npos ? std::string_view() : trimmed(credentials.substr(space));
    if (equal_ignoring_case(scheme, "ZStack"))
        return fail(ErrorCode::malformed, "access keys are not enabled; log in and send 'Authorization: OAuth <session uuid>'");
    if (!equal_ignoring_case(scheme, "OAuth") || value.empty())
        return fail(ErrorCode::malformed, "the header Authorization must be 'OAuth <session uuid>'");
    return std::string(value);
}

}  // namespace ramet::http
