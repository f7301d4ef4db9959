// An answer of the server, and what it means to a user when it is an error.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ramet::cli {

struct HttpReply {
    long status = 0;
    std::string body;
};

std::string text_of(const boost::json::object& object, std::string_view key);  // empty when absent
Error error_of(const HttpReply& reply);                                        // session_invalid tells that a login may help
Result<boost::json::object> object_of(const HttpReply& reply);
// Not an answer to the call: a proxy whose server is away, or a server that has no hands free.
bool is_nobody_there(const HttpReply& reply);

}  // namespace ramet::cli
