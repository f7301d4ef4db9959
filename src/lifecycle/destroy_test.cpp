#include "lifecycle/destroy.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

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

}  // namespace
}  // namespace ramet::lifecycle
