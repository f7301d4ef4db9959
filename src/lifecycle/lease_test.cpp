#include "lifecycle/lease.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "api/json.hpp"
#include "lifecycle/garbage.hpp"
#include "lifecycle/identity_report.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"

namespace ramet::lifecycle {
namespace {

class OneStorage final : public storage::PrimaryStorages {
public:
    Result<std::shared_ptr<storage::PrimaryStorage>> open(const std::string& root) override {
        auto& storage = storages[root];
        if (storage == nullptr) storage = std::make_shared<test::FakePrimaryStorage>(root);
        return std::shared_ptr<storage::PrimaryStorage>(storage);
    }
    std::map<std::string, std::shared_ptr<test::FakePrimaryStorage>> storages;
};

// alice's web01 and bob's db01, on clocks that the test moves.
class LeaseTest : public testing::Test {
protected:
    LeaseTest() { register_lease_sagas(engine, parts); }
    std::optional<VmInstance> vm(const VmId& uuid) {
        std::vector<VmInstance> rows = pool.rows<VmInstance>({{"uuid", uuid.text()}});
        return rows.empty() ? std::nullopt : std::optional(rows.front());
    }
    void lease(const VmId& uuid, std::int64_t seconds) { ASSERT_TRUE(set_lease(parts, {uuid, seconds}).has_value()); }
    std::size_t expiries() { return pool.rows<Job>({{"kind", "expire-vm"}}).size(); }
    std::size_t events(const std::string& name) { return pool.rows<Event>({{"name", name}}).size(); }
    void look() {
        const Result<void> looked = keeper.look();
        ASSERT_TRUE(looked.has_value()) << looked.error().message << looked.error().detail;
    }
    void await_gone(const VmId& uuid) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (vm(uuid) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        EXPECT_FALSE(vm(uuid).has_value());
    }
    void pass(std::int64_t seconds) {  // time passes
        wall += 1000 * seconds;
        boot += 1000 * seconds;
    }

    test::SmallPool pool;
    std::atomic<std::int64_t> wall{1'800'000'000'000}, boot{5'000};
    StepProofClock clock{[this] { return wall.load(); }, [this] { return boot.load(); }};
    OneStorage storages;
    test::FakePlumbing plumbing;
    test::FakeHypervisor hypervisor;
    resources::Inventory inventory{*pool, resources::LiveFacts{}};
    store::DatabaseSagaLog log{*pool};
    workflow::Engine engine{log, clock, {2, 2, &api::error_object}};
    resources::Parts shared{*pool, clock, storages, plumbing, inventory, engine, pool.folder().string()};
    guest::IdentityKeeper identity{*pool, hypervisor, &wanted_identity};
    Parts parts{shared, hypervisor, identity};
    LeaseKeeper keeper{parts, clock};
};

TEST_F(LeaseTest, EndsAVmAtItsTimeAndNotBefore) {
    lease(pool.db.uuid, 600);
    pass(599);
    look();
    EXPECT_EQ(expiries(), 0U);
    pass(1);
    look();
    EXPECT_EQ(expiries(), 1U);
    await_gone(pool.db.uuid);
    EXPECT_TRUE(vm(pool.web.uuid).has_value());
    EXPECT_EQ(events("lease-ended"), 1U);
    EXPECT_TRUE(pool.rows<Volume>({{"name", "ROOT-for-db01"}}).empty());
    look();
    EXPECT_EQ(expiries(), 1U);
}

TEST_F(LeaseTest, AWallClockThatIsSetForwardEndsNothingEarly) {
    lease(pool.db.uuid, 600);
    wall += 7'200'000;
    look();
    EXPECT_EQ(expiries(), 0U);
    EXPECT_EQ(events("clock-stepped"), 1U);
    EXPECT_EQ(vm(pool.db.uuid)->lease_end_date->milliseconds, wall + 600'000);  // the stored truth follows the wall
    pass(599);
    look();
    EXPECT_EQ(expiries(), 0U);
    pass(2);
    look();
    await_gone(pool.db.uuid);
}

TEST_F(LeaseTest, AWallClockThatIsSetBackKeepsNothingLonger) {
    lease(pool.db.uuid, 600);
    wall -= 7'200'000;
    look();
    pass(601);
    look();
    await_gone(pool.db.uuid);
}

TEST_F(LeaseTest, AnExpiryThatFailedBeforeTheWallClockWasSetBackIsTriedAgain) {
    lease(pool.db.uuid, 600);
    Job failed;
    failed.uuid = JobId::random();
    failed.kind = "expire-vm";
    failed.account_uuid = pool.admin.account;
    failed.target_uuid = pool.db.uuid.text();
    failed.state = JobState::failed;
    failed.finish_date = Timestamp{wall + 600'000};
    pool.add(failed);
    pass(601);
    look();
    EXPECT_TRUE(vm(pool.db.uuid).has_value());  // it failed a second ago
    wall -= 7'200'000;
    look();
    await_gone(pool.db.uuid);
}

TEST_F(LeaseTest, WarnsOnceForEachEnd) {
    lease(pool.web.uuid, 1000);
    look();
    EXPECT_EQ(events("lease-warning"), 0U);
    pass(701);  // vm.leaseWarning is 300 s
    look();
    look();
    ASSERT_EQ(events("lease-warning"), 1U);
    const Event warning = pool.rows<Event>({{"name", "lease-warning"}}).front();
    EXPECT_EQ(warning.account_uuid, pool.alice.account);
    EXPECT_EQ(warning.resource_name, "web01");
    ASSERT_TRUE(extend_lease(parts, {pool.web.uuid, 1000}).has_value());
    look();
    EXPECT_EQ(events("lease-warning"), 1U);
    pass(1000);
    look();
    EXPECT_EQ(events("lease-warning"), 2U);
    EXPECT_EQ(expiries(), 0U);
}

TEST_F(LeaseTest, AVmThatIsStillBeingMadeExpiresAfterwards) {
    lease(pool.db.uuid, 1);
    VmInstance making = *vm(pool.db.uuid);
    making.owner_job_uuid = JobId::random();
    Job job;
    job.uuid = *making.owner_job_uuid;
    job.kind = "other";
    job.account_uuid = pool.admin.account;
    pool.add(job);
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, making); }));
    pass(10);
    look();
    EXPECT_EQ(expiries(), 0U);
    making.owner_job_uuid.reset();
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, making); }));
    look();
    await_gone(pool.db.uuid);
}

TEST_F(LeaseTest, ALeaseThatWasExtendedMeanwhileIsKeptByItsJob) {
    lease(pool.db.uuid, 1);
    pass(2);
    ASSERT_TRUE(extend_lease(parts, {pool.db.uuid, 3600}).has_value());
    const Request request{identity::Caller{pool.admin}, JobId::random(), std::nullopt};
    const Result<JobId> job = submit(parts, request, {"expire-vm", "ExpireVmInstance", pool.db.uuid.text(), "{}"});
    ASSERT_TRUE(job.has_value());
    EXPECT_EQ(engine.wait(*job, std::chrono::seconds(60))->state, JobState::succeeded);
    EXPECT_EQ(vm(pool.db.uuid)->state, VmState::stopped);
}

}  // namespace
}  // namespace ramet::lifecycle
