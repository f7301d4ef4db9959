// What an API message is: one MessageInfo per call. Parsing, validation, JSON, OpenAPI, the explorer's page, the CLI's help and the mock
// all read it; nothing about a call is described twice. Contract: ZStack's REST conventions (base /zstack/v1).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/describe.hpp"

namespace ramet::api {

enum class Method : std::uint8_t { get, post, put, del };
enum class Completion : std::uint8_t { sync, async };
enum class Access : std::uint8_t { open, session, admin };  // open: no session; admin: account type SystemAdmin

struct Change {
    std::string_view version;
    std::string_view what;
};

struct MessageInfo {
    std::string_view name;      // "CloneVmInstance"
    std::string_view category;  // breadcrumb: "Resource Center/Resource Pool/VM Instance Operations"
    Method method = Method::get;
    std::string_view path;      // below /zstack/v1: "/vm-instances/{vmInstanceUuid}/actions"
    std::string_view body_key;  // "cloneVmInstance", "params", "null", or "" (no body)
    Completion completion = Completion::sync;
    Access access = Access::session;
    std::string_view doc;
    std::string_view since = "0.6";
    std::string_view reply_key;            // "inventory", "inventories", "result", "" ({}), "*" (every field of the reply beside success:true)
    DescribeFunction request = nullptr;    // null for queries
    DescribeFunction reply = nullptr;      // the type under reply_key (or the whole for "*"); null when the reply is {}
    DescribeFunction query_row = nullptr;  // set for queries: GET path and GET path/{uuid}
    std::string_view request_example;      // JSON of the object under body_key
    std::string_view response_example;     // JSON of the whole 200 body
    std::string_view reply_media = "application/json";  // of a 200
    std::span<const Change> history{};
    // Where the resource acted on stands: the request's path field whose owner is checked (may be empty).
    std::shared_ptr<void> (*make)() = nullptr;  // a new, empty request struct
};

template <class Request>
std::shared_ptr<void> make_request() {
    return std::make_shared<Request>();
}

// Every message, in the order of the explorer. Each api/messages_*.cpp contributes one list.
std::vector<const MessageInfo*> all_messages();
const MessageInfo* find_message(std::string_view name);

// The MessageInfo of a request struct: specialised beside the struct (`template <> const MessageInfo& message<CloneVmInstance>();`).
template <class Request>
const MessageInfo& message();

}  // namespace ramet::api

// In namespace ramet: what describes a request struct of namespace api is specialised in its messages_*.cpp.
#define RAMET_DECLARE_MESSAGE(Request)                    \
    template <> const TypeInfo& describe<api::Request>(); \
    namespace api {                                       \
    template <> const MessageInfo& message<Request>();    \
    }
