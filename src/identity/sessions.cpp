#include "identity/sessions.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/limits.hpp"
#include "model/resources.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::identity {
namespace {

constexpr std::int64_t kWriteMilliseconds = 60'000;  // the end of a session is written this often,
constexpr std::int64_t kWritesPerTimeout = 4;        // and at least this often while it lasts: rows whose end is past are removed
constexpr std::size_t kKnownMax = 100'000;

std::int64_t milliseconds(std::chrono::seconds duration) { return std::chrono::milliseconds(duration).count(); }
Timestamp later(Timestamp instant, std::chrono::seconds duration) { return Timestamp{instant.milliseconds + milliseconds(duration)}; }

std::string hash_of(std::string_view session_uuid) {
    std::array<unsigned char, 32> digest{};
    crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(session_uuid.data()), session_uuid.size(), nullptr, 0);
    std::string hex(2 * digest.size() + 1, '\0');
    sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
    hex.pop_back();
    return hex;
}

Error invalid_session() { return Error{ErrorCode::session_invalid, "the session does not exist or has expired; log in again", {}, nullptr, {}}; }

// One that cannot be read is its default: it must not keep out whoever comes to set it right.
Result<std::int64_t> identity_setting(store::Transaction& transaction, std::string_view name, std::int64_t default_value) {
    TRY_ASSIGN(const std::optional<GlobalConfig> row, store::find<GlobalConfig>(transaction, {{"uuid", "identity." + std::string(name)}}));
    if (!row) return default_value;
    std::int64_t number = 0;
    const char* const end = row->value.data() + row->value.size();
    const auto [stopped, error] = std::from_chars(row->value.data(), end, number);
    return error == std::errc{} && stopped == end && number > 0 ? number : default_value;
}

api::SessionInventory inventory_of(std::string_view session_uuid, const Session& row) {
    api::SessionInventory inventory;
    inventory.uuid = SessionId::trusted(std::string(session_uuid));
    inventory.account_uuid = row.account_uuid;
    inventory.user_uuid = row.account_uuid;
    inventory.expired_date = row.expired_date;
    inventory.create_date = row.create_date;
    return inventory;
}

}  // namespace

Result<api::SessionInventory> Sessions::open(const Account& account) {
    const Timestamp now = clock_.now();
    const std::string session_uuid = random_uuid_text();
    Session row{hash_of(session_uuid), account.uuid, now, now};
    TRY(database_.write([&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::chrono::seconds timeout, read_timeout(transaction));
        row.expired_date = later(now, timeout);
        TRY_ASSIGN(const std::int64_t most, identity_setting(transaction, "session.maxConcurrent", limits::kSessionsPerAccountMax));
        TRY(transaction.execute("DELETE FROM session WHERE \"accountUuid\" = $1 AND \"expiredDate\" <= $2", {account.uuid.text(), now.milliseconds}));
        TRY_ASSIGN(const std::int64_t present, store::count<Session>(transaction, {{"accountUuid", account.uuid.text()}}));
        if (present >= most) {
            const std::string what =
                "the account has " + std::to_string(present) + " sessions, and identity.session.maxConcurrent allows " + std::to_string(most);
            return fail(ErrorCode::too_many_sessions, what + "; log out of some, or wait until they expire");
        }
        return store::insert(transaction, row);
    }));
    return inventory_of(session_uuid, row);
}

Result<Caller> Sessions::authenticate(std::string_view session_uuid) {
    if (!is_uuid_text(session_uuid)) return Result<Caller>(invalid_session());
    const std::string hash = hash_of(session_uuid);
    const Timestamp now = clock_.now();
    std::uint64_t generation = 0;
    {
        const std::lock_guard lock(mutex_);
        generation = generation_;
    }
    bool write_due = false;
    std::optional<Known> known = find_known(hash, now, write_due);
    if (!known) {
        TRY_ASSIGN(known, load(hash, now, write_due));
        keep(hash, *known, generation);
    }
    if (!write_due) return known->caller;
    const Result<bool> written = write_end(hash, known->expires);
    if (!written.has_value()) {
        // A full disk must not lock out whoever comes to make room on it.
        telemetry::log_warning("the end of a session could not be written: {} {}", written.error().message, written.error().detail);
        return known->caller;
    }
    if (*written) return known->caller;
    forget(hash);
    return Result<Caller>(invalid_session());
}

