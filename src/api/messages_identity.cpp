#include "api/messages_identity.hpp"

#include <array>

#include "base/limits.hpp"

namespace ramet {
namespace {

constexpr std::array<std::string_view, 2> kAccountTypes{"SystemAdmin", "Normal"};
constexpr std::array<std::string_view, 1> kLoginTypes{"account"};
constexpr std::string_view kPasswordDoc = "The password's SHA-512 as 128 lower-case hex digits; the clear password is never sent.";
constexpr std::int64_t kRenewSecondsMin = 60;
constexpr std::int64_t kRenewSecondsMax = 31'536'000;  // a year

template <auto Member>
FieldInfo session_field(std::string_view doc) {
    return field<Member>("sessionUuid", doc, {.required = true, .in_path = true, .secret = true, .characters_max = limits::kNameCharactersMax});
}

template <auto Member>
FieldInfo account_uuid_field() {
    return field<Member>("uuid", "The account's uuid.", {.required = true, .in_path = true, .example = "36c27e8ff05c4780bf6d2fa65700f22e"});
}

}  // namespace

template <> const TypeInfo& describe<api::SessionInventory>() {
    using api::SessionInventory;
    static const TypeInfo info = object<SessionInventory>(
        "SessionInventory", "A login.",
        field<&SessionInventory::uuid>("uuid", "Send it as `Authorization: OAuth <uuid>` with every call.", {.secret = true}),
        field<&SessionInventory::account_uuid>("accountUuid", "The account that logged in."),
        field<&SessionInventory::user_uuid>("userUuid", "The same: accounts have no users below them."),
        field<&SessionInventory::expired_date>("expiredDate", "When the session ends unless it is used before."),
        field<&SessionInventory::create_date>("createDate", "When the account logged in."));
    return info;
}
template <> const TypeInfo& describe<api::SessionValidity>() {
    static const TypeInfo info = object<api::SessionValidity>("SessionValidity", "Whether a session may be used.",
                                                              field<&api::SessionValidity::valid>("valid", "True while the session lasts."));
    return info;
}
template <> const TypeInfo& describe<api::LogInByAccount>() {
    using api::LogInByAccount;
    static const TypeInfo info = object<LogInByAccount>(
        "LogInByAccount", "Opens a session.",
        field<&LogInByAccount::account_name>("accountName", "The account's name.",
                                             {.required = true, .characters_max = limits::kNameCharactersMax, .example = "admin"}),
        field<&LogInByAccount::password>("password", kPasswordDoc, {.required = true, .secret = true, .characters_max = limits::kNameCharactersMax}),
        field<&LogInByAccount::account_type>("accountType", "account; the only kind there is.", {.one_of = kLoginTypes}),
        field<&LogInByAccount::captcha_uuid>("captchaUuid", "Accepted and not used: there are no captchas.",
                                             {.characters_max = limits::kNameCharactersMax}),
        field<&LogInByAccount::verify_code>("verifyCode", "Accepted and not used: there are no captchas.",
                                            {.characters_max = limits::kNameCharactersMax}));
    return info;
}
template <> const TypeInfo& describe<api::ValidateSession>() {
    static const TypeInfo info = object<api::ValidateSession>("ValidateSession", "Asks whether a session may be used.",
                                                              session_field<&api::ValidateSession::session_uuid>("The session asked about."));
    return info;
}
template <> const TypeInfo& describe<api::RenewSession>() {
    static const TypeInfo info = object<api::RenewSession>(
        "RenewSession", "Sets how long a session lasts from now on.", session_field<&api::RenewSession::session_uuid>("The session to renew."),
        field<&api::RenewSession::duration>("duration",
                                            "Seconds from now; the setting identity.session.timeout if left out. Use moves the end on as before.",
                                            {.at_least = kRenewSecondsMin, .at_most = kRenewSecondsMax, .example = "86400"}));
    return info;
}
template <> const TypeInfo& describe<api::LogOut>() {
    static const TypeInfo info = object<api::LogOut>("LogOut", "Ends a session.",
                                                     session_field<&api::LogOut::session_uuid>("The session to end; an unknown one is no error."));
    return info;
}
template <> const TypeInfo& describe<api::CreateAccount>() {
    using api::CreateAccount;
    static const TypeInfo info = object<CreateAccount>(
        "CreateAccount", "Makes an account.",
        field<&CreateAccount::name>("name", "The name to log in with; unique, whatever the case of its letters.",
                                    {.required = true, .characters_max = limits::kNameCharactersMax, .example = "ci"}),
        field<&CreateAccount::password>("password", kPasswordDoc, {.required = true, .secret = true, .characters_max = limits::kNameCharactersMax}),
        field<&CreateAccount::type>("type", "SystemAdmin may do everything; Normal sees and changes its own resources.",
                                    {.one_of = kAccountTypes, .fallback = "Normal"}),
        field<&CreateAccount::description>("description", "Free text.", {.characters_max = limits::kTextCharactersMax}),
        field<&CreateAccount::resource_uuid>("resourceUuid", "The uuid to give the account."));
    return info;
}
template <> const TypeInfo& describe<api::UpdateAccount>() {
    using api::UpdateAccount;
    static const TypeInfo info = object<UpdateAccount>(
        "UpdateAccount", "Changes an account; fields left out stay as they are.", account_uuid_field<&UpdateAccount::uuid>(),
        field<&UpdateAccount::password>("password", "The new password. Ends the account's other sessions. SHA-512 as for LogInByAccount.",
                                        {.secret = true, .characters_max = limits::kNameCharactersMax}),
        field<&UpdateAccount::old_password>("oldPassword", "The present password; who is no administrator must give it to change it.",
                                            {.secret = true, .characters_max = limits::kNameCharactersMax}),
        field<&UpdateAccount::name>("name", "The new name.", {.characters_max = limits::kNameCharactersMax}),
        field<&UpdateAccount::description>("description", "Free text.", {.characters_max = limits::kTextCharactersMax}));
    return info;
}
template <> const TypeInfo& describe<api::DeleteAccount>() {
    static const TypeInfo info = object<api::DeleteAccount>("DeleteAccount", "Removes an account that owns nothing, and its sessions.",
                                                            account_uuid_field<&api::DeleteAccount::uuid>());
    return info;
}

namespace api {
namespace {

constexpr std::string_view kSessions = "Resource Center/Account Management/Login Operations";
constexpr std::string_view kAccounts = "Resource Center/Account Management/Account Operations";
constexpr std::string_view kSessionReply =
    R"({"inventory":{"uuid":"4ccbb0c5d1b34c3a9a0f1f6a1b2c3d4e","accountUuid":"36c27e8ff05c4780bf6d2fa65700f22e","userUuid":"36c27e8ff05c4780bf6d2fa65700f22e",)"
    R"("expiredDate":"Nov 15, 2017 12:20:57 AM","createDate":"Nov 14, 2017 10:20:57 PM"}})";
#define RAMET_ACCOUNT_EXAMPLE                                                                                   \
    R"({"uuid":"2a9f2e0e7ab84c6d9b1f3f0c5d6e7f80","name":"ci","description":"build machines","type":"Normal",)" \
    R"("createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"})"
#define RAMET_PASSWORD_EXAMPLE \
    R"("b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb980b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86")"
constexpr std::string_view kAccountReply = R"({"inventory":)" RAMET_ACCOUNT_EXAMPLE "}";

struct Shape {
    std::string_view name, category;
    Method method;
    std::string_view path, body_key;
    Completion completion;
    Access access;
    std::string_view reply_key;
    std::string_view request_example, response_example;
};

template <class Request>
MessageInfo call(const Shape& shape, DescribeFunction reply) {
    MessageInfo info;
    info.name = shape.name;
    info.category = shape.category;
    info.method = shape.method;
    info.path = shape.path;
    info.body_key = shape.body_key;
    info.completion = shape.completion;
    info.access = shape.access;
    info.doc = describe<Request>().doc;
    info.reply_key = shape.reply_key;
    info.request = &describe<Request>;
    info.reply = reply;
    info.request_example = shape.request_example;
    info.response_example = shape.response_example;
    info.make = &make_request<Request>;
    return info;
}

}  // namespace

template <> const MessageInfo& message<LogInByAccount>() {
    static const MessageInfo info =
        call<LogInByAccount>({"LogInByAccount", kSessions, Method::put, "/accounts/login", "logInByAccount", Completion::sync, Access::open,
                              "inventory", R"({"accountName":"admin","password":)" RAMET_PASSWORD_EXAMPLE "}", kSessionReply},
                             &describe<SessionInventory>);
    return info;
}
template <> const MessageInfo& message<ValidateSession>() {
    static const MessageInfo info = call<ValidateSession>({"ValidateSession", kSessions, Method::get, "/accounts/sessions/{sessionUuid}/valid", "",
                                                           Completion::sync, Access::open, "*", "{}", R"({"valid":true})"},
                                                          &describe<SessionValidity>);
    return info;
}
template <> const MessageInfo& message<RenewSession>() {
    static const MessageInfo info =
        call<RenewSession>({"RenewSession", kSessions, Method::put, "/accounts/sessions/{sessionUuid}/renew", "renewSession", Completion::async,
                            Access::session, "inventory", R"({"duration":86400})", kSessionReply},
                           &describe<SessionInventory>);
    return info;
}
template <> const MessageInfo& message<LogOut>() {
    static const MessageInfo info = call<LogOut>(
        {"LogOut", kSessions, Method::del, "/accounts/sessions/{sessionUuid}", "", Completion::sync, Access::open, "", "{}", "{}"}, nullptr);
    return info;
}
template <> const MessageInfo& message<CreateAccount>() {
    static const MessageInfo info = call<CreateAccount>(
        {"CreateAccount", kAccounts, Method::post, "/accounts", "params", Completion::async, Access::admin, "inventory",
         R"({"name":"ci","password":)" RAMET_PASSWORD_EXAMPLE R"(,"type":"Normal","description":"build machines"})", kAccountReply},
        &describe<Account>);
    return info;
}
template <> const MessageInfo& message<UpdateAccount>() {
    static const MessageInfo info =
        call<UpdateAccount>({"UpdateAccount", kAccounts, Method::put, "/accounts/{uuid}", "updateAccount", Completion::async, Access::session,
                             "inventory", R"({"description":"build machines"})", kAccountReply},
                            &describe<Account>);
    return info;
}
template <> const MessageInfo& message<DeleteAccount>() {
    static const MessageInfo info = call<DeleteAccount>(
        {"DeleteAccount", kAccounts, Method::del, "/accounts/{uuid}", "", Completion::async, Access::admin, "", "{}", "{}"}, nullptr);
    return info;
}
template <> const MessageInfo& message<QueryAccount>() {
    static const MessageInfo info = [] {
        MessageInfo query;
        query.name = "QueryAccount";
        query.category = kAccounts;
        query.path = "/accounts";
        query.doc = "Finds the accounts that satisfy all conditions q; who is no administrator finds the own one.";
        query.reply_key = "inventories";
        query.reply = &describe<Account>;
        query.query_row = &describe<Account>;
        query.request_example = "{}";
        query.response_example = R"({"inventories":[)" RAMET_ACCOUNT_EXAMPLE "]}";
        return query;
    }();
    return info;
}

std::vector<const MessageInfo*> identity_messages() {
    return {&message<LogInByAccount>(), &message<ValidateSession>(), &message<RenewSession>(),  &message<LogOut>(),
            &message<CreateAccount>(),  &message<QueryAccount>(),    &message<UpdateAccount>(), &message<DeleteAccount>()};
}

}  // namespace api
}  // namespace ramet
