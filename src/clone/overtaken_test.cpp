// A clone job that copies for long, what others do to its source meanwhile, and how it is taken back then.
#include <gtest/gtest.h>

#include <atomic>

#include "clone/clone_fixture_test.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/power.hpp"

namespace ramet::clone {
namespace {

// A first clone of web01 has cut its disk and copies what is below. Then web01 is stopped.
class OvertakenCloneTest : public CloneFixture {
protected:
    OvertakenCloneTest() {
        lifecycle::register_power_sagas(engine, parts);
        lifecycle::register_flatten_saga(engine, parts);
        storages.at(pool.storage.url)->set_while_copying([this] {
            if (!copied.exchange(true)) copying.pass({});
        });
        copying.close();
        first = clone_as("full");
        EXPECT_TRUE(copying.await_visitor());
        end_of(lifecycle::stop_vm(parts, request(), {pool.web.uuid, "cold"}));
    }
    ~OvertakenCloneTest() override { copying.open(); }

    JobId clone_as(const std::string& copy) {
        return clone("clone-" + copy, [&](api::CloneVmInstance& message) {
            message.copy = copy;
            message.strategy = "CreateStopped";
        });
    }
    JobState cancel_first() {
        EXPECT_TRUE(engine.cancel(first).has_value());
        copying.open();
        return end_of(first).state;
    }
    Layer top() {
        const Volume volume = pool.rows<Volume>({{"uuid", pool.web.root_volume_uuid->text()}}).at(0);
        return pool.rows<Layer>({{"uuid", volume.top_layer_uuid->text()}}).at(0);
    }
    bool is_sealed_file(const Layer& layer) { return storages.at(pool.storage.url)->files().at(layer.path).sealed; }

    test::Gate copying;
    std::atomic<bool> copied = false;
    JobId first;
};

TEST_F(OvertakenCloneTest, ItsUndoLeavesTheTopOfALaterCutAlone) {
    const Layer first_top = top();
    ASSERT_EQ(end_of(clone_as("linked")).state, JobState::succeeded);
    const Layer second_top = top();
    ASSERT_NE(second_top.uuid, first_top.uuid);
    EXPECT_EQ(cancel_first(), JobState::cancelled);
    EXPECT_EQ(top().uuid, second_top.uuid);
    EXPECT_FALSE(top().sealed);
    EXPECT_FALSE(is_sealed_file(second_top));
    EXPECT_EQ(top().parent_uuid, first_top.uuid);  // what the guest wrote between the two
    EXPECT_TRUE(is_sealed_file(first_top));
}

TEST_F(OvertakenCloneTest, ItsUndoLeavesTheTopOfAFlattenedSourceAlone) {
    const Layer first_top = top();
    const Result<lifecycle::FlattenAnswer> flattened = lifecycle::flatten_vm(parts, request(), {pool.web.uuid, true, false});
    ASSERT_TRUE(flattened.has_value());
    ASSERT_EQ(end_of(std::get<JobId>(*flattened)).state, JobState::succeeded);
    const Layer flat = top();
    ASSERT_NE(flat.uuid, first_top.uuid);
    EXPECT_EQ(cancel_first(), JobState::cancelled);
    EXPECT_EQ(top().uuid, flat.uuid);
    EXPECT_FALSE(top().sealed);
    EXPECT_FALSE(is_sealed_file(flat));
}

}  // namespace
}  // namespace ramet::clone
