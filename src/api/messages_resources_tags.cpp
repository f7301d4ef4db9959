// System and user tags (contract 5.2, 7).
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

namespace {

template <auto Member>
FieldInfo resource_type_field() {
    return field<Member>("resourceType", "The type of the resource that bears the tag.",
                         {.required = true, .characters_max = limits::kNameCharactersMax, .example = "VmInstanceVO"});
}
template <auto Member>
FieldInfo tagged_uuid_field(bool in_path = false) {
    return field<Member>("resourceUuid", "The uuid of the resource that bears the tag.",
                         {.required = true, .in_path = in_path, .characters_max = 32, .example = "327b60d6b8cd31489ade6f4830bcec16"});
}
template <auto Member>
FieldInfo system_tag_field() {
    return field<Member>("tag", "The tag's text; one of the known forms.",
                         {.required = true, .characters_max = limits::kTextCharactersMax, .example = "hostname::web01"});
}

}  // namespace

template <> const TypeInfo& describe<api::CreateSystemTag>() {
    using Request = api::CreateSystemTag;
    static const TypeInfo info =
        object<Request>("CreateSystemTag", "Puts a system tag on a resource.", resource_type_field<&Request::resource_type>(),
                        tagged_uuid_field<&Request::resource_uuid>(), system_tag_field<&Request::tag>());
    return info;
}
template <> const TypeInfo& describe<api::CreateSystemTags>() {
    using Request = api::CreateSystemTags;
    static const TypeInfo info =
        object<Request>("CreateSystemTags", "Puts system tags on a resource: all of them or none.", tagged_uuid_field<&Request::resource_uuid>(true),
                        field<&Request::tags>("tags", "The tags' texts.",
                                              {.required = true,
                                               .characters_max = limits::kTextCharactersMax,
                                               .items_min = 1,
                                               .items_max = limits::kTagsMax,
                                               .example = R"(["hostname::web01"])"}));
    return info;
}
template <> const TypeInfo& describe<api::UpdateSystemTag>() {
    using Request = api::UpdateSystemTag;
    static const TypeInfo info = object<Request>("UpdateSystemTag", "Changes the value of a system tag.",
                                                 path_uuid_field<&Request::uuid>(system_tag()), system_tag_field<&Request::tag>());
    return info;
}
template <> const TypeInfo& describe<api::CreateUserTag>() {
    using Request = api::CreateUserTag;
    static const TypeInfo info =
        object<Request>("CreateUserTag", "Puts a mark of one's own on a resource.", resource_type_field<&Request::resource_type>(),
                        tagged_uuid_field<&Request::resource_uuid>(),
                        field<&Request::tag>("tag", "The tag's text; any text.",
                                             {.required = true, .characters_max = limits::kTextCharactersMax, .example = "team::build"}));
    return info;
}
template <> const TypeInfo& describe<api::DeleteTag>() {
    using Request = api::DeleteTag;
    static const TypeInfo info = object<Request>("DeleteTag", "Takes a system or user tag off its resource.",
                                                 deleted_uuid_field<&Request::uuid>(user_tag()), delete_mode_field<&Request::delete_mode>());
    return info;
}

namespace api {

template <> const MessageInfo& message<CreateSystemTag>() {
    static const MessageInfo info = resource_call<CreateSystemTag>(
        system_tag(),
        {.name = "CreateSystemTag",
         .doc = "Puts a system tag on a resource.",
         .path = "/system-tags",
         .request_example = R"({"resourceType":"VmInstanceVO","resourceUuid":"327b60d6b8cd31489ade6f4830bcec16","tag":"hostname::web01"})"});
    return info;
}
template <> const MessageInfo& message<CreateSystemTags>() {
    static const MessageInfo info = [] {
        MessageInfo made = resource_call<CreateSystemTags>(system_tag(), {.name = "CreateSystemTags",
                                                                          .doc = "Puts system tags on a resource: all of them or none.",
                                                                          .path = "/system-tags/{resourceUuid}/tags",
                                                                          .request_example = R"({"tags":["hostname::web01"]})"});
        made.reply_key = "inventories";
        made.response_example = inventories_body(system_tag());
        return made;
    }();
    return info;
}
template <> const MessageInfo& message<UpdateSystemTag>() {
    static const MessageInfo info = update_message<UpdateSystemTag>(system_tag(), R"({"tag":"hostname::web02"})");
    return info;
}
template <> const MessageInfo& message<CreateUserTag>() {
    static const MessageInfo info = resource_call<CreateUserTag>(
        user_tag(), {.name = "CreateUserTag",
                     .doc = "Puts a mark of one's own on a resource.",
                     .path = "/user-tags",
                     .request_example = R"({"resourceType":"VmInstanceVO","resourceUuid":"327b60d6b8cd31489ade6f4830bcec16","tag":"team::build"})"});
    return info;
}
template <> const MessageInfo& message<DeleteTag>() {
    static const MessageInfo info = resource_call<DeleteTag>(user_tag(), {.name = "DeleteTag",
                                                                          .doc = "Takes a system or user tag off its resource.",
                                                                          .method = Method::del,
                                                                          .path = "/tags/{uuid}",
                                                                          .body_key = "",
                                                                          .answers = Answers::nothing});
    return info;
}

std::vector<const MessageInfo*> kinds::tag_messages() {
    static const MessageInfo query_system = query_message(system_tag()), query_user = query_message(user_tag());
    return {&message<CreateSystemTag>(), &message<CreateSystemTags>(), &query_system,
            &message<UpdateSystemTag>(), &message<CreateUserTag>(),    &query_user,
            &message<DeleteTag>()};
}

}  // namespace api
}  // namespace ramet
