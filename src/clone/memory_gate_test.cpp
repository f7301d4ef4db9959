#include "clone/memory_gate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "clone/clone_fixture_test.hpp"

namespace ramet::clone {
namespace {

using testing::HasSubstr;

// The NIC of the one instant clone cannot be made its own.
class MemoryGateTest : public CloneFixture {
protected:
    MemoryGateTest() { hypervisor.plant({"swap_nic"}); }
    Job end_of_clone() {
        return end_of(clone("clone", [](api::CloneVmInstance& message) { message.memory = true; }));
    }
    std::size_t clones() { return pool.rows<VmInstance>({{"name", std::string("clone")}}).size(); }
};

TEST_F(MemoryGateTest, ACloneThatIsNotLetThroughIsAnErrorEntryAndGone) {
    const Job job = end_of_clone();
    EXPECT_EQ(job.state, JobState::succeeded) << job.error.value_or("");
    EXPECT_THAT(job.result.value_or(""), HasSubstr("planted fault in swap_nic"));
    EXPECT_EQ(clones(), 0U);
}

TEST_F(MemoryGateTest, ACloneThatIsNotLetThroughIsGoneAlthoughItsRemovalFailsAtFirst) {
    hypervisor.plant({"forget"});
    const Job job = end_of_clone();
    EXPECT_EQ(job.state, JobState::succeeded) << job.error.value_or("");
    EXPECT_EQ(clones(), 0U);
}

TEST_F(MemoryGateTest, ACloneThatCannotBeRemovedFailsTheJobWhoseUndoTriesAgain) {
    for (std::size_t times = 0; times < limits::kStepRetryMax; ++times) hypervisor.plant({"forget"});
    EXPECT_EQ(end_of_clone().state, JobState::failed);
    EXPECT_EQ(clones(), 0U);
}

}  // namespace
}  // namespace ramet::clone
