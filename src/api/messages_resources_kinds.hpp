// How the messages of the resource pool are built: a ResourceKind says once how a resource is called, where it lives and how it looks;
// query, update, state, delete and reconnect messages follow from it. For messages_resources_*.cpp alone.
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "api/messages_resources.hpp"
#include "base/limits.hpp"

namespace ramet::api::kinds {

struct ResourceKind {
    std::string_view name;      // "Zone", as in UpdateZone
    std::string_view noun;      // "zone", for sentences
    std::string_view path;      // "/zones"
    std::string_view category;  // breadcrumb
    std::string_view example;   // JSON of one inventory
    DescribeFunction row;
    Access access = Access::admin;  // of the calls that change it
};

const ResourceKind& zone();
const ResourceKind& cluster();
const ResourceKind& host();
const ResourceKind& primary_storage();
const ResourceKind& backup_storage();
const ResourceKind& image();
const ResourceKind& instance_offering();
const ResourceKind& disk_offering();
const ResourceKind& l2_network();
const ResourceKind& l3_network();
const ResourceKind& ip_range();
const ResourceKind& used_ip();
const ResourceKind& system_tag();
const ResourceKind& user_tag();
const ResourceKind& global_config();

// Text made at first use and kept for the life of the process: MessageInfo and FieldInfo hold views.
std::string_view keep(std::string text);

std::string_view inventory_body(const ResourceKind& kind);    // {"inventory":{...}}
std::string_view inventories_body(const ResourceKind& kind);  // {"inventories":[{...}]}

MessageInfo query_message(const ResourceKind& kind);

// A call that answers with the resource, or with {} when `answers` is nothing.
enum class Answers : std::uint8_t { inventory, nothing };
struct CallShape {
    std::string_view name;
    std::string_view doc;
    Method method = Method::post;
    std::string_view path;
    std::string_view body_key = "params";
    std::string_view request_example = "{}";
    Answers answers = Answers::inventory;
};
MessageInfo resource_call(const ResourceKind& kind, const CallShape& shape, DescribeFunction request, std::shared_ptr<void> (*make)());
template <class Request>
MessageInfo resource_call(const ResourceKind& kind, const CallShape& shape) {
    return resource_call(kind, shape, &describe<Request>, &make_request<Request>);
}

// A synchronous call of the server itself or a read with a reply of its own ("*").
struct ReadShape {
    std::string_view name;
    std::string_view category;
    std::string_view doc;
    Method method = Method::get;
    std::string_view path;
    std::string_view body_key = "";
    std::string_view reply_key = "*";
    std::string_view response_example;
    Access access = Access::session;
};
template <class Request>
MessageInfo read_call(const ReadShape& shape, DescribeFunction reply) {
    MessageInfo info;
    info.name = shape.name;
    info.category = shape.category;
    info.method = shape.method;
    info.path = shape.path;
    info.body_key = shape.body_key;
    info.access = shape.access;
    info.doc = shape.doc;
    info.reply_key = shape.reply_key;
    info.request = &describe<Request>;
    info.reply = reply;
    info.request_example = "{}";
    info.response_example = shape.response_example;
    info.make = &make_request<Request>;
    return info;
}

// update<Kind>, change<Kind>State, delete<Kind>, reconnect<Kind> on PATH/{uuid}[/actions].
MessageInfo update_message(const ResourceKind& kind, std::string_view request_example, DescribeFunction request, std::shared_ptr<void> (*make)());
MessageInfo state_message(const ResourceKind& kind, DescribeFunction request, std::shared_ptr<void> (*make)());
MessageInfo reconnect_message(const ResourceKind& kind, DescribeFunction request, std::shared_ptr<void> (*make)());
MessageInfo delete_message(const ResourceKind& kind, std::string_view doc, DescribeFunction request, std::shared_ptr<void> (*make)());
inline constexpr std::string_view kRenameExample = R"({"name":"new-name","description":"what it is for"})";
template <class Request>
MessageInfo update_message(const ResourceKind& kind, std::string_view request_example = kRenameExample) {
    return update_message(kind, request_example, &describe<Request>, &make_request<Request>);
}
template <class Request>
MessageInfo state_message(const ResourceKind& kind) {
    return state_message(kind, &describe<Request>, &make_request<Request>);
}
template <class Request>
MessageInfo reconnect_message(const ResourceKind& kind) {
    return reconnect_message(kind, &describe<Request>, &make_request<Request>);
}
template <class Request>
MessageInfo delete_message(const ResourceKind& kind, std::string_view doc) {
    return delete_message(kind, doc, &describe<Request>, &make_request<Request>);
}

// --- fields
inline constexpr std::array<std::string_view, 2> kStateEvents{"enable", "disable"};
inline constexpr std::array<std::string_view, 3> kHostStateEvents{"enable", "disable", "maintain"};
inline constexpr std::array<std::string_view, 4> kStorageStateEvents{"enable", "disable", "maintain", "deleting"};
inline constexpr std::array<std::string_view, 2> kDeleteModes{"Permissive", "Enforcing"};
inline constexpr std::string_view kExampleUuid = "36c27e8ff05c4780bf6d2fa65700f22e";

template <auto Member>
FieldInfo name_field(const ResourceKind& kind) {
    return field<Member>("name", keep("The name of the " + std::string(kind.noun) + "."),
                         {.required = true, .characters_max = limits::kNameCharactersMax, .example = "example"});
}
template <auto Member>
FieldInfo new_name_field() {
    return field<Member>("name", "The new name.", {.characters_max = limits::kNameCharactersMax, .example = "new-name"});
}
template <auto Member>
FieldInfo description_field() {
    return field<Member>("description", "What it is for, in words for people.",
                         {.characters_max = limits::kTextCharactersMax, .example = "for the build farm"});
}
template <auto Member>
FieldInfo path_uuid_field(const ResourceKind& kind, std::string_view name = "uuid") {
    return field<Member>(name, keep("The uuid of the " + std::string(kind.noun) + "."),
                         {.required = true, .in_path = true, .names_a = kind.row().vo_type, .example = kExampleUuid});
}
// Deleting what is not there is success, so the uuid is not resolved before the use case.
template <auto Member>
FieldInfo deleted_uuid_field(const ResourceKind& kind) {
    return field<Member>("uuid", keep("The uuid of the " + std::string(kind.noun) + "; one that names nothing is success."),
                         {.required = true, .in_path = true, .example = kExampleUuid});
}
template <auto Member>
FieldInfo delete_mode_field() {
    return field<Member>("deleteMode", "Permissive or Enforcing; both refuse while something depends on it.",
                         {.one_of = kDeleteModes, .fallback = "Permissive", .example = "Permissive"});
}
template <auto Member>
FieldInfo uuid_field(std::string_view name, const ResourceKind& kind, std::string_view doc, bool required = true) {
    return field<Member>(name, doc, {.required = required, .names_a = kind.row().vo_type, .example = kExampleUuid});
}
template <auto Member>
FieldInfo resource_uuid_field() {
    return field<Member>("resourceUuid",
                         "The uuid the new resource shall have: 32 lower-case hex digits of a UUID without dashes. Left out: a random one.",
                         {.characters_max = 32, .example = kExampleUuid});
}
template <auto Member>
FieldInfo system_tags_field() {
    return field<Member>("systemTags", "System tags for the new resource.",
                         {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax, .example = "[]"});
}
template <auto Member>
FieldInfo user_tags_field() {
    return field<Member>("userTags", "User tags for the new resource.",
                         {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax, .example = R"(["team::build"])"});
}
// A text that clients may send and that has one meaning here.
template <auto Member>
FieldInfo type_field(std::string_view name, std::string_view doc, std::string_view example) {
    return field<Member>(name, doc, {.characters_max = limits::kNameCharactersMax, .fallback = example, .example = example});
}

// --- requests that are the same for every resource
template <class Row>
TypeInfo delete_type(const ResourceKind& kind) {
    return object<Delete<Row>>(keep("Delete" + std::string(kind.name)), keep("Deletes a " + std::string(kind.noun) + "."),
                               deleted_uuid_field<&Delete<Row>::uuid>(kind), delete_mode_field<&Delete<Row>::delete_mode>());
}
template <class Row>
TypeInfo update_type(const ResourceKind& kind) {
    return object<Update<Row>>(keep("Update" + std::string(kind.name)), keep("Changes the record of a " + std::string(kind.noun) + "."),
                               path_uuid_field<&Update<Row>::uuid>(kind), new_name_field<&Update<Row>::name>(),
                               description_field<&Update<Row>::description>());
}
template <class Row>
TypeInfo state_type(const ResourceKind& kind, std::span<const std::string_view> events = kStateEvents) {
    return object<ChangeState<Row>>(
        keep("Change" + std::string(kind.name) + "State"), keep("Enables or disables a " + std::string(kind.noun) + "."),
        path_uuid_field<&ChangeState<Row>::uuid>(kind),
        field<&ChangeState<Row>::state_event>("stateEvent", "What to do with it.", {.required = true, .one_of = events, .example = "disable"}));
}
template <class Row>
TypeInfo reconnect_type(const ResourceKind& kind) {
    return object<Reconnect<Row>>(keep("Reconnect" + std::string(kind.name)), keep("Checks a " + std::string(kind.noun) + " again."),
                                  path_uuid_field<&Reconnect<Row>::uuid>(kind));
}

// The lists of messages, one per file.
std::vector<const MessageInfo*> place_messages();
std::vector<const MessageInfo*> storage_messages();
std::vector<const MessageInfo*> image_messages();
std::vector<const MessageInfo*> offering_messages();
std::vector<const MessageInfo*> network_messages();
std::vector<const MessageInfo*> tag_messages();
std::vector<const MessageInfo*> server_messages();

}  // namespace ramet::api::kinds
