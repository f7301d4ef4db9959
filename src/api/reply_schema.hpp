// The `schema` map (contract 1.7) of a reply that exists only as JSON: found by walking the value beside its description.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <utility>
#include <vector>

#include "api/message.hpp"

namespace ramet::api {

using Schema = std::vector<std::pair<std::string, std::string>>;  // path -> server class, parents before children

// `body` is the whole reply: {"inventory":{...}}, {"inventories":[...]}, {"result":{...}} or, for "*", the reply's own fields.
Schema schema_of_reply(const MessageInfo& message, const boost::json::value& body);
std::string schema_to_json(const Schema& schema);  // an object

// `body` (an object, as text) with `"schema":{...}` behind its members; unchanged when there is nothing to say or it has one.
std::string with_schema(const MessageInfo& message, const std::string& body);

}  // namespace ramet::api
