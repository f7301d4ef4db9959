#include "api/openapi_schemas.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "api/json.hpp"

namespace ramet::api {

namespace json = boost::json;

namespace {

json::array listed(std::span<const std::string_view> values) {
    json::array out;
    for (const std::string_view value : values) out.emplace_back(value);
    return out;
}

}  // namespace

json::value field_value(const FieldInfo& field, std::string_view text) {
    if (field.scalar == Scalar::integer || field.scalar == Scalar::boolean || field.scalar == Scalar::object) {
        Result<json::value> parsed = parse_json(text);
        if (parsed.has_value()) return std::move(*parsed);
    }
    return json::value(text);
}

std::string_view type_word(const FieldInfo& field) {
    if (field.shape == Shape::list) return "List";
    switch (field.scalar) {
    case Scalar::integer: return "Long";
    case Scalar::boolean: return "Boolean";
    case Scalar::timestamp: return "Date";
    case Scalar::object: return "Object";
    case Scalar::text:
    case Scalar::id:
    case Scalar::enumeration: break;
    }
    return "String";
}

json::object OpenapiSchemas::of_item(const FieldInfo& field, Direction direction) {
    json::object schema;
    const FieldRules& rules = field.rules;
    switch (field.scalar) {
    case Scalar::text:
        schema["type"] = "string";
        if (!rules.one_of.empty()) schema["enum"] = listed(rules.one_of);
        if (rules.characters_max != 0) schema["maxLength"] = rules.characters_max;
        break;
    case Scalar::id:
        schema["type"] = "string";
        schema["pattern"] = "^[0-9a-f]{32}$";
        break;
    case Scalar::enumeration:
        schema["type"] = "string";
        schema["enum"] = listed(field.values);
        break;
    case Scalar::integer:
        schema["type"] = "integer";
        schema["format"] = "int64";
        if (rules.at_least) schema["minimum"] = *rules.at_least;
        if (rules.at_most) schema["maximum"] = *rules.at_most;
        break;
    case Scalar::boolean: schema["type"] = "boolean"; break;
    case Scalar::timestamp:
        schema["type"] = "string";
        schema["examples"] = json::array{"Nov 14, 2017 10:20:57 PM"};
        break;
    case Scalar::object: return reference(field.object(), direction);
    }
    return schema;
}

json::object OpenapiSchemas::of_field(const FieldInfo& field, Direction direction) {
    const FieldRules& rules = field.rules;
    json::object schema = of_item(field, direction);
    if (!rules.example.empty() && field.scalar != Scalar::object) schema["examples"] = json::array{field_value(field, rules.example)};
    if (field.shape == Shape::list) {
        json::object list;
        list["type"] = "array";
        list["items"] = std::move(schema);
        if (direction == Direction::request && rules.items_min != 0) list["minItems"] = rules.items_min;
        if (direction == Direction::request && rules.items_max != 0) list["maxItems"] = rules.items_max;
        schema = std::move(list);
    } else if (direction == Direction::request && !rules.fallback.empty()) {
        schema["default"] = field_value(field, rules.fallback);
    }
    schema["description"] = field.doc;
    return schema;
}

json::object OpenapiSchemas::of_type(const TypeInfo& type, Direction direction) {
    json::object schema;
    json::object properties;
    json::array required;
    for (const FieldInfo& field : type.fields) {
        if (field.rules.internal || (direction == Direction::request && field.rules.in_path)) continue;
        properties[field.name] = of_field(field, direction);
        if (direction == Direction::request && field.rules.required) required.emplace_back(field.name);
    }
    schema["type"] = "object";
    schema["description"] = type.doc;
    schema["properties"] = std::move(properties);
    if (!required.empty()) schema["required"] = std::move(required);
    return schema;
}

json::object OpenapiSchemas::reference(const TypeInfo& type, Direction direction) {
    const auto key = std::make_pair(&type, direction);
    auto found = names_.find(key);
    if (found == names_.end()) {
        std::string name(type.name);
        if (schemas_.contains(name)) name += direction == Direction::request ? "Request" : "Reply";
        while (schemas_.contains(name)) name += '_';
        found = names_.emplace(key, name).first;
        schemas_[name] = nullptr;  // reserved: a type may contain itself
        json::object schema = of_type(type, direction);
        schemas_[name] = std::move(schema);
    }
    json::object reference;
    reference["$ref"] = "#/components/schemas/" + found->second;
    return reference;
}

}  // namespace ramet::api
