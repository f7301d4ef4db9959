// Messages about logins and accounts (contract 2). Field meaning and rules: messages_identity.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "model/account.hpp"

namespace ramet::api {

struct LogInByAccount {
    std::string account_name;
    std::string password;  // lower-case hex SHA-512 of the clear password
    std::optional<std::string> account_type, captcha_uuid, verify_code;
};
struct SessionInventory {
    SessionId uuid;
    AccountId account_uuid;
    AccountId user_uuid;  // the account's: there are no users below an account
    Timestamp expired_date, create_date;
};
// Text, not an id: whatever a client holds may be asked about or logged out.
struct ValidateSession {
    std::string session_uuid;
};
struct SessionValidity {
    bool valid = false;
};
struct RenewSession {
    std::string session_uuid;
    std::optional<std::int64_t> duration;
};
struct LogOut {
    std::string session_uuid;
};

struct CreateAccount {
    std::string name;
    std::string password;
    std::string type = "Normal";
    std::optional<std::string> description;
    std::optional<AccountId> resource_uuid;
};
struct UpdateAccount {
    AccountId uuid;
    std::optional<std::string> password, old_password, name, description;
};
struct DeleteAccount {
    AccountId uuid;
};
struct QueryAccount {};

std::vector<const MessageInfo*> identity_messages();

}  // namespace ramet::api

namespace ramet {

template <> const TypeInfo& describe<api::SessionInventory>();
template <> const TypeInfo& describe<api::SessionValidity>();

RAMET_DECLARE_MESSAGE(LogInByAccount)
RAMET_DECLARE_MESSAGE(ValidateSession)
RAMET_DECLARE_MESSAGE(RenewSession)
RAMET_DECLARE_MESSAGE(LogOut)
RAMET_DECLARE_MESSAGE(CreateAccount)
RAMET_DECLARE_MESSAGE(UpdateAccount)
RAMET_DECLARE_MESSAGE(DeleteAccount)

namespace api {
template <> const MessageInfo& message<QueryAccount>();
}

}  // namespace ramet
