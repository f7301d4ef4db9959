#include "lifecycle/destroy.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/volumes.hpp"

namespace ramet::lifecycle {
namespace {

// alice's web01 runs.
class DestroyTest : public LifecycleFixture {
protected:
    DestroyTest() {
        register_destroy_sagas(engine, parts);
        hypervisor.change(pool.web.uuid, [](auto& domain) { domain.state = hypervisor::DomainState::running; });
    }
    JobState destroy() {
        const Result<std::optional<JobId>> job =
            destroy_vm(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, api::DestroyVmInstance{pool.web.uuid});
        EXPECT_TRUE(job.has_value() && job->has_value());
        return engine.wait(job->value(), std::chrono::seconds(60))->state;
    }
    VmState state() { return pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0).state; }
    hypervisor::DomainState process() { return hypervisor.domain(pool.web.uuid)->state; }
};

TEST_F(DestroyTest, AVmThatCannotBeStoppedIsRunningAsBefore) {
    hypervisor.plant({"stop"});
    EXPECT_EQ(destroy(), JobState::failed);
    EXPECT_EQ(state(), VmState::running);
    EXPECT_EQ(process(), hypervisor::DomainState::running);
    EXPECT_EQ(destroy(), JobState::succeeded);
    EXPECT_EQ(state(), VmState::destroyed);
}

TEST_F(DestroyTest, AVmThatWasStoppedAndNotCleanedUpIsStopped) {
    hypervisor.plant({.operation = "stop", .after_effect = true});
    EXPECT_EQ(destroy(), JobState::failed);
    EXPECT_EQ(state(), VmState::stopped);
    EXPECT_EQ(process(), hypervisor::DomainState::shut_off);
}

class ExpungeTest : public LifecycleFixture {
protected:
    ExpungeTest() {
        register_destroy_sagas(engine, parts);
        register_volume_sagas(engine, parts);
    }
    Timestamp before(std::chrono::milliseconds ago) { return Timestamp{parts.now().milliseconds - ago.count()}; }
    VolumeId deleted_volume(int number, std::chrono::seconds ago) {
        Volume volume;
        volume.uuid = VolumeId::trusted(test::uuid_text(number));
        volume.name = "data";
        volume.type = VolumeType::data;
        volume.status = VolumeStatus::deleted;
        volume.last_op_date = before(ago);
        pool.add_owned(volume, pool.alice);
        return volume.uuid;
    }
    void expunge() {
        const Result<void> begun = expunge_expired(parts);
        ASSERT_TRUE(begun.has_value()) << begun.error().message;
        for (const Job& job : pool.rows<Job>()) EXPECT_EQ(engine.wait(job.uuid, std::chrono::seconds(60))->state, JobState::succeeded) << job.kind;
    }
    bool there(const VolumeId& volume) { return !pool.rows<Volume>({{"uuid", volume.text()}}).empty(); }
};

TEST_F(ExpungeTest, ADeletedVolumeGoesWhenItsPeriodIsOver) {
    const VolumeId old = deleted_volume(60, std::chrono::seconds(259'300)), recent = deleted_volume(61, std::chrono::seconds(259'100));
    expunge();
    EXPECT_FALSE(there(old));
    EXPECT_TRUE(there(recent));
    EXPECT_TRUE(there(*pool.db.root_volume_uuid));
    set_config("volume", "expungePeriod", "259000");
    expunge();
    EXPECT_FALSE(there(recent));
}

TEST_F(ExpungeTest, VmsThatAreKeptForEverKeepNoVolume) {
    set_config("vm", "deletionPolicy", "Never");
    pool.db.state = VmState::destroyed;
    pool.db.last_op_date = before(std::chrono::hours(24 * 365));
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.db); }));
    const VolumeId old = deleted_volume(60, std::chrono::seconds(259'300));
    expunge();
    EXPECT_FALSE(there(old));
    EXPECT_TRUE(pool.rows<Job>({{"kind", "expunge-vm"}}).empty());
}

TEST_F(ExpungeTest, ItIsTimeAtStartAndEveryInterval) {
    ExpungePace pace(parts);
    const std::chrono::steady_clock::time_point start{std::chrono::hours(1)};
    const auto due = [&](std::int64_t seconds) { return pace.is_due(start + std::chrono::seconds(seconds)).value_or(false); };
    EXPECT_TRUE(due(0));
    EXPECT_FALSE(due(3599));
    EXPECT_TRUE(due(3600));
    EXPECT_FALSE(due(3700));
    set_config("vm", "expungeInterval", "100");
    EXPECT_TRUE(due(3701));
    EXPECT_FALSE(due(3800));
    EXPECT_TRUE(due(3801));
}

}  // namespace
}  // namespace ramet::lifecycle
