#include "lifecycle/vm_names.hpp"

#include "lifecycle/create_vm.hpp"
#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/settings.hpp"

namespace ramet::lifecycle {
namespace {

// alice's web01 and bob's db01.
class VmNamesTest : public LifecycleFixture {
protected:
    Result<void> wanted(const std::vector<WantedName>& names) {
        return (*pool).read([&](store::Transaction& transaction) { return require_unique_names(transaction, names); });
    }
    Result<std::string> rename(const VmInstance& vm, const std::string& name) {
        api::UpdateVmInstance message;
        message.uuid = vm.uuid;
        message.name = name;
        return update_vm(parts, message);
    }
    template <class T>
    static void expect_taken(const Result<T>& result, const std::string& place) {
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(result.error().message.find(place + " is taken"), std::string::npos) << result.error().message;
    }
};

TEST_F(VmNamesTest, ANameMayBeGivenTwiceByDefault) {
    EXPECT_TRUE(wanted({{"names[0]", "web01"}, {"names[1]", "web01"}}).has_value());
    EXPECT_TRUE(rename(pool.db, "web01").has_value());
}

TEST_F(VmNamesTest, WhereNamesAreUniqueATakenOneIsRefused) {
    set_config("vm", "uniqueVmName", "true");
    expect_taken(wanted({{"names[0]", "new"}, {"names[1]", "WEB01"}}), "names[1] 'WEB01'");
    expect_taken(wanted({{"names[0]", "new"}, {"names[1]", "New"}}), "names[1] 'New'");
    EXPECT_TRUE(wanted({{"names[0]", "new"}, {"names[1]", "new2"}}).has_value());
}

TEST_F(VmNamesTest, WhereNamesAreUniqueAVmIsNotRenamedToAnothersName) {
    set_config("vm", "uniqueVmName", "true");
    expect_taken(rename(pool.db, "web01"), "name 'web01'");
    EXPECT_EQ(pool.rows<VmInstance>({{"uuid", pool.db.uuid.text()}}).at(0).name, "db01");
    EXPECT_TRUE(rename(pool.db, "db01").has_value());  // its own
    EXPECT_TRUE(rename(pool.db, "DB01").has_value());
    EXPECT_TRUE(rename(pool.db, "db02").has_value());
}

TEST_F(VmNamesTest, WhereNamesAreUniqueNoVmIsMadeWithATakenOne) {
    set_config("vm", "uniqueVmName", "true");
    api::CreateVmInstance message;
    message.name = "web01";
    message.cpu_num = 1;
    message.memory_size = 128 << 20;
    message.image_uuid = pool.image.uuid;
    message.zone_uuid = pool.zone.uuid;
    message.strategy = "JustCreate";
    pool.storage.status = Connection::connected;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.storage); }));
    expect_taken(create_vm(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message), "name 'web01'");
    EXPECT_TRUE(pool.rows<Job>().empty());
}

}  // namespace
}  // namespace ramet::lifecycle
