#include "clone/clone_fixture_test.hpp"

namespace ramet::clone {
namespace {

class DisabledNetworkTest : public CloneFixture {};

TEST_F(DisabledNetworkTest, OfTheSourceIsRefusedForTheClonesWouldBeOnIt) {
    pool.l3.state = Enablement::disabled;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.l3); }));
    api::CloneVmInstance message;
    message.vm_instance_uuid = pool.web.uuid;
    message.names = {"refused"};
    const Result<JobId> refused = clone_vm(parts, request(), message);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::operation_failed);
    EXPECT_NE(refused.error().message.find("L3 network 'default', which is Disabled"), std::string::npos) << refused.error().message;
    EXPECT_FALSE(dry_run(parts, request(), message).has_value());
}

TEST_F(DisabledNetworkTest, ThatTheSourceIsNotOnIsNoMatter) {
    L3Network other = pool.l3;
    other.uuid = L3NetworkId::trusted(test::uuid_text(40));
    other.name = "other";
    other.state = Enablement::disabled;
    pool.add_owned(other, pool.admin);
    EXPECT_EQ(end_of(clone("made", [](api::CloneVmInstance& message) { message.strategy = "CreateStopped"; })).state, JobState::succeeded);
}

}  // namespace
}  // namespace ramet::clone
