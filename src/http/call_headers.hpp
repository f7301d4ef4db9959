// What the headers of an API call ask for (contract 1.6): who calls, how the answer is to come, which mode. Failures are malformed.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/id.hpp"
#include "http/exchange.hpp"

namespace ramet::http {

struct CallHeaders {
    std::optional<JobId> job;               // X-Job-UUID
    std::optional<std::string> web_hook;    // X-Web-Hook
    std::optional<std::string> key;         // Idempotency-Key
    std::chrono::milliseconds patience{0};  // how long an asynchronous call may be held; 0: 202 at once
    bool schema = false;                    // X-JSON-Schema
    bool mock = false;                      // X-Ramet-Mode: mock
};

// `patience_max` is what a plain request is held for.
Result<CallHeaders> read_call_headers(const Request& request, std::chrono::milliseconds patience_max);

// X-API-Timeout in milliseconds, which the client gives in seconds; nothing when it is absent or no such number.
std::optional<std::chrono::milliseconds> api_timeout_of(const Request& request);

// The session uuid of `Authorization: OAuth <uuid>`.
Result<std::string> read_session_uuid(const Request& request);

}  // namespace ramet::http
