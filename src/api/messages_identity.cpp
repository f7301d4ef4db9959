#include "api/messages_identity.hpp"

#include <array>

#include "base/limits.hpp"

namespace ramet {
namespace {

constexpr std::array<std::string_view, 2> kAccountTypes{"SystemAdmin", "Normal"};
constexpr std::array<std::string_view, 2> kDeleteModes{"Permissive", "Enforcing"};
constexpr std::string_view kPasswordDoc = "The password: the lower-case hex SHA-512 of the clear text.";
constexpr std::size_t kHashCharacters = 128;

}  // namespace

template <> const TypeInfo& describe<api::LogInByAccount>() {
    using api::LogInByAccount;
    static const TypeInfo info = object<LogInByAccount>(
        "LogInByAccount", "Opens a session.", field<&LogInByAccount::account_name>("accountName", "The account's name.", {.required = true, .characters_max = limits::kNameCharactersMax, .example = "admin"}),
        field<&LogInByAccount::password>("password", kPasswordDoc, {.required = true, .secret = true, .characters_max = kHashCharacters, .example = "b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb980b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86"}),
        field<&LogInByAccount::account_type>("accountType", "account.", {.characters_max = 32}));
    return info;
}
template <> const TypeInfo& describe<api::SessionInventory>() {
    using api::SessionInventory;
    static const TypeInfo info = row<SessionInventory>(
        {"", "", "org.zstack.header.identity.SessionInventory"}, "Session", "An open session.", field<&SessionInventory::uuid>("uuid", "What Authorization: OAuth carries."),
        field<&SessionInventory::account_uuid>("accountUuid", "The account."), field<&SessionInventory::user_uuid>("userUuid", "The account again."),
        field<&SessionInventory::expired_date>("expiredDate", "When it ends unless it is used."), field<&SessionInventory::create_date>("createDate", "When it was opened."));
    return info;
}
template <> const TypeInfo& describe<api::ValidateSession>() {
    static const TypeInfo info = object<api::ValidateSession>("ValidateSession", "Asks whether a session is open.",
                                                              field<&api::ValidateSession::session_uuid>("sessionUuid", "The session's UUID.", {.required = true, .in_path = true}));
    return info;
}
template <> const TypeInfo& describe<api::ValidateSessionReply>() {
    static const TypeInfo info = object<api::ValidateSessionReply>("ValidateSessionReply", "Whether the session is open.", field<&api::ValidateSessionReply::valid>("valid", "Whether it is open."));
    return info;
}
template <> const TypeInfo& describe<api::RenewSession>() {
    using api::RenewSession;
    static const TypeInfo info = object<RenewSession>("RenewSession", "Prolongs a session.", field<&RenewSession::session_uuid>("sessionUuid", "The session's UUID.", {.required = true, .in_path = true}),
                                                      field<&RenewSession::duration>("duration", "Seconds from now.", {.at_least = 60, .at_most = 31536000}));
    return info;
}
template <> const TypeInfo& describe<api::LogOut>() {
    static const TypeInfo info =
        object<api::LogOut>("LogOut", "Ends a session.", field<&api::LogOut::session_uuid>("sessionUuid", "The session's UUID.", {.required = true, .in_path = true}));
    return info;
}
template <> const TypeInfo& describe<api::CreateAccount>() {
    using api::CreateAccount;
    static const TypeInfo info = object<CreateAccount>(
        "CreateAccount", "Makes an account.", field<&CreateAccount::name>("name", "Its name; unique.", {.required = true, .characters_max = limits::kNameCharactersMax, .example = "alice"}),
        field<&CreateAccount::password>("password", kPasswordDoc, {.required = true, .secret = true, .characters_max = kHashCharacters}),
        field<&CreateAccount::type>("type", "SystemAdmin or Normal.", {.one_of = kAccountTypes, .fallback = "Normal"}),
        field<&CreateAccount::description>("description", "Free text.", {.characters_max = limits::kTextCharactersMax}));
    return info;
}
template <> const TypeInfo& describe<api::UpdateAccount>() {
    using api::UpdateAccount;
    static const TypeInfo info = object<UpdateAccount>(
        "UpdateAccount", "Changes an account.", field<&UpdateAccount::uuid>("uuid", "The account's UUID.", {.required = true, .in_path = true}),
        field<&UpdateAccount::password>("password", "The new password: the lower-case hex SHA-512 of the clear text.", {.secret = true, .characters_max = kHashCharacters}),
        field<&UpdateAccount::name>("name", "Its new name.", {.characters_max = limits::kNameCharactersMax}),
        field<&UpdateAccount::description>("description", "Its new description.", {.characters_max = limits::kTextCharactersMax}),
        field<&UpdateAccount::old_password>("oldPassword", "The present password, hashed likewise; needed by accounts that change their own.", {.secret = true, .characters_max = kHashCharacters}));
    return info;
}
template <> const TypeInfo& describe<api::DeleteAccount>() {
    using api::DeleteAccount;
    static const TypeInfo info = object<DeleteAccount>("DeleteAccount", "Deletes an account that owns nothing.", field<&DeleteAccount::uuid>("uuid", "The account's UUID.", {.required = true, .in_path = true}),
                                                       field<&DeleteAccount::delete_mode>("deleteMode", "Permissive or Enforcing.", {.one_of = kDeleteModes, .fallback = "Permissive"}));
    return info;
}

namespace api {
namespace {

constexpr std::string_view kCategory = "Settings/Access Control/Account Operations";
constexpr std::string_view kSessionReply =
    R"({"inventory":{"uuid":"0dd1e0f07e8a4a3e9b2f0d3c1a5b6c7d","accountUuid":"36c27e8ff05c4780bf6d2fa65700f22e","userUuid":"36c27e8ff05c4780bf6d2fa65700f22e","expiredDate":"Nov 15, 2017 12:20:57 AM","createDate":"Nov 14, 2017 10:20:57 PM"}})";
constexpr std::string_view kAccountReply =
    R"({"inventory":{"uuid":"1b2c3d4e5f60418293a4b5c6d7e8f901","name":"alice","type":"Normal","createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"}})";

}  // namespace

template <> const MessageInfo& message<LogInByAccount>() {
    static const MessageInfo info{.name = "LogInByAccount", .category = kCategory, .method = Method::put, .path = "/accounts/login", .body_key = "logInByAccount", .access = Access::open,
                                  .doc = "Opens a session for an account. Send its uuid in Authorization: OAuth <uuid>.", .reply_key = "inventory", .request = &describe<LogInByAccount>,
                                  .reply = &describe<SessionInventory>, .request_example = R"({"accountName":"admin","password":"b109f3bb..."})", .response_example = kSessionReply,
                                  .make = &make_request<LogInByAccount>};
    return info;
}
template <> const MessageInfo& message<ValidateSession>() {
    static const MessageInfo info{.name = "ValidateSession", .category = kCategory, .method = Method::get, .path = "/accounts/sessions/{sessionUuid}/valid", .access = Access::open,
                                  .doc = "Tells whether a session is open.", .reply_key = "*", .request = &describe<ValidateSession>, .reply = &describe<ValidateSessionReply>,
                                  .response_example = R"({"valid":true})", .make = &make_request<ValidateSession>};
    return info;
}
template <> const MessageInfo& message<RenewSession>() {
    static const MessageInfo info{.name = "RenewSession", .category = kCategory, .method = Method::put, .path = "/accounts/sessions/{sessionUuid}/renew", .body_key = "renewSession",
                                  .completion = Completion::async, .doc = "Prolongs a session of the caller's own.", .reply_key = "inventory", .request = &describe<RenewSession>,
                                  .reply = &describe<SessionInventory>, .request_example = R"({"duration":7200})", .response_example = kSessionReply, .make = &make_request<RenewSession>};
    return info;
}
template <> const MessageInfo& message<LogOut>() {
    static const MessageInfo info{.name = "LogOut", .category = kCategory, .method = Method::del, .path = "/accounts/sessions/{sessionUuid}", .access = Access::open, .doc = "Ends a session.",
                                  .request = &describe<LogOut>, .response_example = "{}", .make = &make_request<LogOut>};
    return info;
}
template <> const MessageInfo& message<CreateAccount>() {
    static const MessageInfo info{.name = "CreateAccount", .category = kCategory, .method = Method::post, .path = "/accounts", .body_key = "params", .completion = Completion::async,
                                  .access = Access::admin, .doc = "Makes an account.", .reply_key = "inventory", .request = &describe<CreateAccount>, .reply = &describe<Account>,
                                  .request_example = R"({"name":"alice","password":"b109f3bb..."})", .response_example = kAccountReply, .make = &make_request<CreateAccount>};
    return info;
}
template <> const MessageInfo& message<UpdateAccount>() {
    static const MessageInfo info{.name = "UpdateAccount", .category = kCategory, .method = Method::put, .path = "/accounts/{uuid}", .body_key = "updateAccount", .completion = Completion::async,
                                  .doc = "Changes an account's name, description or password.", .reply_key = "inventory", .request = &describe<UpdateAccount>, .reply = &describe<Account>,
                                  .request_example = R"({"description":"builds"})", .response_example = kAccountReply, .make = &make_request<UpdateAccount>};
    return info;
}
template <> const MessageInfo& message<DeleteAccount>() {
    static const MessageInfo info{.name = "DeleteAccount", .category = kCategory, .method = Method::del, .path = "/accounts/{uuid}", .completion = Completion::async, .access = Access::admin,
                                  .doc = "Deletes an account that owns nothing.", .request = &describe<DeleteAccount>, .response_example = "{}", .make = &make_request<DeleteAccount>};
    return info;
}

std::vector<const MessageInfo*> identity_messages() {
    static const MessageInfo query{.name = "QueryAccount", .category = kCategory, .method = Method::get, .path = "/accounts", .access = Access::admin, .doc = "Lists accounts.",
                                   .reply_key = "inventories", .reply = &describe<Account>, .query_row = &describe<Account>, .response_example = R"({"inventories":[]})"};
    return {&message<LogInByAccount>(), &message<ValidateSession>(), &message<RenewSession>(), &message<LogOut>(), &message<CreateAccount>(), &query, &message<UpdateAccount>(), &message<DeleteAccount>()};
}

}  // namespace api
}  // namespace ramet
