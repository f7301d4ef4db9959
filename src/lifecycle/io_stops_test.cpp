#include "lifecycle/io_stops.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::lifecycle {
namespace {

class IoStopTest : public LifecycleFixture {
protected:
    IoStopTest() {
        pool.web.state = VmState::running;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.web); }));
    }
    void set(hypervisor::DomainState state, bool write_failed) {
        hypervisor.change(pool.web.uuid, [&](auto& domain) {
            domain.state = state;
            domain.write_failed = write_failed;
        });
    }
    VmState look() {
        EXPECT_TRUE(keeper.look().has_value());
        return pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0).state;
    }
    std::size_t events() { return pool.rows<Event>({{"name", std::string("io-stop")}}).size(); }

    IoStopKeeper keeper{parts};
};

TEST_F(IoStopTest, AVmWhoseWriteFailedIsPausedAndToldOfOnce) {
    set(hypervisor::DomainState::paused, true);
    EXPECT_EQ(look(), VmState::paused);
    EXPECT_EQ(look(), VmState::paused);
    EXPECT_EQ(events(), 1U);
}

TEST_F(IoStopTest, AVmThatStandsForAnotherReasonIsLeftAlone) {
    set(hypervisor::DomainState::paused, false);
    EXPECT_EQ(look(), VmState::running);
    set(hypervisor::DomainState::running, false);
    EXPECT_EQ(look(), VmState::running);
    EXPECT_EQ(events(), 0U);
}

}  // namespace
}  // namespace ramet::lifecycle
