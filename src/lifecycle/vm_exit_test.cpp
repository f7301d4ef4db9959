#include <latch>

#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/power.hpp"

namespace ramet::lifecycle {
namespace {

using namespace std::chrono_literals;

// alice's web01 runs, and a job has it for as long as the test wants.
class VmExitTest : public LifecycleFixture {
protected:
    VmExitTest() {
        register_power_sagas(engine, parts);
        engine.add_kind(
            "hold",
            [this](const Job& job) -> Result<workflow::Saga> {
                workflow::Saga saga(job.kind, job.uuid);
                saga.add<Action>(
                    "hold", std::vector<std::string>{pool.web.uuid.text()},
                    [this](workflow::StepContext&) -> Result<void> {
                        held.count_down();
                        let_go.wait();
                        return {};
                    },
                    nullptr);
                saga.report(&empty_report);
                return saga;
            },
            workflow::Pace::slow);
        set_process(hypervisor::DomainState::running);
        hypervisor.on_exit([this](const VmId& vm) { EXPECT_TRUE(vm_exited(parts, vm).has_value()); });
    }
    ~VmExitTest() override { hypervisor.on_exit(nullptr); }

    void set_process(hypervisor::DomainState state) {
        hypervisor.change(pool.web.uuid, [state](auto& domain) { domain.state = state; });
    }
    VmState state() { return pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0).state; }
    void wait_for_all() {
        for (const Job& job : pool.rows<Job>()) EXPECT_EQ(engine.wait(job.uuid, 60s)->state, JobState::succeeded) << job.kind;
    }

    std::latch held{1}, let_go{1};
};

TEST_F(VmExitTest, AProcessThatEndsLeavesTheVmStopped) {
    hypervisor.crash(pool.web.uuid);
    wait_for_all();
    EXPECT_EQ(state(), VmState::stopped);
    EXPECT_EQ(pool.rows<Job>().at(0).api_name, "NoteVmInstanceExit");
}

TEST_F(VmExitTest, WhatAJobStartsAgainInTheMeantimeIsLeftAlone) {
    ASSERT_TRUE(submit(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, {"hold", "Hold", pool.web.uuid.text(), "{}"}).has_value());
    held.wait();
    hypervisor.crash(pool.web.uuid);
    ASSERT_EQ(pool.rows<Job>().size(), 2U);
    EXPECT_EQ(state(), VmState::running);  // its turn has not come
    set_process(hypervisor::DomainState::running);
    let_go.count_down();
    wait_for_all();
    EXPECT_EQ(state(), VmState::running);
    EXPECT_EQ(hypervisor.domain(pool.web.uuid)->state, hypervisor::DomainState::running);
}

TEST_F(VmExitTest, OfAVmThatAJobIsStoppingNothingIsToBeNoted) {
    VmInstance vm = pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0);
    vm.state = VmState::stopping;
    ASSERT_TRUE((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, vm); }).has_value());
    hypervisor.crash(pool.web.uuid);
    EXPECT_TRUE(pool.rows<Job>().empty());
}

}  // namespace
}  // namespace ramet::lifecycle
