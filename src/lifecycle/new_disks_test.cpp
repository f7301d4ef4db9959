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

TEST_F(NewDisksTest, AnImageThatCannotBeUsedSaysWhyAndWhatToDo) {
    const auto refused = [&](ImageStatus status, Enablement state) {
        pool.image.status = status;
        pool.image.state = state;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.image); }));
        const Result<NewDisks> disks = with_data_disks(0);
        return disks.has_value() ? std::string() : disks.error().message;
    };
    EXPECT_EQ(refused(ImageStatus::deleted, Enablement::enabled),
              "imageUuid: the image 'debian' is deleted; recover it (recoverImage), or name another");
    EXPECT_EQ(refused(ImageStatus::ready, Enablement::disabled),
              "imageUuid: the image 'debian' is disabled; enable it (changeImageState), or name another");
    EXPECT_EQ(refused(ImageStatus::downloading, Enablement::enabled),
              "imageUuid: the image 'debian' is Downloading; wait until it is Ready, or name another");
    EXPECT_EQ(refused(ImageStatus::ready, Enablement::enabled), "");
}

}  // namespace
}  // namespace ramet::lifecycle
