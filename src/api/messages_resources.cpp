// Settings, the server itself, and the list of all messages of the resource pool.
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

template <> const TypeInfo& describe<api::UpdateGlobalConfig>() {
    using Request = api::UpdateGlobalConfig;
    static const TypeInfo info = object<Request>(
        "UpdateGlobalConfig", "Changes a global setting.",
        field<&Request::category>("category", "The setting's category.",
                                  {.required = true, .in_path = true, .characters_max = limits::kNameCharactersMax, .example = "vm"}),
        field<&Request::name>("name", "The setting's name.",
                              {.required = true, .in_path = true, .characters_max = limits::kNameCharactersMax, .example = "deletionPolicy"}),
        field<&Request::value>("value", "The new value. Left out: the default.",
                               {.characters_max = limits::kTextCharactersMax, .example = "Direct"}));
    return info;
}
template <> const TypeInfo& describe<api::GetVersion>() {
    static const TypeInfo info = object<api::GetVersion>("GetVersion", "No fields.");
    return info;
}
template <> const TypeInfo& describe<api::GetVersionReply>() {
    static const TypeInfo info =
        object<api::GetVersionReply>("GetVersionReply", "The server's version.", field<&api::GetVersionReply::version>("version", "Such as 0.1.0."));
    return info;
}
template <> const TypeInfo& describe<api::GetCurrentTime>() {
    static const TypeInfo info = object<api::GetCurrentTime>("GetCurrentTime", "No fields.");
    return info;
}
template <> const TypeInfo& describe<api::CurrentTime>() {
    using api::CurrentTime;
    static const TypeInfo info =
        object<CurrentTime>("CurrentTime", "An instant.", field<&CurrentTime::million_seconds>("MillionSeconds", "Milliseconds since 1970."),
                            field<&CurrentTime::seconds>("Seconds", "Seconds since 1970."));
    return info;
}
template <> const TypeInfo& describe<api::GetCurrentTimeReply>() {
    static const TypeInfo info = object<api::GetCurrentTimeReply>("GetCurrentTimeReply", "The server's clock.",
                                                                  field<&api::GetCurrentTimeReply::current_time>("currentTime", "Now."));
    return info;
}
template <> const TypeInfo& describe<api::GetManagementNodeArch>() {
    static const TypeInfo info = object<api::GetManagementNodeArch>("GetManagementNodeArch", "No fields.");
    return info;
}
template <> const TypeInfo& describe<api::GetManagementNodeArchReply>() {
    using Reply = api::GetManagementNodeArchReply;
    static const TypeInfo info =
        object<Reply>("GetManagementNodeArchReply", "The server's machine.", field<&Reply::architecture>("architecture", "Such as x86_64."));
    return info;
}
template <> const TypeInfo& describe<api::GetSupportAPIs>() {
    static const TypeInfo info = object<api::GetSupportAPIs>("GetSupportAPIs", "No fields.");
    return info;
}
template <> const TypeInfo& describe<api::GetSupportAPIsReply>() {
    using Reply = api::GetSupportAPIsReply;
    static const TypeInfo info =
        object<Reply>("GetSupportAPIsReply", "What the server can be asked.", field<&Reply::support_apis>("supportApis", "The names of all APIs."));
    return info;
}
template <> const TypeInfo& describe<api::ManagementNode>() {
    using api::ManagementNode;
    static const TypeInfo info = [] {
        TypeInfo made =
            object<ManagementNode>("ManagementNode", "A server process.", field<&ManagementNode::uuid>("uuid", "The node's uuid.", {.primary = true}),
                                   field<&ManagementNode::host_name>("hostName", "The machine it runs on."),
                                   field<&ManagementNode::join_date>("joinDate", "When it was started."),
                                   field<&ManagementNode::heart_beat>("heartBeat", "When it was last seen alive."));
        made.schema_class = "org.zstack.header.managementnode.ManagementNodeInventory";
        return made;
    }();
    return info;
}
template <> const TypeInfo& describe<api::IsManagementNodeReady>() {
    static const TypeInfo info = object<api::IsManagementNodeReady>("IsManagementNodeReady", "No fields.");
    return info;
}
template <> const TypeInfo& describe<api::IsManagementNodeReadyReply>() {
    using Reply = api::IsManagementNodeReadyReply;
    static const TypeInfo info =
        object<Reply>("IsManagementNodeReadyReply", "The node that answered.", field<&Reply::management_node_id>("managementNodeId", "Its uuid."));
    return info;
}
template <> const TypeInfo& describe<api::GetPlatformTimeZone>() {
    static const TypeInfo info = object<api::GetPlatformTimeZone>("GetPlatformTimeZone", "No fields.");
    return info;
}
template <> const TypeInfo& describe<api::GetPlatformTimeZoneReply>() {
    using Reply = api::GetPlatformTimeZoneReply;
    static const TypeInfo info =
        object<Reply>("GetPlatformTimeZoneReply", "The zone of all dates the server writes.",
                      field<&Reply::timezone>("timezone", "Its name, such as UTC."), field<&Reply::offset>("offset", "Its offset, such as +08:00."));
    return info;
}

