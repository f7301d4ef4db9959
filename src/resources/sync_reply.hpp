// The body of replies that show all their fields beside `success` (contract 1.4, "all").
#pragma once

#include <string>

#include "api/json.hpp"

namespace ramet::resources {

template <class Reply>
std::string sync_reply(const Reply& reply) {
    std::string body = api::to_json(reply);
    body.pop_back();
    return body + (body.size() > 1 ? ",\"success\":true}" : "\"success\":true}");
}

}  // namespace ramet::resources
