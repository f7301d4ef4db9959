// Clones of a source whose process has ended without anybody having noted it: by a power cut, or a moment ago.
#include <gtest/gtest.h>

#include "clone/clone_fixture_test.hpp"

namespace ramet::clone {
namespace {

// A first clone of web01 has cut its disk, so that the present top is an empty one.
class EndedSourceTest : public CloneFixture {
protected:
    EndedSourceTest() {
        make("first");
        set(hypervisor::DomainState::shut_off);
    }
    void make(const std::string& name) {
        ASSERT_EQ(end_of(clone(name, [](api::CloneVmInstance& message) { message.strategy = "CreateStopped"; })).state, JobState::succeeded);
    }
    void set(hypervisor::DomainState state) {
        hypervisor.change(pool.web.uuid, [state](auto& domain) { domain.state = state; });
    }
    Layer layer_of(const std::string& vm) {
        const VmInstance row = pool.rows<VmInstance>({{"name", vm}}).at(0);
        const Volume volume = pool.rows<Volume>({{"uuid", row.root_volume_uuid->text()}}).at(0);
        return pool.rows<Layer>({{"uuid", volume.top_layer_uuid->text()}}).at(0);
    }
};

TEST_F(EndedSourceTest, WhatTheGuestWroteBeforeItsEndIsInALaterClone) {
    const Layer written_to = layer_of("web01");
    ASSERT_TRUE(written_to.untouched);  // as far as the rows know
    make("second");
    EXPECT_EQ(layer_of("second").parent_uuid, written_to.uuid);
    EXPECT_EQ(layer_of("web01").parent_uuid, written_to.uuid);
}

TEST_F(EndedSourceTest, AnOverlayThatNobodyCanHaveWrittenToIsNotCutAgain) {
    VmInstance web = pool.rows<VmInstance>({{"name", std::string("web01")}}).at(0);
    web.state = VmState::stopped;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, web); }));
    const Layer empty = layer_of("web01");
    make("second");
    EXPECT_EQ(layer_of("web01").uuid, empty.uuid);
    EXPECT_EQ(layer_of("second").parent_uuid, empty.parent_uuid);
}

}  // namespace
}  // namespace ramet::clone
