// JSON in and out of described structs.
// Out: null and empty optionals are omitted, `<>&='` are written as \u00xx as Gson does, timestamps as "Nov 14, 2017 10:20:57 PM",
// fields in the order of the description, internal fields never.
// In: unknown fields are ignored; null is absent; integers and booleans also as strings ("4", "true"); a value of the wrong type is
// ErrorCode::malformed naming the field; a value that breaks a rule is ErrorCode::invalid_argument naming the field.
#pragma once

#include <boost/json/value.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/describe.hpp"
#include "base/result.hpp"

namespace ramet::api {

// Bounded parse (limits::kJsonDepthMax); malformed on error, with the offset.
Result<boost::json::value> parse_json(std::string_view text);

enum class Audience : std::uint8_t { wire, storage };  // storage: also internal fields, timestamps as numbers; for plans kept in the job

void write_json(std::string& out, const TypeInfo& type, const void* value, Audience audience = Audience::wire,
                std::span<const std::string> only_fields = {});
void append_json_string(std::string& out, std::string_view text);  // quoted and escaped

template <class T>
std::string to_json(const T& value, Audience audience = Audience::wire) {
    std::string out;
    write_json(out, describe<T>(), &value, audience);
    return out;
}

// Fills `target` from an object. Rules are checked with check_rules().
Result<void> read_json(const boost::json::value& json, const TypeInfo& type, void* target, Audience audience = Audience::wire);
// A field whose text names something: a resource, or one of a list of values. The empty text names nothing.
bool names_something(const FieldInfo& field);
// required, characters_max, items_*, at_least/at_most, one_of (normalising the spelling), nothing empty where something is to be named.
Result<void> check_rules(const TypeInfo& type, void* target);

template <class T>
Result<T> from_json(std::string_view text, Audience audience = Audience::storage) {
    TRY_ASSIGN(const boost::json::value json, parse_json(text));
    T value{};
    TRY(read_json(json, describe<T>(), &value, audience));
    return value;
}

// {"error":{...}} body and the bare error object (contract 1.9).
std::string error_object(const Error& error);
std::string error_body(const Error& error);
// The API code ("SYS.1006") and fixed description of an ErrorCode.
std::string_view api_code(ErrorCode code);
std::string_view api_description(ErrorCode code);

// The `schema` map of a reply body (contract 1.7) for a value under `path`, or a list of them; parents before children.
void append_schema(std::vector<std::pair<std::string, std::string>>& schema, const std::string& path, const TypeInfo& type, const void* value);

}  // namespace ramet::api
