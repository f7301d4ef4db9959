#include <algorithm>

#include "api/field_place.hpp"
#include "api/json.hpp"
#include "base/id.hpp"
#include "base/text.hpp"

namespace ramet::api {

namespace {

std::unexpected<Error> broken(const FieldPlace& place, const std::string& what) {
    return fail(ErrorCode::invalid_argument, "field '" + place.text() + "' " + what);
}

std::size_t character_count(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Result<void> check_one_of(const FieldInfo& field, void* item, const FieldPlace& place) {
    const std::string_view text = field.text(item);
    std::string valid;
    for (const std::string_view candidate : field.rules.one_of) {
        if (equal_ignoring_case(candidate, text)) {
            field.set_text(item, candidate);
            return {};
        }
        if (!valid.empty()) valid += ", ";
        valid += candidate;
    }
    return broken(place, "is '" + std::string(text.substr(0, 64)) + "', but must be one of: " + valid);
}

// Whether free text may be empty is the rule `required`. A plain member without a default is empty also when it was left out.
Result<void> check_empty(const FieldInfo& field, void* item, const FieldPlace& place) {
    const bool was_sent = field.shape != Shape::one || !field.rules.fallback.empty();
    if (!was_sent || !names_something(field)) return {};
    if (!field.rules.one_of.empty()) return check_one_of(field, item, place);
    return broken(place, "is empty; give a uuid, or leave it out");
}

Result<void> check_text(const FieldInfo& field, void* item, const FieldPlace& place) {
    const FieldRules& rules = field.rules;
    const std::string_view text = field.text(item);
    if (text.empty()) return check_empty(field, item, place);
    if (field.scalar == Scalar::id && !is_uuid_text(text)) {
        const ErrorCode code = rules.in_path || !rules.names_a.empty() ? ErrorCode::not_found : ErrorCode::invalid_argument;
        return fail(code,
                    "field '" + place.text() + "' is '" + std::string(text.substr(0, 64)) + "', which is not a uuid (32 lower-case hex digits)");
    }
    if (rules.characters_max != 0 && character_count(text) > rules.characters_max) {
        return broken(place, "is longer than " + std::to_string(rules.characters_max) + " characters");
    }
    if (!rules.one_of.empty()) return check_one_of(field, item, place);
    return {};
}

Result<void> check_fields(const TypeInfo& type, void* target, const FieldPlace& place);

Result<void> check_item(const FieldInfo& field, void* item, const FieldPlace& place) {
    switch (field.scalar) {
    case Scalar::text:
    case Scalar::id: return check_text(field, item, place);
    case Scalar::integer: {
        const std::int64_t number = field.number(item);
        if (field.rules.at_least && number < *field.rules.at_least) {
            return broken(place, "is " + std::to_string(number) + ", but must be at least " + std::to_string(*field.rules.at_least));
        }
        if (field.rules.at_most && number > *field.rules.at_most) {
            return broken(place, "is " + std::to_string(number) + ", but must be at most " + std::to_string(*field.rules.at_most));
        }
        return {};
    }
    case Scalar::object: return check_fields(field.object(), item, place);
    case Scalar::enumeration:
    case Scalar::boolean:
    case Scalar::timestamp: return {};
    }
    return {};
}

bool speaks_text(const FieldInfo& field) { return field.scalar == Scalar::text || field.scalar == Scalar::id; }

Result<void> check_field(const FieldInfo& field, void* owner, const FieldPlace& place) {
    const FieldRules& rules = field.rules;
    void* const member = field.member(owner);
    const std::size_t count = field.count(member);
    const bool blank = field.shape != Shape::list && count == 1 && speaks_text(field) && field.text(field.item(member, 0)).empty();
    if ((rules.required || rules.in_path) && (count == 0 || blank)) {
        return broken(place, field.shape == Shape::list ? "is mandatory and must not be empty" : "is mandatory");
    }
    if (field.shape == Shape::list && count < rules.items_min) {
        return broken(place, "has " + std::to_string(count) + " items, but must have at least " + std::to_string(rules.items_min));
    }
    if (field.shape == Shape::list && rules.items_max != 0 && count > rules.items_max) {
        return broken(place, "has " + std::to_string(count) + " items, but may have at most " + std::to_string(rules.items_max));
    }
    for (std::size_t i = 0; i < count; ++i) {
        FieldPlace item_place = place;
        if (field.shape == Shape::list) item_place.index = i;
        TRY(check_item(field, field.item(member, i), item_place));
    }
    return {};
}

Result<void> check_fields(const TypeInfo& type, void* target, const FieldPlace& place) {
    for (const FieldInfo& field : type.fields) {
        const FieldPlace field_place{&place, field.name};
        TRY(check_field(field, target, field_place));
    }
    return {};
}

}  // namespace

bool names_something(const FieldInfo& field) { return field.scalar == Scalar::id || !field.rules.names_a.empty() || !field.rules.one_of.empty(); }

Result<void> check_rules(const TypeInfo& type, void* target) { return check_fields(type, target, FieldPlace{}); }

}  // namespace ramet::api
