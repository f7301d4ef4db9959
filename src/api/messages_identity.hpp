// Sessions and accounts (contract 2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "model/account.hpp"

namespace ramet::api {

struct LogInByAccount { std::string account_name, password; std::optional<std::string> account_type; };
struct SessionInventory { SessionId uuid; AccountId account_uuid, user_uuid; Timestamp expired_date, create_date; };
struct ValidateSession { SessionId session_uuid; };
struct ValidateSessionReply { bool valid = false; };
struct RenewSession { SessionId session_uuid; std::optional<std::int64_t> duration; };
struct LogOut { SessionId session_uuid; };
struct CreateAccount { std::string name, password; std::optional<std::string> type, description; };
struct UpdateAccount { AccountId uuid; std::optional<std::string> password, name, description, old_password; };
struct DeleteAccount { AccountId uuid; std::string delete_mode = "Permissive"; };

std::vector<const MessageInfo*> identity_messages();

}  // namespace ramet::api

namespace ramet {

#define RAMET_DECLARE_MESSAGE(Request)                    \
    template <> const TypeInfo& describe<api::Request>(); \
    namespace api {                                       \
    template <> const MessageInfo& message<Request>();    \
    }
RAMET_DECLARE_MESSAGE(LogInByAccount)
RAMET_DECLARE_MESSAGE(ValidateSession)
RAMET_DECLARE_MESSAGE(RenewSession)
RAMET_DECLARE_MESSAGE(LogOut)
RAMET_DECLARE_MESSAGE(CreateAccount)
RAMET_DECLARE_MESSAGE(UpdateAccount)
RAMET_DECLARE_MESSAGE(DeleteAccount)
#undef RAMET_DECLARE_MESSAGE
template <> const TypeInfo& describe<api::SessionInventory>();
template <> const TypeInfo& describe<api::ValidateSessionReply>();

}  // namespace ramet
