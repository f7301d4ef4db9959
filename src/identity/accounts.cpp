#include "identity/accounts.hpp"

#include <sodium.h>

#include <array>

#include "base/limits.hpp"
#include "store/table.hpp"

namespace ramet::identity {

using store::Transaction;

namespace {

constexpr std::int64_t kWritePauseMilliseconds = 60'000;
constexpr std::int64_t kSessionMilliseconds = std::chrono::milliseconds(limits::kSessionTimeout).count();

std::string to_hex(const unsigned char* bytes, std::size_t count) {
    std::string text(count * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes, count);
    text.pop_back();
    return text;
}

std::string sha512_hex(const std::string& clear) {
    std::array<unsigned char, crypto_hash_sha512_BYTES> hash{};
    crypto_hash_sha512(hash.data(), reinterpret_cast<const unsigned char*>(clear.data()), clear.size());
    return to_hex(hash.data(), hash.size());
}

// What a session is stored under: a stolen database opens none.
std::string session_hash(const std::string& uuid) {
    std::array<unsigned char, crypto_generichash_BYTES> hash{};
    crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(uuid.data()), uuid.size(), nullptr, 0);
    return to_hex(hash.data(), hash.size());
}

Result<std::string> password_hash(const std::string& password) {
    constexpr std::size_t kMemoryBytes = 19U << 20U;  // argon2id, 19 MiB and two passes: the floor that OWASP recommends
    constexpr unsigned long long kPasses = 2;
    std::array<char, crypto_pwhash_STRBYTES> text{};
    if (crypto_pwhash_str(text.data(), password.data(), password.size(), kPasses, kMemoryBytes) != 0) {
        return fail(ErrorCode::internal, "not enough memory to hash a password");
    }
    return std::string(text.data());
}

std::unexpected<Error> session_is_invalid() { return fail(ErrorCode::session_invalid, "the session is unknown or has expired; log in again"); }

api::SessionInventory inventory_of(const std::string& uuid, const Session& session) {
    return {SessionId::trusted(uuid), session.account_uuid, AccountId::trusted(session.account_uuid.text()), session.expired_date, session.create_date};
}

}  // namespace

Accounts::Accounts(store::Database& database, const Clock& clock) : database_(database), clock_(clock) {
    dummy_hash_ = password_hash(random_uuid_text()).value_or("");
}

Result<bool> Accounts::has_admin() {
    return store::read(database_, [](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const std::int64_t rows, store::count<Account>(transaction, {{"uuid", std::string(kAdminAccountUuid)}}));
        return rows > 0;
    });
}

Result<void> Accounts::ensure_admin(const std::string& clear_password) {
    TRY_ASSIGN(const bool there, has_admin());
    if (there) return {};
    Account admin;
    admin.uuid = AccountId::trusted(std::string(kAdminAccountUuid));
    admin.name = "admin";
    admin.type = "SystemAdmin";
    TRY_ASSIGN(admin.password_hash, password_hash(sha512_hex(clear_password)));
    admin.create_date = admin.last_op_date = clock_.now();
    return database_.write([&](Transaction& transaction) { return store::insert(transaction, admin); });
}

Result<Account> Accounts::verify(const std::string& name, const std::string& password) {
    TRY_ASSIGN(const std::optional<Account> account, store::read(database_, [&](Transaction& transaction) { return store::find<Account>(transaction, {{"name", name}}); }));
    const std::string& hash = account ? account->password_hash : dummy_hash_;
    const bool right = crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
    if (!account || !right) return fail(ErrorCode::bad_credentials, "wrong account name or password");
    return *account;
}

Result<api::SessionInventory> Accounts::log_in(const api::LogInByAccount& message, const std::string& client_address) {
    TRY(limiter_.check(message.account_name, client_address, clock_.now()));
    const Result<Account> account = verify(message.account_name, message.password);
    if (!account.has_value()) {
        if (account.error().code == ErrorCode::bad_credentials) limiter_.failed(message.account_name, client_address, clock_.now());
        return std::unexpected(account.error());
    }
    limiter_.succeeded(message.account_name, client_address);
    const std::string uuid = random_uuid_text();
    Session session;
    session.uuid_hash = session_hash(uuid);
    session.account_uuid = account->uuid;
    session.create_date = clock_.now();
    session.expired_date = Timestamp{session.create_date.milliseconds + kSessionMilliseconds};
    TRY(database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.execute("DELETE FROM session WHERE expiredDate < $1", {session.create_date.milliseconds}));
        TRY_ASSIGN(const std::int64_t open, store::count<Session>(transaction, {{"accountUuid", account->uuid.text()}}));
        if (open >= limits::kSessionsPerAccountMax) return fail(ErrorCode::too_many_sessions, "the account has " + std::to_string(open) + " open sessions; log out of some, or wait until they expire");
        return store::insert(transaction, session);
    }));
    return inventory_of(uuid, session);
}

