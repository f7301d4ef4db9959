// components/schemas of the OpenAPI document: one JSON schema per described type, added when it is first referred to.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <vector>

#include "base/describe.hpp"

namespace ramet::api {

enum class Direction : std::uint8_t { request, reply };

class OpenapiSchemas {
public:
    // {"$ref": ...}; adds the type and all it contains. A request's schema has no path fields and its rules, a reply's no internal fields.
    boost::json::object reference(const TypeInfo& type, Direction direction);
    boost::json::object of_field(const FieldInfo& field, Direction direction);
    boost::json::object take() { return std::move(schemas_); }

private:
    boost::json::object of_type(const TypeInfo& type, Direction direction);
    boost::json::object of_item(const FieldInfo& field, Direction direction);
    boost::json::object schemas_;
    std::map<std::pair<const TypeInfo*, Direction>, std::string> names_;
};

// A documented value as JSON of the field's type: numbers and booleans bare, everything else text; one item for lists.
boost::json::value field_value(const FieldInfo& field, std::string_view text);
// "String", "Long", "Boolean", "Date", "Object", "List": how the explorer names the type.
std::string_view type_word(const FieldInfo& field);

}  // namespace ramet::api
