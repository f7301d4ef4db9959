#include "clone/check.hpp"

#include "clone/clone_fixture_test.hpp"

namespace ramet::clone {
namespace {

class CheckTest : public CloneFixture {
protected:
    Result<CheckedClone> checked(const std::vector<std::string>& names, bool full = false) {
        api::CloneVmInstance message;
        message.vm_instance_uuid = pool.web.uuid;
        message.names = names;
        message.full = full;
        return store::read(*pool, [&](store::Transaction& transaction) { return check(transaction, request(), message); });
    }
    void add_data_volume(int number, std::int64_t slot) {
        Volume volume = pool.rows<Volume>({{"uuid", pool.web.root_volume_uuid->text()}}).at(0);
        volume.uuid = VolumeId::trusted(test::uuid_text(number));
        volume.type = VolumeType::data;
        volume.device_id = slot;
        pool.add_owned(volume, pool.alice);
    }
};

TEST_F(CheckTest, WithAllVolumesAVmIsClonedThatHasAsManyAsTheSettingAllows) {
    add_data_volume(60, 1);
    add_data_volume(61, 2);
    set_config("kvm", "dataVolume.maxNum", "2");
    EXPECT_TRUE(checked({"new"}, true).has_value());
    set_config("kvm", "dataVolume.maxNum", "1");
    const Result<CheckedClone> refused = checked({"new"}, true);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::operation_failed);
    EXPECT_NE(refused.error().message.find("more than 1 data volumes (kvm.dataVolume.maxNum)"), std::string::npos) << refused.error().message;
    EXPECT_TRUE(checked({"new"}).has_value());  // its root volume alone
}

TEST_F(CheckTest, WhereNamesAreUniqueNoCloneTakesOneThatIsTaken) {
    EXPECT_TRUE(checked({"db01"}).has_value());
    set_config("vm", "uniqueVmName", "true");
    const Result<CheckedClone> refused = checked({"new", "db01"});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(refused.error().message.find("names[1] 'db01' is taken"), std::string::npos) << refused.error().message;
    EXPECT_TRUE(checked({"new", "new2"}).has_value());
}

}  // namespace
}  // namespace ramet::clone