namespace api {

namespace {

constexpr std::string_view kServerCategory = "Resource Center/Settings/Management Node Operations";

// PUT /management-nodes/actions, told apart by the body key; open to all, as clients ask before they log in.
template <class Request>
MessageInfo server_call(std::string_view name, std::string_view key, std::string_view doc, std::string_view response_example,
                        DescribeFunction reply) {
    return read_call<Request>({.name = name,
                               .category = kServerCategory,
                               .doc = doc,
                               .method = Method::put,
                               .path = "/management-nodes/actions",
                               .body_key = key,
                               .response_example = response_example,
                               .access = Access::open},
                              reply);
}

}  // namespace

template <> const MessageInfo& message<UpdateGlobalConfig>() {
    static const MessageInfo info = resource_call<UpdateGlobalConfig>(global_config(), {.name = "UpdateGlobalConfig",
                                                                                        .doc = "Changes a global setting; in effect at once.",
                                                                                        .method = Method::put,
                                                                                        .path = "/global-configurations/{category}/{name}/actions",
                                                                                        .body_key = "updateGlobalConfig",
                                                                                        .request_example = R"({"value":"Direct"})"});
    return info;
}
template <> const MessageInfo& message<GetVersion>() {
    static const MessageInfo info = server_call<GetVersion>("GetVersion", "getVersion", "Tells the server's version.",
                                                            R"({"version":"0.1.0","success":true})", &describe<GetVersionReply>);
    return info;
}
template <> const MessageInfo& message<GetCurrentTime>() {
    static const MessageInfo info = server_call<GetCurrentTime>(
        "GetCurrentTime", "getCurrentTime", "Tells the server's clock.",
        R"({"currentTime":{"MillionSeconds":1510669257141,"Seconds":1510669257},"success":true})", &describe<GetCurrentTimeReply>);
    return info;
}
template <> const MessageInfo& message<GetManagementNodeArch>() {
    static const MessageInfo info =
        server_call<GetManagementNodeArch>("GetManagementNodeArch", "getManagementNodeArch", "Tells the server's processor architecture.",
                                           R"({"architecture":"x86_64","success":true})", &describe<GetManagementNodeArchReply>);
    return info;
}
template <> const MessageInfo& message<GetSupportAPIs>() {
    static const MessageInfo info =
        server_call<GetSupportAPIs>("GetSupportAPIs", "getSupportAPIs", "Lists the names of all APIs.",
                                    R"({"supportApis":["CloneVmInstance","QueryVmInstance"],"success":true})", &describe<GetSupportAPIsReply>);
    return info;
}
template <> const MessageInfo& message<IsManagementNodeReady>() {
    static const MessageInfo info =
        read_call<IsManagementNodeReady>({.name = "IsManagementNodeReady",
                                          .category = kServerCategory,
                                          .doc = "Answers as soon as the server takes calls.",
                                          .path = "/management-nodes/ready",
                                          .response_example = R"({"managementNodeId":"36c27e8ff05c4780bf6d2fa65700f22e","success":true})",
                                          .access = Access::open},
                                         &describe<IsManagementNodeReadyReply>);
    return info;
}
template <> const MessageInfo& message<GetPlatformTimeZone>() {
    static const MessageInfo info =
        read_call<GetPlatformTimeZone>({.name = "GetPlatformTimeZone",
                                        .category = kServerCategory,
                                        .doc = "Tells the time zone of all dates the server writes.",
                                        .path = "/management-nodes/platform-timezone",
                                        .response_example = R"({"timezone":"Asia/Shanghai","offset":"+08:00","success":true})",
                                        .access = Access::open},
                                       &describe<GetPlatformTimeZoneReply>);
    return info;
}

std::vector<const MessageInfo*> kinds::server_messages() {
    static const MessageInfo query_config = query_message(global_config());
    static const MessageInfo query_node{.name = "QueryManagementNode",
                                        .category = kServerCategory,
                                        .method = Method::get,
                                        .path = "/management-nodes",
                                        .doc = "Finds every server process that satisfies all conditions q; PATH/{uuid} finds one.",
                                        .reply_key = "inventories",
                                        .reply = &describe<ManagementNode>,
                                        .query_row = &describe<ManagementNode>,
                                        .request_example = "{}",
                                        .response_example = R"({"inventories":[{"uuid":"36c27e8ff05c4780bf6d2fa65700f22e","hostName":"127.0.0.1",)"
                                                            R"("joinDate":"Nov 14, 2017 10:20:57 PM","heartBeat":"Nov 14, 2017 10:20:57 PM"}]})"};
    return {&query_config,
            &message<UpdateGlobalConfig>(),
            &message<GetVersion>(),
            &message<GetCurrentTime>(),
            &message<GetManagementNodeArch>(),
            &message<GetSupportAPIs>(),
            &query_node,
            &message<IsManagementNodeReady>(),
            &message<GetPlatformTimeZone>()};
}

std::vector<const MessageInfo*> resource_messages() {
    std::vector<const MessageInfo*> all;
    for (const auto& group :
         {place_messages(), storage_messages(), image_messages(), offering_messages(), network_messages(), tag_messages(), server_messages()}) {
        all.insert(all.end(), group.begin(), group.end());
    }
    return all;
}

}  // namespace api
}  // namespace ramet
