// OpenAPI 3.1 made from the message list. Beside the standard members every operation carries `x-ramet`, which the explorer reads:
//   {"name","category","since","synchronous","authRequired","adminOnly","bodyKey","curl","requestExample","responseExample",
//    "history":[{"version","what"}],"pathParameters":[{"name","type","required","doc"}],
//    "bodyFields":[{"name","type","required","doc","default","example","values","since"}]}
// Several calls share one path and method and differ in the body's key; each has a path of its own here, told apart by a fragment
// that is never sent: "/vm-instances/{uuid}/actions#startVmInstance". A query has two operations, the list and GET path/{uuid}; the
// second one's x-ramet also carries "byUuid":true.
#pragma once

#include <span>
#include <string>

#include "api/message.hpp"

namespace ramet::api {

std::string openapi_document(const std::string& server_version);  // of all_messages()
std::string openapi_document(const std::string& server_version, std::span<const MessageInfo* const> messages);

}  // namespace ramet::api
