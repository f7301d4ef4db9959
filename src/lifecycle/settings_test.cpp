#include "lifecycle/settings.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::lifecycle {
namespace {

class UpdateVmTest : public LifecycleFixture {};

TEST_F(UpdateVmTest, AStateThatTheVmDoesNotHaveIsRefused) {
    api::UpdateVmInstance message;
    message.uuid = pool.web.uuid;
    message.description = "changed";
    message.state = "Stopped";
    const Result<std::string> refused = update_vm(parts, message);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(refused.error().message.find("state: the VM instance is Running"), std::string::npos) << refused.error().message;
    EXPECT_NE(pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0).description, "changed");
    message.state = "Running";
    EXPECT_TRUE(update_vm(parts, message).has_value());
    EXPECT_EQ(pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0).description, "changed");
}

}  // namespace
}  // namespace ramet::lifecycle
