#include <array>

#include "api/json.hpp"

namespace ramet::api {

namespace {

struct WireCode {
    ErrorCode meaning;
    std::string_view code;
    std::string_view description;
};

// The published codes (contract 8); the descriptions are our own words.
constexpr std::array kWireCodes{
    WireCode{ErrorCode::internal, "SYS.1000", "An internal fault of the server"},
    WireCode{ErrorCode::malformed, "SYS.1007", "The request cannot be read"},
    WireCode{ErrorCode::invalid_argument, "SYS.1007", "One or more arguments are not valid"},
    WireCode{ErrorCode::not_found, "SYS.1003", "The resource does not exist"},
    WireCode{ErrorCode::operation_failed, "SYS.1006", "The operation failed"},
    WireCode{ErrorCode::wrong_state, "VM.1010", "The VM's state does not allow the operation"},
    WireCode{ErrorCode::bad_credentials, "ID.1000", "The account name or the password is wrong"},
    WireCode{ErrorCode::session_invalid, "ID.1001", "The session does not exist or has expired"},
    WireCode{ErrorCode::denied, "ID.1002", "The account may not do this"},
    WireCode{ErrorCode::not_owner, "SYS.1006", "The operation failed"},
    WireCode{ErrorCode::quota_exceeded, "ID.1003", "A quota of the account would be exceeded"},
    WireCode{ErrorCode::too_many_sessions, "ID.1006", "The account has too many sessions"},
    WireCode{ErrorCode::rate_limited, "SYS.1006", "Too many attempts in a short time"},
    WireCode{ErrorCode::conflict, "SYS.1006", "The operation failed"},
    WireCode{ErrorCode::duplicate_tag, "TAG.1000", "The tag exists already"},
    WireCode{ErrorCode::no_host, "HOST_ALLOCATION.1000", "No host can take the VM"},
    WireCode{ErrorCode::storage_full, "PS.1000", "No primary storage can take the volume"},
    WireCode{ErrorCode::no_address, "L3.1000", "No IP address can be given"},
    WireCode{ErrorCode::mac_taken, "VM.1009", "No MAC address can be given"},
    WireCode{ErrorCode::start_failed, "VM.1001", "The VM could not be started"},
    WireCode{ErrorCode::stop_failed, "VM.1002", "The VM could not be stopped"},
    WireCode{ErrorCode::reboot_failed, "VM.1003", "The VM could not be rebooted"},
    WireCode{ErrorCode::destroy_failed, "VM.1004", "The VM could not be destroyed"},
    WireCode{ErrorCode::pause_failed, "VM.1012", "The VM could not be paused"},
    WireCode{ErrorCode::resume_failed, "VM.1013", "The VM could not be resumed"},
    WireCode{ErrorCode::attach_volume_failed, "VM.1005", "The volume could not be attached"},
    WireCode{ErrorCode::detach_volume_failed, "VM.1006", "The volume could not be detached"},
    WireCode{ErrorCode::image_failed, "BS.1000", "The image could not be fetched"},
    WireCode{ErrorCode::bad_query, "SYS.1000", "The query asks for what does not exist"},
    WireCode{ErrorCode::timeout, "SYS.1001", "The operation took too long"},
    WireCode{ErrorCode::cancelled, "SYS.1017", "The operation was cancelled"},
    WireCode{ErrorCode::unsupported, "SYS.1014", "The operation is not supported here"},
    WireCode{ErrorCode::overloaded, "SYS.1010", "The server is too busy or not ready"},
};
static_assert(kWireCodes.size() == static_cast<std::size_t>(ErrorCode::overloaded) + 1, "every ErrorCode has a wire code");

const WireCode& wire_code(ErrorCode code) { return kWireCodes.at(static_cast<std::size_t>(code)); }

constexpr bool table_follows_the_enumeration() {
    for (std::size_t i = 0; i < kWireCodes.size(); ++i)
        if (static_cast<std::size_t>(kWireCodes[i].meaning) != i) return false;
    return true;
}
static_assert(table_follows_the_enumeration());

void append_error(std::string& out, const Error& error) {
    out += "{\"code\":";
    append_json_string(out, api_code(error.code));
    out += ",\"description\":";
    append_json_string(out, api_description(error.code));
    out += ",\"details\":";
    append_json_string(out, error.message);
    if (error.cause) {
        out += ",\"cause\":";
        append_error(out, *error.cause);
    }
    if (!error.subject.empty()) {
        out += ",\"opaque\":{\"name\":";
        append_json_string(out, error.subject);
        out += '}';
    }
    out += '}';
}

}  // namespace

std::string_view api_code(ErrorCode code) { return wire_code(code).code; }
std::string_view api_description(ErrorCode code) { return wire_code(code).description; }

std::string error_object(const Error& error) {
    std::string out;
    append_error(out, error);
    return out;
}

std::string error_body(const Error& error) { return "{\"error\":" + error_object(error) + "}"; }

}  // namespace ramet::api
