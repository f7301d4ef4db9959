#include "lifecycle/checkpoints.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::lifecycle {
namespace {

class CreateCheckpointTest : public LifecycleFixture {};

TEST_F(CreateCheckpointTest, ItsUuidIsAUuidThatIsFree) {
    for (const std::string& uuid : {pool.zone.uuid.text(), std::string(32, '0')}) {
        api::CreateCheckpoint message;
        message.vm_instance_uuid = pool.db.uuid;
        message.name = "kept";
        message.resource_uuid = CheckpointId::trusted(uuid);
        const Result<JobId> refused = create_checkpoint(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message);
        ASSERT_FALSE(refused.has_value()) << uuid;
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(refused.error().message.find("resourceUuid: '" + uuid), std::string::npos) << refused.error().message;
    }
}

}  // namespace
}  // namespace ramet::lifecycle
