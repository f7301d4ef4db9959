#include <algorithm>
#include <array>
#include <boost/json/parser.hpp>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>

#include "api/field_place.hpp"
#include "api/json.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace ramet::api {

namespace json = boost::json;

namespace {

Result<void> read_object(const json::value& value, const TypeInfo& type, void* target, Audience audience, const FieldPlace& place);

std::string_view kind_of(const json::value& value) {
    switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return "a number";
    case json::kind::string: return "a string";
    case json::kind::array: return "a list";
    case json::kind::object: return "an object";
    }
    return "something else";
}

std::unexpected<Error> wrong_type(const FieldPlace& place, std::string_view wanted, const json::value& value) {
    return fail(ErrorCode::malformed, "field '" + place.text() + "' must be " + std::string(wanted) + ", but is " + std::string(kind_of(value)));
}

// A scalar as text: clients send numbers and booleans where text is declared, and the other way round.
std::optional<std::string> stringified(const json::value& value) {
    std::array<char, 32> digits{};
    const auto print = [&](auto number) {
        const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
        return std::string(digits.data(), end);
    };
    switch (value.kind()) {
    case json::kind::string: return std::string(value.get_string());
    case json::kind::bool_: return value.get_bool() ? "true" : "false";
    case json::kind::int64: return print(value.get_int64());
    case json::kind::uint64: return print(value.get_uint64());
    case json::kind::double_: return print(value.get_double());
    default: return std::nullopt;
    }
}

Result<std::int64_t> read_integer(const json::value& value, const FieldPlace& place) {
    if (value.is_int64()) return value.get_int64();
    const auto out_of_range = [&] { return fail(ErrorCode::malformed, "field '" + place.text() + "' is too large for a 64-bit integer"); };
    if (value.is_uint64()) return out_of_range();
    if (value.is_double()) {  // 1048576.0 and 2e6 are integers, written otherwise; beyond 2^53 a double does not tell which
        constexpr double kExactMax = 9007199254740992.0;
        const double number = value.get_double();
        if (std::trunc(number) == number && std::abs(number) <= kExactMax) return static_cast<std::int64_t>(number);
    }
    if (!value.is_string()) return wrong_type(place, "an integer", value);
    const json::string& text = value.get_string();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range) return out_of_range();
    if (error != std::errc() || end != text.data() + text.size()) {
        return fail(ErrorCode::malformed, "field '" + place.text() + "' must be an integer, but is '" + std::string(text.subview(0, 64)) + "'");
    }
    return number;
}

Result<bool> read_boolean(const json::value& value, const FieldPlace& place) {
    if (value.is_bool()) return value.get_bool();
    if (value.is_string()) {
        if (equal_ignoring_case(value.get_string(), "true")) return true;
        if (equal_ignoring_case(value.get_string(), "false")) return false;
    }
    return wrong_type(place, "true or false", value);
}

// Milliseconds since 1970, or the form that to_wire_date() writes.
Result<std::int64_t> read_timestamp(const json::value& value, const FieldPlace& place) {
    if (value.is_int64()) return value.get_int64();
    if (!value.is_string()) return wrong_type(place, "a date", value);
    std::tm local{};
    local.tm_isdst = -1;
    const std::string text(value.get_string());
    const char* const end = strptime(text.c_str(), "%b %d, %Y %I:%M:%S %p", &local);
    if (end == nullptr || *end != '\0')
        return fail(ErrorCode::malformed, "field '" + place.text() + "' must be a date such as 'Nov 14, 2017 10:20:57 PM'");
    return static_cast<std::int64_t>(std::mktime(&local)) * 1000;
}

Result<void> read_enumeration(const json::value& value, const FieldInfo& field, void* item, const FieldPlace& place) {
    const std::optional<std::string> text = stringified(value);
    if (!text) return wrong_type(place, "text", value);
    if (field.set_text(item, *text)) return {};
    std::string valid;
    for (const std::string_view candidate : field.values) {
        if (equal_ignoring_case(candidate, *text) && field.set_text(item, candidate)) return {};
        if (!valid.empty()) valid += ", ";
        valid += candidate;
    }
    return fail(ErrorCode::invalid_argument, "field '" + place.text() + "' is '" + text->substr(0, 64) + "', but must be one of: " + valid);
}

