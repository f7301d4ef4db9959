// OpenAPI 3.1 made from the message list. Beside the standard members every operation carries `x-ramet`, which the explorer reads:
//   {"name","category","since","synchronous","authRequired","adminOnly","bodyKey","curl","requestExample","responseExample",
//    "history":[{"version","what"}],"pathParameters":[{"name","type","required","doc"}],"bodyFields":[{"name","type","required","doc","default","example","values","since"}]}
#pragma once

#include <string>

namespace ramet::api {

std::string openapi_document(const std::string& server_version);

}  // namespace ramet::api
