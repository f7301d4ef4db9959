#include "identity/accounts.hpp"

#include "store/table.hpp"

namespace ramet::identity {
namespace {

using store::Transaction;

Result<void> must_be_admin(const Caller& caller, const std::string& what) {
    if (caller.admin) return {};
    return fail(ErrorCode::denied, "only an administrator may " + what + "; log in as one");
}

Error bad_credentials() { return Error{ErrorCode::bad_credentials, "the account name or the password is wrong", {}, nullptr, {}}; }

// The database's word for a taken name or uuid, as the caller's.
template <class T>
Result<T> with_taken_name(Result<T> outcome, const std::string& name) {
    if (outcome.has_value() || outcome.error().code != ErrorCode::conflict) return outcome;
    const bool by_name = outcome.error().detail.find("account.name") != std::string::npos;
    if (by_name)
        outcome.error().message = "there is an account named '" + name + "' already; choose another name";
    else
        outcome.error().message = "there is an account with this uuid already; choose another";
    return outcome;
}

constexpr std::string_view kOldPasswordAddress = "old password";  // its failures are counted apart from those of logins

}  // namespace

Caller admin_caller() { return Caller{AccountId::trusted(std::string(kAdminAccountUuid)), std::string(kAdminAccountName), true}; }

Result<void> Accounts::ensure_admin(const std::string& clear_password) {
    const auto present = [](Transaction& transaction) { return store::count<Account>(transaction, {{"uuid", std::string(kAdminAccountUuid)}}); };
    TRY_ASSIGN(const std::int64_t before, store::read(database_, present));
    if (before > 0) return {};
    if (clear_password.empty()) return fail(ErrorCode::invalid_argument, "the administrator's password must not be empty");
    Account admin;
    admin.uuid = AccountId::trusted(std::string(kAdminAccountUuid));
    admin.name = kAdminAccountName;
    admin.type = "SystemAdmin";
    admin.create_date = clock_.now();
    admin.last_op_date = admin.create_date;
    TRY_ASSIGN(admin.password_hash, passwords_.hash(sha512_hex(clear_password)));
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::int64_t now, present(transaction));  // several servers may start at once
        if (now > 0) return {};
        return store::insert(transaction, admin);
    });
}

Result<api::SessionInventory> Accounts::log_in(const api::LogInByAccount& request, const std::string& client_address) {
    TRY(limiter_.check(request.account_name, client_address));
    TRY_ASSIGN(const std::optional<Account> account,
               store::read(database_, [&](Transaction& transaction) { return store::find<Account>(transaction, {{"name", request.account_name}}); }));
    bool right = false;
    if (account)
        right = passwords_.verify(account->uuid, account->password_hash, request.password);
    else
        passwords_.verify_nothing(request.password);
    if (!right) {
        limiter_.failed(request.account_name, client_address);
        return Result<api::SessionInventory>(bad_credentials());
    }
    // Whoever guessed on while others were being checked gets no more guesses than the rest.
    TRY(limiter_.check(request.account_name, client_address));
    limiter_.succeeded(request.account_name, client_address);
    return sessions_.open(*account);
}

bool Accounts::session_valid(std::string_view session_uuid) { return sessions_.authenticate(session_uuid).has_value(); }

Result<api::SessionInventory> Accounts::renew(const Caller& caller, const api::RenewSession& request) {
    std::optional<std::chrono::seconds> duration;
    if (request.duration) duration = std::chrono::seconds(*request.duration);
    return sessions_.renew(caller, request.session_uuid, duration);
}

Result<Account> Accounts::create(const Caller& caller, const api::CreateAccount& request) {
    TRY(must_be_admin(caller, "make accounts"));
    if (request.name.empty() || request.password.empty()) return fail(ErrorCode::invalid_argument, "an account needs a name and a password");
    Account account;
    account.uuid = request.resource_uuid.value_or(AccountId{});
    if (account.uuid.empty()) account.uuid = AccountId::random();
    account.name = request.name;
    account.description = request.description;
    account.type = request.type;
    account.create_date = clock_.now();
    account.last_op_date = account.create_date;
    TRY_ASSIGN(account.password_hash, passwords_.hash(request.password));
    return with_taken_name(store::write(database_,
                                        [&](Transaction& transaction) -> Result<Account> {
                                            TRY(store::insert(transaction, account));
                                            return account;
                                        }),
                           request.name);
}

Result<Account> Accounts::update(const Caller& caller, std::string_view session_uuid, const api::UpdateAccount& request) {
    if (!caller.admin && request.uuid != caller.account) {
        return fail(ErrorCode::not_owner, "permission denied: only an administrator may change another account");
    }
    if (request.password && request.password->empty()) return fail(ErrorCode::invalid_argument, "the new password must not be empty");
    if (request.name && request.name->empty()) return fail(ErrorCode::invalid_argument, "the new name must not be empty");
    const auto get = [&](Transaction& transaction) { return store::get<Account>(transaction, request.uuid.text()); };
    TRY_ASSIGN(const Account before, store::read(database_, get));
    std::string new_hash;
    if (request.password) {
        if (!caller.admin || request.old_password) { TRY(check_old_password(before, request)); }
        TRY_ASSIGN(new_hash, passwords_.hash(*request.password));
    }
    Result<Account> changed = store::write(database_, [&](Transaction& transaction) -> Result<Account> {
        TRY_ASSIGN(Account account, get(transaction));
        if (request.name) account.name = *request.name;
        if (request.description) account.description = request.description;
        if (request.password) {
            account.password_hash = new_hash;
            TRY(sessions_.close_all(transaction, account.uuid, caller.account == account.uuid ? session_uuid : std::string_view{}));
        }
        account.last_op_date = clock_.now();
        TRY(store::update(transaction, account));
        return account;
    });
    passwords_.forget(request.uuid);
    sessions_.forget_account(request.uuid);
    return with_taken_name(std::move(changed), request.name.value_or(""));
}

Result<void> Accounts::check_old_password(const Account& account, const api::UpdateAccount& request) {
    if (!request.old_password) return fail(ErrorCode::invalid_argument, "field 'oldPassword' is mandatory to change a password");
    const std::string address(kOldPasswordAddress);
    TRY(limiter_.check(account.name, address));
    if (passwords_.verify(account.uuid, account.password_hash, *request.old_password)) return {};
    limiter_.failed(account.name, address);
    return fail(ErrorCode::bad_credentials, "field 'oldPassword' is not the account's password");
}

Result<void> Accounts::remove(const Caller& caller, const api::DeleteAccount& request) {
    TRY(must_be_admin(caller, "remove accounts"));
    if (request.uuid.text() == kAdminAccountUuid) {
        return fail(ErrorCode::operation_failed, "the account 'admin' cannot be removed; the server needs it");
    }
    TRY(AccountId::parse(request.uuid.text()));
    TRY(database_.write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<Account> account, store::find<Account>(transaction, {{"uuid", request.uuid.text()}}));
        if (!account) return {};  // what is gone is gone
        TRY_ASSIGN(const std::int64_t owned, store::count<AccountResourceRef>(transaction, {{"accountUuid", account->uuid.text()}}));
        if (owned > 0) {
            const std::string what = "the account '" + account->name + "' still owns " + std::to_string(owned) + " resources";
            return fail(ErrorCode::operation_failed, what + "; remove them first");
        }
        TRY(sessions_.close_all(transaction, account->uuid, {}));
        TRY(store::erase<Account>(transaction, {{"uuid", account->uuid.text()}}));
        return {};
    }));
    passwords_.forget(request.uuid);
    sessions_.forget_account(request.uuid);
    return {};
}

}  // namespace ramet::identity