Result<void> read_item(const json::value& value, const FieldInfo& field, void* item, Audience audience, const FieldPlace& place) {
    switch (field.scalar) {
    case Scalar::text:
    case Scalar::id: {
        const std::optional<std::string> text = stringified(value);
        if (!text) return wrong_type(place, "text", value);
        field.set_text(item, *text);
        return {};
    }
    case Scalar::enumeration: return read_enumeration(value, field, item, place);
    case Scalar::integer: {
        TRY_ASSIGN(const std::int64_t number, read_integer(value, place));
        field.set_number(item, number);
        return {};
    }
    case Scalar::boolean: {
        TRY_ASSIGN(const bool truth, read_boolean(value, place));
        field.set_number(item, truth ? 1 : 0);
        return {};
    }
    case Scalar::timestamp: {
        TRY_ASSIGN(const std::int64_t milliseconds, read_timestamp(value, place));
        field.set_number(item, milliseconds);
        return {};
    }
    case Scalar::object: return read_object(value, field.object(), item, audience, place);
    }
    return {};
}

// A JSON string that holds JSON, as some clients send for lists of objects.
Result<json::value> unwrap(const json::string& text, const FieldPlace& place) {
    Result<json::value> inner = parse_json(text);
    if (inner.has_value()) return inner;
    return fail(ErrorCode::malformed, "field '" + place.text() + "' is a string that holds no JSON: " + inner.error().message);
}

Result<void> read_list_items(const json::array& items, const FieldInfo& field, void* member, Audience audience, const FieldPlace& place) {
    for (std::size_t i = 0; i < items.size(); ++i) {
        FieldPlace item_place = place;
        item_place.index = i;
        const json::value& item = items[i];
        void* const slot = field.append(member);
        if (field.rules.loose_shape && field.scalar == Scalar::object && item.is_string()) {
            TRY_ASSIGN(const json::value inner, unwrap(item.get_string(), item_place));
            TRY(read_item(inner, field, slot, audience, item_place));
        } else {
            TRY(read_item(item, field, slot, audience, item_place));
        }
    }
    return {};
}

Result<void> read_list(const json::value& value, const FieldInfo& field, void* member, Audience audience, const FieldPlace& place) {
    field.clear(member);
    if (value.is_array()) return read_list_items(value.get_array(), field, member, audience, place);
    if (!field.rules.loose_shape || !value.is_string()) return wrong_type(place, "a list", value);
    TRY_ASSIGN(json::value inner, unwrap(value.get_string(), place));
    if (inner.is_object()) {
        json::array only_one;
        only_one.push_back(std::move(inner));
        inner = std::move(only_one);
    }
    if (!inner.is_array()) return wrong_type(place, "a list", inner);
    return read_list_items(inner.get_array(), field, member, audience, place);
}

Result<void> read_object(const json::value& value, const TypeInfo& type, void* target, Audience audience, const FieldPlace& place) {
    if (!value.is_object()) {
        if (place.name.empty() && place.index == FieldPlace::kNoIndex) {
            return fail(ErrorCode::malformed, "the parameters must be an object, but are " + std::string(kind_of(value)));
        }
        return wrong_type(place, "an object", value);
    }
    const json::object& object = value.get_object();
    for (const FieldInfo& field : type.fields) {
        if (audience == Audience::wire && field.rules.internal) continue;
        const json::value* const present = object.if_contains(field.name);
        if (present == nullptr || present->is_null()) continue;
        const FieldPlace field_place{&place, field.name};
        void* const member = field.member(target);
        if (field.shape == Shape::list) {
            TRY(read_list(*present, field, member, audience, field_place));
        } else {
            TRY(read_item(*present, field, field.append(member), audience, field_place));
        }
    }
    return {};
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = limits::kJsonDepthMax;
    options.allow_invalid_utf8 = false;
    json::parser parser({}, options);
    boost::system::error_code error;
    const std::size_t taken = parser.write_some(text.data(), text.size(), error);
    const auto where = [&] { return " at byte " + std::to_string(taken); };
    if (error == json::error::too_deep)
        return fail(ErrorCode::malformed, "the JSON is nested deeper than " + std::to_string(limits::kJsonDepthMax) + " levels" + where());
    if (error) return fail(ErrorCode::malformed, "the JSON is not valid" + where() + ": " + error.message());
    const std::size_t rest = text.find_first_not_of(" \t\r\n", taken);
    if (rest != std::string_view::npos)
        return fail(ErrorCode::malformed, "the JSON is not valid: there is text behind its end at byte " + std::to_string(rest));
    return parser.release();
}

Result<void> read_json(const json::value& value, const TypeInfo& type, void* target, Audience audience) {
    return read_object(value, type, target, audience, FieldPlace{});
}

}  // namespace ramet::api
