#include "lifecycle/new_disks.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::lifecycle {
namespace {

class NewDisksTest : public LifecycleFixture {
protected:
    Result<NewDisks> with_data_disks(std::size_t count) {
        api::CreateVmInstance message;
        message.image_uuid = pool.image.uuid;
        message.data_disk_sizes.assign(count, 1 << 20);
        return store::read(*pool, [&](store::Transaction& transaction) { return disks_of(transaction, message); });
    }
};

TEST_F(NewDisksTest, AVmIsMadeWithAsManyDataVolumesAsTheSettingAllows) {
    EXPECT_TRUE(with_data_disks(24).has_value());
    set_config("kvm", "dataVolume.maxNum", "2");
    EXPECT_TRUE(with_data_disks(2).has_value());
    const Result<NewDisks> refused = with_data_disks(3);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(refused.error().message.find("3 data volumes, and kvm.dataVolume.maxNum allows a VM instance 2"), std::string::npos);
}

}  // namespace
}  // namespace ramet::lifecycle
