// Accounts and logins: who may come in, and as whom.
//
//   login ─► too many failures? ─► argon2id, for unknown names too ─► session row (hashed uuid) ─► inventory
//   call  ─► authenticate ─► Caller (from memory; the row is looked at once a minute)
//
// Thread rules: any thread; every call may block on the database, logging in on hashing too (some 30 ms).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "api/messages_identity.hpp"
#include "base/clock.hpp"
#include "identity/caller.hpp"
#include "identity/login_limiter.hpp"
#include "identity/passwords.hpp"
#include "identity/sessions.hpp"
#include "store/database.hpp"

namespace ramet::identity {

inline constexpr std::string_view kAdminAccountUuid = "36c27e8ff05c4780bf6d2fa65700f22e";  // every ZStack server's
inline constexpr std::string_view kAdminAccountName = "admin";

Caller admin_caller();  // for what the server does on its own behalf

class Accounts {
public:
    Accounts(store::Database& database, Clock& clock)
        : database_(database),
          clock_(clock),
          limiter_(clock),
          passwords_(clock),
          sessions_(database, clock) {}

    // Makes the account `admin` at the first start; later calls change nothing, whatever the password.
    Result<void> ensure_admin(const std::string& clear_password);

    // bad_credentials for a wrong name as for a wrong password, after the same time; rate_limited; too_many_sessions.
    Result<api::SessionInventory> log_in(const api::LogInByAccount& request, const std::string& client_address);
    bool session_valid(std::string_view session_uuid);
    Result<api::SessionInventory> renew(const Caller& caller, const api::RenewSession& request);
    Result<void> log_out(std::string_view session_uuid) { return sessions_.close(session_uuid); }
    Result<Caller> authenticate(std::string_view session_uuid) { return sessions_.authenticate(session_uuid); }
    Result<std::int64_t> purge_expired_sessions() { return sessions_.purge_expired(); }

    Result<Account> create(const Caller& caller, const api::CreateAccount& request);
    // A new password ends all sessions of the account but `session_uuid`, the caller's own.
    Result<Account> update(const Caller& caller, std::string_view session_uuid, const api::UpdateAccount& request);
    // Refused while the account owns resources, and for `admin`.
    Result<void> remove(const Caller& caller, const api::DeleteAccount& request);

    const Passwords& passwords() const { return passwords_; }

private:
    Result<void> check_old_password(const Account& account, const api::UpdateAccount& request);

    store::Database& database_;
    Clock& clock_;
    LoginLimiter limiter_;
    Passwords passwords_;
    Sessions sessions_;
};

}  // namespace ramet::identity