Result<api::SessionInventory> Sessions::renew(const Caller& caller, std::string_view session_uuid, std::optional<std::chrono::seconds> duration) {
    TRY_ASSIGN(const Caller owner, authenticate(session_uuid));
    if (!caller.admin && owner.account != caller.account) return fail(ErrorCode::not_owner, "the session belongs to another account");
    const std::string hash = hash_of(session_uuid);
    TRY_ASSIGN(const Session row, store::write(database_, [&](store::Transaction& transaction) -> Result<Session> {
                   TRY_ASSIGN(std::optional<Session> found, store::find<Session>(transaction, {{"uuidHash", hash}}));
                   if (!found) return Result<Session>(invalid_session());
                   TRY_ASSIGN(const std::chrono::seconds timeout, read_timeout(transaction));
                   found->expired_date = later(clock_.now(), duration.value_or(timeout));
                   TRY(store::update(transaction, *found));
                   return std::move(*found);
               }));
    forget(hash);
    return inventory_of(session_uuid, row);
}

Result<void> Sessions::close(std::string_view session_uuid) {
    const std::string hash = hash_of(session_uuid);
    TRY(database_.write([&](store::Transaction& transaction) -> Result<void> {
        TRY(store::erase<Session>(transaction, {{"uuidHash", hash}}));
        return {};
    }));
    forget(hash);
    return {};
}

Result<void> Sessions::close_all(store::Transaction& transaction, const AccountId& account, std::string_view but_session_uuid) {
    TRY(transaction.execute("DELETE FROM session WHERE \"accountUuid\" = $1 AND \"uuidHash\" <> $2", {account.text(), hash_of(but_session_uuid)}));
    return {};
}

void Sessions::forget_account(const AccountId& account) {
    const std::lock_guard lock(mutex_);
    ++generation_;
    std::erase_if(known_, [&](const auto& entry) { return entry.second.caller.account == account; });
}

Result<std::int64_t> Sessions::purge_expired() {
    const Timestamp now = clock_.now();
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(known_, [&](const auto& entry) { return entry.second.expires <= now; });
    }
    return store::write(database_, [&](store::Transaction& transaction) {
        return transaction.execute("DELETE FROM session WHERE \"expiredDate\" <= $1", {now.milliseconds});
    });
}

Result<std::chrono::seconds> Sessions::read_timeout(store::Transaction& transaction) {
    TRY_ASSIGN(const std::int64_t seconds, identity_setting(transaction, "session.timeout", limits::kSessionTimeout.count()));
    const std::chrono::seconds timeout{seconds};
    timeout_ = timeout;
    return timeout;
}

bool Sessions::is_write_due(std::int64_t unwritten_milliseconds) const {
    return unwritten_milliseconds >= std::min(kWriteMilliseconds, milliseconds(timeout_) / kWritesPerTimeout);
}

// Moves the end on, and says whether this caller is the one to write it.
std::optional<Sessions::Known> Sessions::find_known(const std::string& hash, Timestamp now, bool& write_due) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(hash);
    if (found == known_.end()) return std::nullopt;
    Known& known = found->second;
    if (known.expires <= now) {
        known_.erase(found);  // the row decides: another server may have moved its end on
        return std::nullopt;
    }
    known.expires = std::max(known.expires, later(now, timeout_));
    if (now < known.checked || is_write_due(now.milliseconds - known.checked.milliseconds)) {
        write_due = true;
        known.checked = now;
    }
    return known;
}

Result<Sessions::Known> Sessions::load(const std::string& hash, Timestamp now, bool& write_due) {
    return store::read(database_, [&](store::Transaction& transaction) -> Result<Known> {
        TRY_ASSIGN(const std::optional<Session> row, store::find<Session>(transaction, {{"uuidHash", hash}}));
        if (!row || row->expired_date <= now) return Result<Known>(invalid_session());
        TRY_ASSIGN(const std::optional<Account> account, store::find<Account>(transaction, {{"uuid", row->account_uuid.text()}}));
        if (!account) return Result<Known>(invalid_session());
        TRY_ASSIGN(const std::chrono::seconds timeout, read_timeout(transaction));
        const Timestamp expires = std::max(row->expired_date, later(now, timeout));
        write_due = is_write_due(expires.milliseconds - row->expired_date.milliseconds);
        return Known{Caller{account->uuid, account->name, account->is_admin()}, expires, now};
    });
}

Result<bool> Sessions::write_end(const std::string& hash, Timestamp end) {
    return store::write(database_, [&](store::Transaction& transaction) -> Result<bool> {
        TRY(read_timeout(transaction));
        TRY_ASSIGN(const std::int64_t changed,
                   transaction.execute("UPDATE session SET \"expiredDate\" = CASE WHEN \"expiredDate\" < $1 THEN $1 ELSE \"expiredDate\" END "
                                       "WHERE \"uuidHash\" = $2",
                                       {end.milliseconds, hash}));
        return changed > 0;
    });
}

void Sessions::keep(const std::string& hash, const Known& known, std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    if (generation != generation_) return;
    if (known_.size() >= kKnownMax) known_.clear();
    known_[hash] = known;
}

void Sessions::forget(const std::string& hash) {
    const std::lock_guard lock(mutex_);
    ++generation_;
    known_.erase(hash);
}

}  // namespace ramet::identity
