// What the messages about snapshots and checkpoints have in common. For messages_snapshots.cpp and its neighbours only.
#pragma once

#include <array>
#include <string_view>

#include "api/messages_snapshots.hpp"
#include "base/limits.hpp"

namespace ramet::api::snapshot_calls {

inline constexpr std::array<std::string_view, 2> kDeleteModes{"Permissive", "Enforcing"};

template <auto Member>
FieldInfo name_field(std::string_view example) {
    return field<Member>("name", "Its name.", {.required = true, .characters_max = limits::kNameCharactersMax, .example = example});
}
template <auto Member>
FieldInfo new_name_field() {
    return field<Member>("name", "Its new name.", {.characters_max = limits::kNameCharactersMax});
}
template <auto Member>
FieldInfo description_field() {
    return field<Member>("description", "Free text.", {.characters_max = limits::kTextCharactersMax});
}
template <auto Member>
FieldInfo resource_uuid_field() {
    return field<Member>("resourceUuid", "The uuid it shall have.", {.characters_max = 32});
}
template <auto Member>
FieldInfo tags_field(std::string_view name, std::string_view doc) {
    return field<Member>(name, doc, {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax});
}
template <auto Member>
FieldInfo path_field(std::string_view name, std::string_view doc, std::string_view vo_type) {
    return field<Member>(name, doc, {.required = true, .in_path = true, .names_a = vo_type});
}
template <auto Member>
FieldInfo delete_mode_field() {
    return field<Member>("deleteMode", "Permissive or Enforcing; both do the same here.", {.one_of = kDeleteModes, .fallback = "Permissive"});
}

struct Shape {
    std::string_view name, category;
    Method method;
    std::string_view path, body_key, doc, reply_key;
    DescribeFunction reply;
    std::string_view request_example, response_example;
    std::string_view since = "0.6";
};

template <class Request>
MessageInfo call(const Shape& shape) {
    return MessageInfo{.name = shape.name,
                       .category = shape.category,
                       .method = shape.method,
                       .path = shape.path,
                       .body_key = shape.body_key,
                       .completion = Completion::async,
                       .doc = shape.doc,
                       .since = shape.since,
                       .reply_key = shape.reply_key,
                       .request = &describe<Request>,
                       .reply = shape.reply,
                       .request_example = shape.request_example,
                       .response_example = shape.response_example,
                       .make = &make_request<Request>};
}

template <class Row>
MessageInfo query(std::string_view name, std::string_view category, std::string_view path, std::string_view doc, std::string_view since = "0.6") {
    return MessageInfo{.name = name,
                       .category = category,
                       .method = Method::get,
                       .path = path,
                       .doc = doc,
                       .since = since,
                       .reply_key = "inventories",
                       .reply = &describe<Row>,
                       .query_row = &describe<Row>,
                       .response_example = R"({"inventories":[]})"};
}

}  // namespace ramet::api::snapshot_calls
