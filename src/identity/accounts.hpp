// Accounts and sessions. The wire carries the client's SHA-512 of a password; at rest it is argon2id over that. Sessions are stored under a
// hash of their uuid. Lifetime slides: each use moves the end to now + limits::kSessionTimeout, written at most once a minute.
// Thread rules: any thread; calls block on the database, log_in() also on argon2id (tens of milliseconds).
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "api/messages_identity.hpp"
#include "base/clock.hpp"
#include "identity/caller.hpp"
#include "identity/login_limiter.hpp"

namespace ramet::identity {

inline constexpr std::string_view kAdminAccountUuid = "36c27e8ff05c4780bf6d2fa65700f22e";

class Accounts {
public:
    Accounts(store::Database& database, const Clock& clock);
    // First start only: makes the account `admin`. `clear_password` as a person would type it.
    Result<void> ensure_admin(const std::string& clear_password);
    Result<bool> has_admin();

    Result<api::SessionInventory> log_in(const api::LogInByAccount& message, const std::string& client_address);
    Result<Caller> authenticate(const std::string& session_uuid);  // session_invalid when unknown or expired
    Result<bool> session_valid(const std::string& session_uuid);
    Result<api::SessionInventory> renew(const Caller& caller, const api::RenewSession& message);
    Result<void> log_out(const std::string& session_uuid);         // unknown: success

    Result<Account> create_account(const api::CreateAccount& message);
    Result<Account> update_account(const Caller& caller, const api::UpdateAccount& message);
    Result<void> delete_account(const api::DeleteAccount& message);
    Result<void> purge_expired_sessions();

private:
    struct Known { Caller caller; Timestamp expires, written; };
    Result<Account> verify(const std::string& name, const std::string& password);
    void forget_account(const AccountId& account);
    store::Database& database_;
    const Clock& clock_;
    LoginLimiter limiter_;
    std::string dummy_hash_;                    // verified against for unknown names, so that they take as long
    std::mutex mutex_;
    std::map<std::string, Known> sessions_;     // by uuid hash; bounded by the sessions in the database
};

}  // namespace ramet::identity
