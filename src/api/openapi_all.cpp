// Apart from openapi.cpp, so that its tests need no message list.
#include "api/openapi.hpp"

namespace ramet::api {

std::string openapi_document(const std::string& server_version) {
    const std::vector<const MessageInfo*> messages = all_messages();
    return openapi_document(server_version, messages);
}

}  // namespace ramet::api
