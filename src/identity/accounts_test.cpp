#include "identity/accounts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/limits.hpp"
#include "identity/identity_fixture_test.hpp"
#include "model/resources.hpp"

namespace ramet::identity {
namespace {

using testing::HasSubstr;

constexpr const char* kAddress = "192.0.2.1";

class AccountsTest : public IdentityTest {
protected:
    static api::LogInByAccount login(const std::string& name, const std::string& clear_password) {
        api::LogInByAccount request;
        request.account_name = name;
        request.password = sha512_hex(clear_password);
        return request;
    }
    void SetUp() override {
        IdentityTest::SetUp();
        ASSERT_TRUE(accounts_->ensure_admin("secret").has_value());
    }
    std::string session(const std::string& name = "admin", const std::string& password = "secret") {
        const Result<api::SessionInventory> opened = accounts_->log_in(login(name, password), kAddress);
        EXPECT_TRUE(opened.has_value()) << opened.error().message;
        return opened.has_value() ? opened->uuid.text() : std::string{};
    }
    Account make(const std::string& name, const std::string& password = "pass") {
        api::CreateAccount request;
        request.name = name;
        request.password = sha512_hex(password);
        const Result<Account> made = accounts_->create(admin_caller(), request);
        EXPECT_TRUE(made.has_value());
        return made.value_or(Account{});
    }
    void set(const std::string& name, const std::string& value) {
        erase<GlobalConfig>({{"uuid", "identity." + name}});
        insert(GlobalConfig{"identity." + name, "identity", name, "", "", value});
    }
    ErrorCode code_of(const std::string& session_uuid) {
        const Result<Caller> caller = accounts_->authenticate(session_uuid);
        return caller.has_value() ? ErrorCode::overloaded : caller.error().code;
    }
};

TEST_F(AccountsTest, HashesTheClearPasswordAsClientsDo) {
    EXPECT_EQ(sha512_hex("password"),
              "b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb980b1d7785e5976ec049b46df5f1326af"
              "5a2ea6d103fd07c95385ffab0cacbc86");
}

TEST_F(AccountsTest, MakesTheAdminOnce) {
    ASSERT_TRUE(accounts_->ensure_admin("another").has_value());
    EXPECT_EQ(count<Account>(), 1);
    const Result<Caller> caller = accounts_->authenticate(session());
    ASSERT_TRUE(caller.has_value());
    EXPECT_TRUE(caller->admin);
    EXPECT_EQ(caller->account.text(), kAdminAccountUuid);
    EXPECT_EQ(caller->account_name, "admin");
}

TEST_F(AccountsTest, StoresNeitherPasswordNorSessionReadably) {
    const std::string uuid = session();
    const Account row = get<Account>(kAdminAccountUuid);
    EXPECT_TRUE(row.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    EXPECT_EQ(count<Session>(), 1);
    EXPECT_EQ(count<Session>({{"uuidHash", uuid}}), 0);
}

TEST_F(AccountsTest, AnswersTheSameToAWrongNameAndAWrongPassword) {
    const std::int64_t before = accounts_->passwords().hashes_computed();
    const Result<api::SessionInventory> password = accounts_->log_in(login("admin", "wrong"), kAddress);
    const std::int64_t between = accounts_->passwords().hashes_computed();
    const Result<api::SessionInventory> name = accounts_->log_in(login("nobody", "secret"), kAddress);
    const std::int64_t after = accounts_->passwords().hashes_computed();
    ASSERT_FALSE(password.has_value());
    ASSERT_FALSE(name.has_value());
    EXPECT_EQ(password.error().code, ErrorCode::bad_credentials);
    EXPECT_EQ(name.error().code, ErrorCode::bad_credentials);
    EXPECT_EQ(name.error().message, password.error().message);
    EXPECT_EQ(between - before, 1);  // the same work, so the same time
    EXPECT_EQ(after - between, 1);
}

TEST_F(AccountsTest, TheHashOfNobodyCostsAsMuchAsAnyOther) {
    const auto time_of = [&](const std::string& name) {
        auto best = std::chrono::steady_clock::duration::max();
        for (int i = 0; i < 3; ++i) {
            const auto begun = std::chrono::steady_clock::now();
            EXPECT_FALSE(accounts_->log_in(login(name, "wrong"), kAddress).has_value());
            best = std::min(best, std::chrono::steady_clock::now() - begun);
        }
        return best;
    };
    const auto known = time_of("admin");
    const auto unknown = time_of("nobody");
    EXPECT_GT(unknown * 3, known);
    EXPECT_GT(known * 3, unknown);
}

TEST_F(AccountsTest, ProvesAPasswordOnceAndThenRemembersIt) {
    session();
    const std::int64_t proven = accounts_->passwords().hashes_computed();
    for (int i = 0; i < 5; ++i) session();
    EXPECT_EQ(accounts_->passwords().hashes_computed(), proven);
    EXPECT_FALSE(accounts_->log_in(login("admin", "wrong"), kAddress).has_value());
    EXPECT_EQ(accounts_->passwords().hashes_computed(), proven + 1);
    clock_.advance(std::chrono::minutes(6));
    session();
    EXPECT_EQ(accounts_->passwords().hashes_computed(), proven + 2);
}

TEST_F(AccountsTest, LimitsFailuresPerAccountAndAddress) {
    for (int i = 0; i < limits::kLoginFailuresMax; ++i) {
        EXPECT_EQ(accounts_->log_in(login(i % 2 == 0 ? "admin" : "ADMIN", "wrong"), kAddress).error().code, ErrorCode::bad_credentials);
    }
    clock_.advance(std::chrono::milliseconds(17'500));
    const std::int64_t before = accounts_->passwords().hashes_computed();
    const Result<api::SessionInventory> refused = accounts_->log_in(login("admin", "secret"), kAddress);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::rate_limited);
    EXPECT_THAT(refused.error().message, HasSubstr("wait 43 seconds"));
    EXPECT_EQ(accounts_->passwords().hashes_computed(), before);
    EXPECT_TRUE(accounts_->log_in(login("admin", "secret"), "192.0.2.2").has_value());
    clock_.advance(limits::kLoginWindow);
    EXPECT_TRUE(accounts_->log_in(login("admin", "secret"), kAddress).has_value());
}

TEST_F(AccountsTest, RemembersNoMoreFailuresThanItsMemoryAllows) {
    LoginLimiter limiter(clock_);
    for (int i = 0; i < 10'300; ++i) {
        limiter.failed("name " + std::to_string(i), kAddress);
        if (i % 2000 == 0) clock_.advance(std::chrono::milliseconds(1));
    }
    EXPECT_LE(limiter.size(), 10'000U);
    for (int i = 0; i < limits::kLoginFailuresMax; ++i) limiter.failed("late", kAddress);
    EXPECT_FALSE(limiter.check("late", kAddress).has_value());
    clock_.set(Timestamp{0});
    EXPECT_TRUE(limiter.check("late", kAddress).has_value());  // a clock set back locks nobody out
}

TEST_F(AccountsTest, KnowsASessionUntilItIsLoggedOut) {
    const std::string uuid = session();
    EXPECT_TRUE(accounts_->session_valid(uuid));
    EXPECT_TRUE(accounts_->authenticate(uuid).has_value());
    EXPECT_TRUE(accounts_->log_out(uuid).has_value());
    EXPECT_EQ(code_of(uuid), ErrorCode::session_invalid);
    EXPECT_FALSE(accounts_->session_valid(uuid));
    EXPECT_TRUE(accounts_->log_out(uuid).has_value());
    EXPECT_TRUE(accounts_->log_out("no uuid at all").has_value());
    for (const std::string& strange : {std::string(), std::string("x"), random_uuid_text(), std::string(5000, 'a')}) {
        EXPECT_EQ(code_of(strange), ErrorCode::session_invalid);
    }
}

TEST_F(AccountsTest, AUsedSessionLastsAnUnusedOneEnds) {
    const std::string used = session();
    const std::string unused = session();
    for (int i = 0; i < 5; ++i) {
        clock_.advance(limits::kSessionTimeout / 2);
        ASSERT_TRUE(accounts_->authenticate(used).has_value()) << i;
    }
    EXPECT_EQ(code_of(unused), ErrorCode::session_invalid);
    clock_.advance(limits::kSessionTimeout);
    EXPECT_EQ(code_of(used), ErrorCode::session_invalid);
}

TEST_F(AccountsTest, ASessionOutlivesTheServer) {
    const std::string uuid = session();
    clock_.advance(limits::kSessionTimeout - std::chrono::seconds(61));
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    restart();
    clock_.advance(limits::kSessionTimeout - std::chrono::seconds(61));
    EXPECT_TRUE(accounts_->authenticate(uuid).has_value());
}

TEST_F(AccountsTest, WritesASessionsEndOnceAMinuteAtMost) {
    const std::string uuid = session();
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    const std::int64_t before = database_->writes;
    for (int i = 0; i < 59; ++i) {
        clock_.advance(std::chrono::seconds(1));
        ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    }
    EXPECT_EQ(database_->writes, before);
    const std::int64_t reads = database_->reads;
    clock_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    EXPECT_EQ(database_->writes, before + 1);
    EXPECT_EQ(database_->reads, reads);
}

TEST_F(AccountsTest, NoticesWithinAMinuteThatAnotherServerEndedTheSession) {
    const std::string uuid = session();
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    Accounts other(*database_, clock_);
    ASSERT_TRUE(other.log_out(uuid).has_value());
    clock_.advance(std::chrono::seconds(60));
    EXPECT_EQ(code_of(uuid), ErrorCode::session_invalid);
}

TEST_F(AccountsTest, RenewsASessionForAsLongAsAsked) {
    const std::string uuid = session();
    api::RenewSession request{uuid, 86'400};
    const Result<api::SessionInventory> renewed = accounts_->renew(admin_caller(), request);
    ASSERT_TRUE(renewed.has_value());
    EXPECT_EQ(renewed->expired_date.milliseconds, clock_.now().milliseconds + 86'400'000);
    clock_.advance(std::chrono::seconds(86'000));
    EXPECT_TRUE(accounts_->authenticate(uuid).has_value());
    const Account other = make("other");
    EXPECT_EQ(accounts_->renew(Caller{other.uuid, "other", false}, request).error().code, ErrorCode::not_owner);
}

TEST_F(AccountsTest, RefusesOneSessionTooManyUntilOthersExpire) {
    for (std::int64_t i = 0; i < limits::kSessionsPerAccountMax; ++i) {
        const Timestamp soon{clock_.now().milliseconds + 1000};
        insert(Session{"hash " + std::to_string(i), AccountId::trusted(std::string(kAdminAccountUuid)), soon, clock_.now()});
    }
    EXPECT_EQ(accounts_->log_in(login("admin", "secret"), kAddress).error().code, ErrorCode::too_many_sessions);
    clock_.advance(std::chrono::seconds(1));
    EXPECT_TRUE(accounts_->log_in(login("admin", "secret"), kAddress).has_value());
}

TEST_F(AccountsTest, AllowsAsManySessionsAsTheSettingSays) {
    set("session.maxConcurrent", "2");
    const std::string first = session();
    session();
    const Result<api::SessionInventory> refused = accounts_->log_in(login("admin", "secret"), kAddress);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::too_many_sessions);
    EXPECT_THAT(refused.error().message, HasSubstr("session.maxConcurrent allows 2; log out"));
    make("other");
    EXPECT_NE(session("other", "pass"), "");
    ASSERT_TRUE(accounts_->log_out(first).has_value());
    EXPECT_NE(session(), "");
}

TEST_F(AccountsTest, ASessionLastsAsLongAsTheSettingSaysAfterItsLastUse) {
    set("session.timeout", "100");
    const Result<api::SessionInventory> opened = accounts_->log_in(login("admin", "secret"), kAddress);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->expired_date.milliseconds, clock_.now().milliseconds + 100'000);
    const std::string used = opened->uuid.text(), unused = session();
    for (int i = 0; i < 5; ++i) {
        clock_.advance(std::chrono::seconds(60));
        EXPECT_TRUE(accounts_->purge_expired_sessions().has_value());
        ASSERT_TRUE(accounts_->authenticate(used).has_value()) << i;
    }
    EXPECT_EQ(code_of(unused), ErrorCode::session_invalid);
    const Result<api::SessionInventory> renewed = accounts_->renew(admin_caller(), {used, std::nullopt});
    ASSERT_TRUE(renewed.has_value());
    EXPECT_EQ(renewed->expired_date.milliseconds, clock_.now().milliseconds + 100'000);
    clock_.advance(std::chrono::seconds(100));
    EXPECT_EQ(code_of(used), ErrorCode::session_invalid);
}

TEST_F(AccountsTest, AShortSessionInUseIsNotPurged) {
    set("session.timeout", "20");
    const std::string used = session();
    for (int i = 0; i < 30; ++i) {
        clock_.advance(std::chrono::seconds(5));
        EXPECT_TRUE(accounts_->purge_expired_sessions().has_value());
        ASSERT_TRUE(accounts_->authenticate(used).has_value()) << i;
    }
}

TEST_F(AccountsTest, ASessionInUseLearnsOfALongerTimeoutWithinAMinute) {
    const std::string uuid = session();
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    set("session.timeout", "14400");
    clock_.advance(std::chrono::seconds(60));
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());  // writes its end, and reads the setting
    ASSERT_TRUE(accounts_->authenticate(uuid).has_value());
    clock_.advance(std::chrono::seconds(14'399));
    EXPECT_TRUE(accounts_->authenticate(uuid).has_value());
}

TEST_F(AccountsTest, ASettingThatCannotBeReadKeepsNobodyOut) {
    set("session.timeout", "soon");
    set("session.maxConcurrent", "-1");
    const Result<api::SessionInventory> opened = accounts_->log_in(login("admin", "secret"), kAddress);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->expired_date.milliseconds, clock_.now().milliseconds + std::chrono::milliseconds(limits::kSessionTimeout).count());
}

TEST_F(AccountsTest, PurgesExpiredSessionsOnly) {
    session();
    clock_.advance(limits::kSessionTimeout / 2);
    const std::string kept = session();
    clock_.advance(limits::kSessionTimeout / 2);
    EXPECT_EQ(accounts_->purge_expired_sessions().value_or(-1), 1);
    EXPECT_TRUE(accounts_->session_valid(kept));
}

TEST_F(AccountsTest, MakesChangesAndRemovesAccounts) {
    const Account made = make("ci");
    EXPECT_EQ(made.type, "Normal");
    api::CreateAccount again;
    again.name = "CI";
    again.password = "x";
    const Result<Account> taken = accounts_->create(admin_caller(), again);
    ASSERT_FALSE(taken.has_value());
    EXPECT_EQ(taken.error().code, ErrorCode::conflict);
    EXPECT_THAT(taken.error().message, HasSubstr("'CI'"));

    api::UpdateAccount rename;
    rename.uuid = made.uuid;
    rename.name = "builder";
    EXPECT_EQ(accounts_->update(admin_caller(), "", rename)->name, "builder");
    EXPECT_NE(session("builder", "pass"), "");

    const api::DeleteAccount removal{made.uuid};
    insert(AccountResourceRef{random_uuid_text(), made.uuid, "VmInstanceVO", {}, {}});
    EXPECT_THAT(accounts_->remove(admin_caller(), removal).error().message, HasSubstr("owns 1 resource"));
    erase<AccountResourceRef>({{"accountUuid", made.uuid.text()}});
    const std::string open = session("builder", "pass");
    ASSERT_TRUE(accounts_->authenticate(open).has_value());
    ASSERT_TRUE(accounts_->remove(admin_caller(), removal).has_value());
    EXPECT_EQ(code_of(open), ErrorCode::session_invalid);
    EXPECT_TRUE(accounts_->remove(admin_caller(), removal).has_value());  // what is gone is gone
    EXPECT_FALSE(accounts_->remove(admin_caller(), api::DeleteAccount{AccountId::trusted("nonsense")}).has_value());
    EXPECT_FALSE(accounts_->remove(admin_caller(), api::DeleteAccount{AccountId::trusted(std::string(kAdminAccountUuid))}).has_value());
}

TEST_F(AccountsTest, LetsOnlyAnAdministratorManageAccounts) {
    const Account made = make("ci");
    const Caller caller{made.uuid, made.name, false};
    EXPECT_EQ(accounts_->create(caller, {}).error().code, ErrorCode::denied);
    EXPECT_EQ(accounts_->remove(caller, {made.uuid}).error().code, ErrorCode::denied);
    api::UpdateAccount other;
    other.uuid = AccountId::trusted(std::string(kAdminAccountUuid));
    other.name = "mine";
    EXPECT_EQ(accounts_->update(caller, "", other).error().code, ErrorCode::not_owner);
}

TEST_F(AccountsTest, ANewPasswordEndsTheOtherSessionsAndTheOldPassword) {
    const Account made = make("ci");
    const Caller caller{made.uuid, made.name, false};
    const std::string own = session("ci", "pass");
    const std::string other = session("ci", "pass");
    ASSERT_TRUE(accounts_->authenticate(other).has_value());
    api::UpdateAccount change;
    change.uuid = made.uuid;
    change.password = sha512_hex("new");
    EXPECT_EQ(accounts_->update(caller, own, change).error().code, ErrorCode::invalid_argument);
    change.old_password = sha512_hex("wrong");
    EXPECT_EQ(accounts_->update(caller, own, change).error().code, ErrorCode::bad_credentials);
    change.old_password = sha512_hex("pass");
    ASSERT_TRUE(accounts_->update(caller, own, change).has_value());
    EXPECT_TRUE(accounts_->session_valid(own));
    EXPECT_FALSE(accounts_->session_valid(other));
    EXPECT_FALSE(accounts_->log_in(login("ci", "pass"), kAddress).has_value());
    EXPECT_TRUE(accounts_->log_in(login("ci", "new"), kAddress).has_value());
}

TEST_F(AccountsTest, SpeaksWithManyThreadsAtOnce) {
    std::vector<std::string> sessions;
    for (int i = 0; i < 4; ++i) sessions.push_back(session());
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (int turn = 0; turn < 200; ++turn) EXPECT_TRUE(accounts_->authenticate(sessions[static_cast<std::size_t>(i)]).has_value());
            EXPECT_TRUE(accounts_->log_out(sessions[static_cast<std::size_t>(i)]).has_value());
            EXPECT_EQ(code_of(sessions[static_cast<std::size_t>(i)]), ErrorCode::session_invalid);
        });
    }
}

}  // namespace
}  // namespace ramet::identity
