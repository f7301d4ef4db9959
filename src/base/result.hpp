// Result and Error: expected failures are values, exceptions mean a bug.
// Errors carry two texts: `message` for the caller (no path, query or host name in it) and `detail` for the operator's log.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>

namespace ramet {

// One enumerator per meaning a caller can tell apart. http/error_table.cpp maps each to its HTTP status and API code, nowhere else.
enum class ErrorCode : std::uint8_t {
    internal,          // a bug or a broken machine
    malformed,         // the request is not readable: HTTP 400, plain text
    invalid_argument,  // a readable request with a value that cannot be
    not_found,         // a uuid that names nothing the caller may see
    operation_failed,  // the operation cannot be done; most business errors
    wrong_state,       // the resource's state does not allow it
    bad_credentials,   // account name or password
    session_invalid,   // no such session, or expired
    denied,            // the caller may not do this
    not_owner,         // the resource belongs to another account
    quota_exceeded,
    too_many_sessions,
    rate_limited,
    conflict,  // a unique value is taken
    duplicate_tag,
    no_host,       // no host can take the VM
    storage_full,  // no primary storage can take the volume
    no_address,    // no free IP, or the wanted one is taken
    mac_taken,
    start_failed,
    stop_failed,
    reboot_failed,
    destroy_failed,
    pause_failed,
    resume_failed,
    attach_volume_failed,
    detach_volume_failed,
    image_failed,  // an image cannot be fetched or is not an image
    bad_query,     // unknown field in a query
    timeout,
    cancelled,
    unsupported,
    overloaded,  // a bounded queue is full
};

struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;                 // for the caller: what is wrong and what to do
    std::string detail;                  // for the operator's log: paths, errno, commands
    std::shared_ptr<const Error> cause;  // an inner error that clients tell apart, such as wrong_state inside start_failed
    std::string subject;                 // names the entry a batch error belongs to, such as the clone's name; may be empty
};

// A class of our own because a dropped std::expected compiles without a word.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
    // A braced or plain Error converts to a failed Result, so that functions can `return Error{...};`.
    Result(Error error) : std::expected<T, Error>(std::unexpected<Error>(std::move(error))) {}
};

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string detail = {}) {
    return std::unexpected<Error>(Error{code, std::move(message), std::move(detail), nullptr, {}});
}

// Adds what we were doing, outermost first; the code and the cause stay.
inline std::unexpected<Error> failed(const std::string& doing, Error error) {
    error.message = doing + ": " + error.message;
    if (!error.detail.empty()) error.detail = doing + ": " + error.detail;
    return std::unexpected<Error>(std::move(error));
}

// Wraps `inner` as the cause of an error of another code; the outer message repeats the inner one, as clients show only the outer.
inline std::unexpected<Error> caused(ErrorCode code, const std::string& doing, Error inner) {
    Error outer{code, doing + ": " + inner.message, inner.detail, nullptr, inner.subject};
    outer.cause = std::make_shared<const Error>(std::move(inner));
    return std::unexpected<Error>(std::move(outer));
}

}  // namespace ramet

// TRY(expression): returns the error to the caller, drops the value. TRY_ASSIGN(auto name, expression): keeps the value.
#define RAMET_JOIN_(a, b) a##b
#define RAMET_JOIN(a, b) RAMET_JOIN_(a, b)
#define TRY(expression) RAMET_TRY(RAMET_JOIN(try_result_, __COUNTER__), expression)
#define RAMET_TRY(result, expression)                                                                                           \
    do {                                                                                                                        \
        if (auto result = (expression); !result.has_value()) return std::unexpected<::ramet::Error>(std::move(result.error())); \
    } while (false)
#define TRY_ASSIGN(target, expression) RAMET_TRY_ASSIGN(RAMET_JOIN(try_assign_, __COUNTER__), target, expression)
#define RAMET_TRY_ASSIGN(holder, target, expression)                                            \
    auto holder = (expression);                                                                 \
    if (!holder.has_value()) return std::unexpected<::ramet::Error>(std::move(holder.error())); \
    target = std::move(*holder)
