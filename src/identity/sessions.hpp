// Sessions: rows under the hash of their uuid, and a cache before them for the hot path.
// A session lasts the global setting identity.session.timeout after its last use. The new end is written once a minute at most; the same
// write finds out whether another server has ended the session meanwhile, and how long sessions last now.
// Thread rules: any thread; database calls block, none is made under the mutex.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "api/messages_identity.hpp"
#include "base/clock.hpp"
#include "base/limits.hpp"
#include "identity/caller.hpp"
#include "store/database.hpp"

namespace ramet::identity {

class Sessions {
public:
    Sessions(store::Database& database, Clock& clock) : database_(database), clock_(clock) {}
    Result<api::SessionInventory> open(const Account& account);  // too_many_sessions
    Result<Caller> authenticate(std::string_view session_uuid);  // session_invalid
    // Without a duration: as long as a new one.
    Result<api::SessionInventory> renew(const Caller& caller, std::string_view session_uuid, std::optional<std::chrono::seconds> duration);
    Result<void> close(std::string_view session_uuid);  // an unknown one is no error
    // Part of the transaction that changes the account; call forget_account() when it is committed.
    Result<void> close_all(store::Transaction& transaction, const AccountId& account, std::string_view but_session_uuid);
    void forget_account(const AccountId& account);
    Result<std::int64_t> purge_expired();  // how many

private:
    struct Known {
        Caller caller;
        Timestamp expires;
        Timestamp checked;
    };  // checked: against the row
    std::optional<Known> find_known(const std::string& hash, Timestamp now, bool& write_due);
    Result<std::chrono::seconds> read_timeout(store::Transaction& transaction);
    bool is_write_due(std::int64_t unwritten_milliseconds) const;
    Result<Known> load(const std::string& hash, Timestamp now, bool& write_due);
    Result<bool> write_end(const std::string& hash, Timestamp end);  // false: there is no such session any more
    void keep(const std::string& hash, const Known& known, std::uint64_t generation);
    void forget(const std::string& hash);

    store::Database& database_;
    Clock& clock_;
    std::atomic<std::chrono::seconds> timeout_{limits::kSessionTimeout};  // as last read
    std::mutex mutex_;
    std::unordered_map<std::string, Known> known_;
    std::uint64_t generation_ = 0;  // grows when sessions are ended: what was read before is not kept
};

}  // namespace ramet::identity
