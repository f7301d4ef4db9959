#include "lifecycle/process_keeper.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/power.hpp"
#include "model/event.hpp"

namespace ramet::lifecycle {
namespace {

class ProcessKeeperTest : public LifecycleFixture {
protected:
    ProcessKeeperTest() {
        register_power_sagas(engine, parts);
        pool.web.state = VmState::running;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.web); }));
    }
    void set(hypervisor::DomainState state, bool write_failed) {
        hypervisor.change(pool.web.uuid, [&](auto& domain) {
            domain.state = state;
            domain.write_failed = write_failed;
        });
    }
    VmState look() {
        EXPECT_TRUE(keeper.look().has_value());
        return pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0).state;
    }
    std::size_t events() { return pool.rows<Event>({{"name", std::string("io-stop")}}).size(); }

    ProcessKeeper keeper{parts};
};

TEST_F(ProcessKeeperTest, AVmWhoseWriteFailedIsPausedAndToldOfOnce) {
    set(hypervisor::DomainState::paused, true);
    EXPECT_EQ(look(), VmState::paused);
    EXPECT_EQ(look(), VmState::paused);
    EXPECT_EQ(events(), 1U);
}

TEST_F(ProcessKeeperTest, AVmThatStandsForAnotherReasonIsLeftAlone) {
    set(hypervisor::DomainState::paused, false);
    EXPECT_EQ(look(), VmState::running);
    set(hypervisor::DomainState::running, false);
    EXPECT_EQ(look(), VmState::running);
    EXPECT_EQ(events(), 0U);
}

TEST_F(ProcessKeeperTest, AnEndThatNobodyNotedIsNotedByOneJob) {
    for (const VmState state : {VmState::running, VmState::paused}) {
        pool.web.state = state;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.web); }));
        set(hypervisor::DomainState::shut_off, false);
        const std::size_t before = pool.rows<Job>().size();
        look();
        look();
        const std::vector<Job> jobs = pool.rows<Job>();
        ASSERT_GE(jobs.size(), before + 1);
        for (const Job& job : jobs) EXPECT_EQ(engine.wait(job.uuid, std::chrono::seconds(60))->state, JobState::succeeded);
        EXPECT_EQ(look(), VmState::stopped);
        EXPECT_EQ(pool.rows<Job>().size(), before + 1);
    }
}

TEST_F(ProcessKeeperTest, OneThatCannotBeNotedIsNotTriedAgainAtOnce) {
    hypervisor.plant({.operation = "stop"});
    set(hypervisor::DomainState::shut_off, false);
    look();
    EXPECT_EQ(engine.wait(pool.rows<Job>().at(0).uuid, std::chrono::seconds(60))->state, JobState::failed);
    look();
    EXPECT_EQ(pool.rows<Job>().size(), 1U);
}

}  // namespace
}  // namespace ramet::lifecycle
