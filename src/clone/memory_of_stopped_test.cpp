#include "clone/clone_fixture_test.hpp"
#include "lifecycle/checkpoints.hpp"
#include "model/memory_image.hpp"

namespace ramet::clone {
namespace {

// The rows say that the VM runs, and it was stopped before the job's turn came.
class MemoryOfStopped : public CloneFixture {
protected:
    MemoryOfStopped() {
        lifecycle::register_checkpoint_sagas(engine, parts);
        hypervisor.change(pool.web.uuid, [](auto& domain) { domain.state = hypervisor::DomainState::shut_off; });
    }
    void expect_nothing_of(const Result<JobId>& job) {
        EXPECT_EQ(end_of(job).state, JobState::failed);
        EXPECT_TRUE(pool.rows<Checkpoint>().empty());
        EXPECT_TRUE(pool.rows<MemoryImage>().empty());
        EXPECT_EQ(pool.rows<Layer>({{"volumeUuid", pool.web.root_volume_uuid->text()}}).size(), 1U);
    }
};

TEST_F(MemoryOfStopped, ACheckpointWithoutItsMemoryIsNone) {
    api::CreateCheckpoint message;
    message.vm_instance_uuid = pool.web.uuid;
    message.name = "warm";
    message.memory = true;
    expect_nothing_of(lifecycle::create_checkpoint(parts, request(), message));
}

TEST_F(MemoryOfStopped, ACloneWithoutItIsNone) {
    expect_nothing_of(clone("web02", [](api::CloneVmInstance& message) { message.memory = true; }));
}

}  // namespace
}  // namespace ramet::clone
