#include "workflow/step_error.hpp"

namespace ramet::workflow {
namespace {

constexpr int kCauseDepthMax = 8;  // errors nest two or three deep; a damaged row must not exhaust the stack

// Names, not numbers, are stored: the order of the enumerators may change between versions.
constexpr std::string_view code_name(ErrorCode code) {
    switch (code) {
    case ErrorCode::internal: return "internal";
    case ErrorCode::malformed: return "malformed";
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::operation_failed: return "operation_failed";
    case ErrorCode::wrong_state: return "wrong_state";
    case ErrorCode::bad_credentials: return "bad_credentials";
    case ErrorCode::session_invalid: return "session_invalid";
    case ErrorCode::denied: return "denied";
    case ErrorCode::not_owner: return "not_owner";
    case ErrorCode::quota_exceeded: return "quota_exceeded";
    case ErrorCode::too_many_sessions: return "too_many_sessions";
    case ErrorCode::rate_limited: return "rate_limited";
    case ErrorCode::conflict: return "conflict";
    case ErrorCode::duplicate_tag: return "duplicate_tag";
    case ErrorCode::no_host: return "no_host";
    case ErrorCode::storage_full: return "storage_full";
    case ErrorCode::no_address: return "no_address";
    case ErrorCode::mac_taken: return "mac_taken";
    case ErrorCode::start_failed: return "start_failed";
    case ErrorCode::stop_failed: return "stop_failed";
    case ErrorCode::reboot_failed: return "reboot_failed";
    case ErrorCode::destroy_failed: return "destroy_failed";
    case ErrorCode::pause_failed: return "pause_failed";
    case ErrorCode::resume_failed: return "resume_failed";
    case ErrorCode::attach_volume_failed: return "attach_volume_failed";
    case ErrorCode::detach_volume_failed: return "detach_volume_failed";
    case ErrorCode::image_failed: return "image_failed";
    case ErrorCode::bad_query: return "bad_query";
    case ErrorCode::timeout: return "timeout";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::overloaded: return "overloaded";
    }
    return "internal";
}

ErrorCode code_from(std::string_view name) {
    for (int number = 0; number <= static_cast<int>(ErrorCode::overloaded); ++number) {
        if (code_name(static_cast<ErrorCode>(number)) == name) return static_cast<ErrorCode>(number);
    }
    return ErrorCode::internal;  // written by a version that knew more codes
}

void append_text(std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += '"';
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (character == '"' || character == '\\') {
            out += '\\';
            out += character;
        } else if (byte < 0x20) {
            out += "\\u00";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        } else {
            out += character;
        }
    }
    out += '"';
}

void append_error(std::string& out, const Error& error, int depth) {
    out += "{\"code\":";
    append_text(out, code_name(error.code));
    out += ",\"message\":";
    append_text(out, error.message);
    const auto optional = [&out](std::string_view name, const std::string& text) {
        if (text.empty()) return;
        out += ',';
        append_text(out, name);
        out += ':';
        append_text(out, text);
    };
    optional("detail", error.detail);
    optional("subject", error.subject);
    if (error.cause != nullptr && depth < kCauseDepthMax) {
        out += ",\"cause\":";
        append_error(out, *error.cause, depth + 1);
    }
    out += '}';
}

// Reads exactly what append_error writes.
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    bool read(Error& error, int depth) {
        if (depth > kCauseDepthMax || !take('{')) return false;
        do {
            std::string name;
            if (!read_text(name) || !take(':')) return false;
            if (name == "cause") {
                Error cause;
                if (!read(cause, depth + 1)) return false;
                error.cause = std::make_shared<const Error>(std::move(cause));
                continue;
            }
            std::string value;
            if (!read_text(value)) return false;
            if (name == "code") error.code = code_from(value);
            if (name == "message")
                error.message = std::move(value);
            else if (name == "detail")
                error.detail = std::move(value);
            else if (name == "subject")
                error.subject = std::move(value);
        } while (take(','));
        return take('}');
    }
    bool at_end() const { return position_ == text_.size(); }

private:
    bool take(char wanted) {
        if (at_end() || text_[position_] != wanted) return false;
        ++position_;
        return true;
    }
    bool read_text(std::string& out) {
        if (!take('"')) return false;
        while (!at_end()) {
            const char character = text_[position_++];
            if (character == '"') return true;
            if (character != '\\')
                out += character;
            else if (!read_escape(out))
                return false;
        }
        return false;
    }
    bool read_escape(std::string& out) {
        if (at_end()) return false;
        const char kind = text_[position_++];
        if (kind != 'u') {
            out += kind;
            return kind == '"' || kind == '\\';
        }
        int value = 0;
        for (int digit = 0; digit < 4; ++digit) {
            if (at_end()) return false;
            const char hex = text_[position_++];
            if (hex >= '0' && hex <= '9')
                value = value * 16 + (hex - '0');
            else if (hex >= 'a' && hex <= 'f')
                value = value * 16 + (hex - 'a' + 10);
            else
                return false;
        }
        out += static_cast<char>(value);
        return value < 0x20;
    }

    std::string_view text_;
    std::size_t position_ = 0;
};

}  // namespace

std::string error_to_text(const Error& error) {
    std::string out;
    append_error(out, error, 0);
    return out;
}

std::optional<Error> error_from_text(std::string_view text) {
    Reader reader(text);
    Error error;
    if (!reader.read(error, 0) || !reader.at_end()) return std::nullopt;
    return error;
}

}  // namespace ramet::workflow
