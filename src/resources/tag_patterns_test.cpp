#include "resources/tag_patterns.hpp"

#include "resources/tags.hpp"
#include "support/small_pool.hpp"

namespace ramet::resources {
namespace {

bool is_valid(const char* vo_type, const std::string& tag, bool admin = false) {
    return check_system_tag(vo_type, tag, "systemTags", admin).has_value();
}

TEST(SystemTag, MatchesItsPattern) {
    for (const char* tag : {"hostname::web01", "hostname::web01.lab", "packer", "userdata::aGVsbG8=", "bootMode::UEFI", "driver::virtio",
                            "affinityGroupUuid::x", "ephemeral::validationOnly", "staticIp::00000000000040008000000000000016::10.0.0.5",
                            "customMac::00000000000040008000000000000016::fa:16:3e:00:00:01", "resourceConfig::vm::numa::true"}) {
        EXPECT_TRUE(is_valid("VmInstanceVO", tag)) << tag;
    }
    EXPECT_TRUE(is_valid("VolumeVO", "volumeProvisioningStrategy::ThinProvisioning"));
}

TEST(SystemTag, RefusesWhatMatchesNoPattern) {
    for (const char* tag :
         {"", "nonsense", "hostname", "hostname::", "hostname::a::b", "Hostname::web01", "packer::x", "team::build", "driver::e1000"}) {
        const Result<void> checked = check_system_tag("VmInstanceVO", tag, "systemTags", true);
        ASSERT_FALSE(checked.has_value()) << tag;
        EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument);
        EXPECT_TRUE(checked.error().message.starts_with("systemTags: ")) << checked.error().message;
    }
    EXPECT_FALSE(is_valid("VolumeVO", "hostname::web01"));
    EXPECT_FALSE(is_valid("NonsenseVO", "packer"));
}

TEST(SystemTag, ChecksTheValuesOfItsTokens) {
    for (const char* tag : {"hostname::-web", "hostname::web_01", "hostname::web..lab", "hostname::web.", "bootMode::BIOS", "userdata::not base64",
                            "staticIp::x::10.0.0.5", "staticIp::00000000000040008000000000000016::10.0.0.500",
                            "customMac::00000000000040008000000000000016::01:00:5e:00:00:01"}) {
        EXPECT_FALSE(is_valid("VmInstanceVO", tag)) << tag;
    }
    EXPECT_FALSE(is_valid("VmInstanceVO", "hostname::" + std::string(64, 'a')));
    EXPECT_TRUE(is_valid("VmInstanceVO", "hostname::" + std::string(63, 'a')));
    EXPECT_FALSE(is_valid("VolumeVO", "volumeProvisioningStrategy::Fast"));
}

TEST(SystemTag, KeepsSomeForAdmins) {
    EXPECT_FALSE(is_valid("VmInstanceVO", "bootOrder::HardDisk", false));
    EXPECT_TRUE(is_valid("VmInstanceVO", "bootOrder::HardDisk", true));
    EXPECT_EQ(check_system_tag("VmInstanceVO", "bootOrder::HardDisk", "tag", false).error().code, ErrorCode::operation_failed);
}

TEST(SystemTag, TellsWhichAreInherited) {
    for (const char* tag : {"userdata::aGVsbG8=", "packer", "bootMode::UEFI", "volumeProvisioningStrategy::ThinProvisioning", "consolePassword::x"})
        EXPECT_TRUE(is_cloneable_tag(tag)) << tag;
    for (const char* tag :
         {"ceph::pool::x", "ceph::rootPoolName::x", "localStorage::hostUuid::00000000000040008000000000000016", "ephemeral::volume::fastCreate",
          "ephemeral::volume::flatten", "overwriteBy::volume::00000000000040008000000000000016", "affinityGroupUuid::x"}) {
        EXPECT_FALSE(is_cloneable_tag(tag)) << tag;
    }
    EXPECT_TRUE(is_ephemeral_tag("ephemeral::volume::flatten"));
    EXPECT_TRUE(is_single_tag("hostname::x"));
}

class TagsOfRows : public testing::Test {
protected:
    Result<void> add(const VmInstance& vm, std::vector<std::string> tags, bool admin = false) {
        return (*pool).write([&](store::Transaction& transaction) {
            return add_system_tags(transaction, "VmInstanceVO", vm.uuid.text(), tags, Timestamp{1}, "systemTags", admin);
        });
    }
    std::size_t count() { return pool.rows<SystemTag>().size(); }
    test::SmallPool pool;
};

TEST_F(TagsOfRows, AreInsertedOnceAndNotTheEphemeralOnes) {
    ASSERT_TRUE(add(pool.web, {"packer", "packer", "hostname::web", "createWithoutCdRom::true"}).has_value());
    EXPECT_EQ(count(), 2U);
}

TEST_F(TagsOfRows, RefuseADuplicate) {
    ASSERT_TRUE(add(pool.web, {"packer"}).has_value());
    EXPECT_EQ(add(pool.web, {"packer"}).error().code, ErrorCode::duplicate_tag);
}

TEST_F(TagsOfRows, RefuseASecondOneOfASingleKindAndKeepNothing) {
    ASSERT_TRUE(add(pool.web, {"hostname::web"}).has_value());
    EXPECT_EQ(add(pool.web, {"packer", "hostname::other"}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(add(pool.db, {"bootMode::UEFI", "bootMode::Legacy"}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(count(), 1U);
}

TEST_F(TagsOfRows, RefuseAHostNameThatIsTakenOnTheDefaultNetwork) {
    ASSERT_TRUE(add(pool.web, {"hostname::web"}).has_value());
    const Result<void> taken = add(pool.db, {"hostname::web"});
    ASSERT_FALSE(taken.has_value());
    EXPECT_NE(taken.error().message.find("is taken"), std::string::npos);
    EXPECT_TRUE(add(pool.db, {"hostname::db"}).has_value());
}

TEST_F(TagsOfRows, AHostNameIsTakenHoweverItIsSpelled) {
    ASSERT_TRUE(add(pool.web, {"hostname::Web"}).has_value());
    for (const char* name : {"hostname::web", "hostname::WEB", "hostname::Web"}) EXPECT_FALSE(add(pool.db, {name}).has_value()) << name;
    EXPECT_TRUE(add(pool.db, {"hostname::web-2"}).has_value());
}

TEST_F(TagsOfRows, GoWithTheirResource) {
    ASSERT_TRUE(add(pool.web, {"packer"}).has_value());
    ASSERT_TRUE(add(pool.db, {"packer"}).has_value());
    ASSERT_TRUE((*pool).write([&](store::Transaction& transaction) { return remove_tags_of(transaction, pool.web.uuid.text()); }).has_value());
    EXPECT_EQ(count(), 1U);
}

}  // namespace
}  // namespace ramet::resources