Result<Caller> Accounts::authenticate(const std::string& session_uuid) {
    if (!is_uuid_text(session_uuid)) return session_is_invalid();
    const std::string hash = session_hash(session_uuid);
    const Timestamp now = clock_.now();
    std::optional<Known> known;
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = sessions_.find(hash); found != sessions_.end()) known = found->second;
    }
    if (!known) {
        struct Loaded { std::optional<Session> session; std::optional<Account> account; };
        TRY_ASSIGN(const Loaded loaded, store::read(database_, [&](Transaction& transaction) -> Result<Loaded> {
            Loaded rows;
            TRY_ASSIGN(rows.session, store::find<Session>(transaction, {{"uuidHash", hash}}));
            if (!rows.session) return rows;
            TRY_ASSIGN(rows.account, store::find<Account>(transaction, {{"uuid", rows.session->account_uuid.text()}}));
            return rows;
        }));
        if (!loaded.session || !loaded.account) return session_is_invalid();
        known = Known{{loaded.account->uuid, loaded.account->name, loaded.account->is_admin()}, loaded.session->expired_date,
                      Timestamp{loaded.session->expired_date.milliseconds - kSessionMilliseconds}};
    }
    if (known->expires <= now) {
        TRY(log_out(session_uuid));
        return session_is_invalid();
    }
    known->expires = std::max(known->expires, Timestamp{now.milliseconds + kSessionMilliseconds});
    if (now.milliseconds - known->written.milliseconds >= kWritePauseMilliseconds) {
        known->written = now;
        TRY(database_.write([&](Transaction& transaction) -> Result<void> {
            TRY(transaction.execute("UPDATE session SET expiredDate = $1 WHERE uuidHash = $2", {known->expires.milliseconds, hash}));
            return {};
        }));
    }
    const std::lock_guard lock(mutex_);
    sessions_[hash] = *known;
    return known->caller;
}

Result<bool> Accounts::session_valid(const std::string& session_uuid) {
    const Result<Caller> caller = authenticate(session_uuid);
    if (!caller.has_value() && caller.error().code != ErrorCode::session_invalid) return std::unexpected(caller.error());
    return caller.has_value();
}

Result<api::SessionInventory> Accounts::renew(const Caller& caller, const api::RenewSession& message) {
    const std::string hash = session_hash(message.session_uuid.text());
    const Timestamp end{clock_.now().milliseconds + message.duration.value_or(limits::kSessionTimeout.count()) * 1000};
    TRY_ASSIGN(const Session session, store::write(database_, [&](Transaction& transaction) -> Result<Session> {
        TRY_ASSIGN(std::optional<Session> row, store::find<Session>(transaction, {{"uuidHash", hash}}));
        if (!row || row->account_uuid != caller.account) return fail(ErrorCode::not_found, "sessionUuid names no session of yours");
        row->expired_date = end;
        TRY(store::update(transaction, *row));
        return *row;
    }));
    const std::lock_guard lock(mutex_);
    sessions_.erase(hash);
    return inventory_of(message.session_uuid.text(), session);
}

Result<void> Accounts::log_out(const std::string& session_uuid) {
    const std::string hash = session_hash(session_uuid);
    {
        const std::lock_guard lock(mutex_);
        sessions_.erase(hash);
    }
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(store::erase<Session>(transaction, {{"uuidHash", hash}}));
        return {};
    });
}

void Accounts::forget_account(const AccountId& account) {
    const std::lock_guard lock(mutex_);
    std::erase_if(sessions_, [&](const auto& entry) { return entry.second.caller.account == account; });
}

Result<Account> Accounts::create_account(const api::CreateAccount& message) {
    if (message.name.empty()) return fail(ErrorCode::invalid_argument, "name is empty; give the account a name");
    Account account;
    account.uuid = AccountId::random();
    account.name = message.name;
    account.description = message.description;
    account.type = message.type.value_or("Normal");
    TRY_ASSIGN(account.password_hash, password_hash(message.password));
    account.create_date = account.last_op_date = clock_.now();
    const Result<void> made = database_.write([&](Transaction& transaction) { return store::insert(transaction, account); });
    if (!made.has_value() && made.error().code == ErrorCode::conflict) return fail(ErrorCode::conflict, "name '" + message.name + "' is taken by another account; choose another");
    TRY(made);
    return account;
}

Result<Account> Accounts::update_account(const Caller& caller, const api::UpdateAccount& message) {
    if (!caller.admin && caller.account != message.uuid) return fail(ErrorCode::denied, "only an admin may change another account");
    TRY_ASSIGN(const Account before, store::read(database_, [&](Transaction& transaction) { return store::get<Account>(transaction, message.uuid.text()); }));
    std::string hash = before.password_hash;
    if (message.password) {
        if (!caller.admin) TRY(verify(before.name, message.old_password.value_or("")));
        TRY_ASSIGN(hash, password_hash(*message.password));
    }
    TRY_ASSIGN(const Account account, store::write(database_, [&](Transaction& transaction) -> Result<Account> {
        TRY_ASSIGN(Account row, store::get<Account>(transaction, message.uuid.text()));
        row.password_hash = hash;
        if (message.name) row.name = *message.name;
        if (message.description) row.description = message.description;
        row.last_op_date = clock_.now();
        TRY(store::update(transaction, row));
        if (message.password) TRY(store::erase<Session>(transaction, {{"accountUuid", message.uuid.text()}}));  // a new password ends every session
        return row;
    }));
    forget_account(message.uuid);
    return account;
}

Result<void> Accounts::delete_account(const api::DeleteAccount& message) {
    if (message.uuid.text() == kAdminAccountUuid) return fail(ErrorCode::operation_failed, "the account admin cannot be deleted");
    TRY(database_.write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::int64_t owned, store::count<AccountResourceRef>(transaction, {{"accountUuid", message.uuid.text()}}));
        if (owned > 0) return fail(ErrorCode::operation_failed, "the account owns " + std::to_string(owned) + " resources; delete them first");
        TRY(store::erase<Session>(transaction, {{"accountUuid", message.uuid.text()}}));
        TRY(store::erase<Account>(transaction, {{"uuid", message.uuid.text()}}));
        return {};
    }));
    forget_account(message.uuid);
    return {};
}

Result<void> Accounts::purge_expired_sessions() {
    const Timestamp now = clock_.now();
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(sessions_, [&](const auto& entry) { return entry.second.expires <= now; });
    }
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.execute("DELETE FROM session WHERE expiredDate < $1", {now.milliseconds}));
        return {};
    });
}

}  // namespace ramet::identity
