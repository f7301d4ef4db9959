#include "lifecycle/snapshot_rows.hpp"

#include <gmock/gmock.h>
#include <algorithm>

#include "lifecycle/layers.hpp"
#include "support/small_pool.hpp"

namespace ramet::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class SnapshotRows : public testing::Test {
protected:
    using Work = store::Database::Work;
    void within(const Work& work) { pool_.must((*pool_).write(work)); }

    // A snapshot of web01's root volume that keeps the volume's present layer.
    void take(const std::string& name, std::optional<SnapshotGroupId> group = {}) {
        const std::size_t taken = ++count_;
        within([&](store::Transaction& transaction) {
            return add_snapshot(transaction,
                                {uuid_of(name), name, {}, volume_, layer_, SnapshotTreeId::derived("tree", std::to_string(taken)), group},
                                Timestamp{static_cast<std::int64_t>(taken)});
        });
    }
    void remove(const std::string& name) {
        within([&](store::Transaction& transaction) { return remove_snapshot(transaction, row(name), Timestamp{99}); });
    }
    void revert(const std::string& name) {
        within([&](store::Transaction& transaction) { return make_latest(transaction, row(name), Timestamp{99}); });
    }
    static SnapshotId uuid_of(const std::string& name) { return SnapshotId::derived("snapshot", name); }
    VolumeSnapshot row(const std::string& name) { return pool_.rows<VolumeSnapshot>({{"uuid", uuid_of(name).text()}}).at(0); }

    // "name<parent:distance", with * for the latest.
    std::vector<std::string> shape() {
        std::vector<std::string> lines;
        const std::vector<VolumeSnapshot> all = pool_.rows<VolumeSnapshot>();
        for (const VolumeSnapshot& snapshot : all) {
            const auto parent = std::ranges::find_if(all, [&](const VolumeSnapshot& other) { return other.uuid == snapshot.parent_uuid; });
            lines.push_back(snapshot.name + "<" + (parent == all.end() ? "" : parent->name) + ":" + std::to_string(snapshot.distance) +
                            (snapshot.latest ? "*" : ""));
        }
        std::ranges::sort(lines);
        return lines;
    }
    // The trees that are current; of a volume there is one at most.
    std::vector<std::string> current_trees() {
        std::vector<std::string> uuids;
        for (const VolumeSnapshotTree& tree : pool_.rows<VolumeSnapshotTree>({{"current", std::int64_t{1}}})) uuids.push_back(tree.uuid.text());
        return uuids;
    }

    test::SmallPool pool_;
    VolumeId volume_ = *pool_.web.root_volume_uuid;
    LayerId layer_ = LayerId::trusted(test::uuid_text(24));
    std::size_t count_ = 0;
};

TEST_F(SnapshotRows, EachSnapshotIsTheChildOfTheLatest) {
    take("a");
    take("b");
    take("c");
    EXPECT_THAT(shape(), ElementsAre("a<:1", "b<a:2", "c<b:3*"));
    EXPECT_THAT(current_trees(), ElementsAre(row("a").tree_uuid.text()));
    EXPECT_EQ(pool_.rows<VolumeSnapshotTree>().size(), 1U);
}

TEST_F(SnapshotRows, BelongToTheOwnerOfTheVolume) {
    take("a");
    EXPECT_EQ(pool_.rows<AccountResourceRef>({{"resourceUuid", uuid_of("a").text()}}).at(0).account_uuid, pool_.alice.account);
}

TEST_F(SnapshotRows, ARevertMakesABranch) {
    take("a");
    take("b");
    revert("a");
    EXPECT_THAT(shape(), ElementsAre("a<:1*", "b<a:2"));
    take("c");
    EXPECT_THAT(shape(), ElementsAre("a<:1", "b<a:2", "c<a:2*"));
}

TEST_F(SnapshotRows, DeletingOneInTheMiddleGivesItsChildrenToItsParent) {
    take("a");
    take("b");
    take("c");
    take("d");
    remove("b");
    EXPECT_THAT(shape(), ElementsAre("a<:1", "c<a:2", "d<c:3*"));
}

TEST_F(SnapshotRows, DeletingTheLatestMakesItsParentTheLatest) {
    take("a");
    take("b");
    remove("b");
    EXPECT_THAT(shape(), ElementsAre("a<:1*"));
    EXPECT_EQ(current_trees().size(), 1U);
}

TEST_F(SnapshotRows, DeletingARootMakesTreesOfItsChildren) {
    take("a");
    take("b");
    revert("a");
    take("c");
    take("d");
    remove("a");
    EXPECT_THAT(shape(), ElementsAre("b<:1", "c<:1", "d<c:2*"));
    EXPECT_NE(row("b").tree_uuid, row("c").tree_uuid);
    EXPECT_EQ(row("c").tree_uuid, row("d").tree_uuid);
    EXPECT_THAT(current_trees(), ElementsAre(row("d").tree_uuid.text()));
}

TEST_F(SnapshotRows, AVolumeWhoseLatestRootIsDeletedBeginsANewTree) {
    take("a");
    take("b");
    revert("a");
    remove("a");
    EXPECT_THAT(shape(), ElementsAre("b<:1"));
    EXPECT_THAT(current_trees(), IsEmpty());
    take("c");
    EXPECT_THAT(shape(), ElementsAre("b<:1", "c<:1*"));
    EXPECT_THAT(current_trees(), ElementsAre(row("c").tree_uuid.text()));
}

TEST_F(SnapshotRows, ARevertToAnotherTreeMakesThatOneCurrent) {
    take("a");
    take("b");
    revert("a");
    remove("a");
    take("c");
    revert("b");
    EXPECT_THAT(current_trees(), ElementsAre(row("b").tree_uuid.text()));
    EXPECT_THAT(shape(), ElementsAre("b<:1*", "c<:1"));
}

TEST_F(SnapshotRows, NothingIsLeftAfterTheLast) {
    take("a");
    take("b");
    remove("a");
    remove("b");
    EXPECT_THAT(shape(), IsEmpty());
    EXPECT_TRUE(pool_.rows<VolumeSnapshotTree>().empty());
    EXPECT_TRUE(pool_.rows<AccountResourceRef>({{"resourceType", std::string("VolumeSnapshotVO")}}).empty());
}

TEST_F(SnapshotRows, RefusesALineThatIsTooLong) {
    for (int i = 0; i < 128; ++i) take("s" + std::to_string(i));
    const Result<void> refused = (*pool_).read([&](store::Transaction& transaction) { return may_take_snapshot(transaction, volume_); });
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().message, testing::HasSubstr("delete some"));
    remove("s5");
    EXPECT_TRUE((*pool_).read([&](store::Transaction& transaction) { return may_take_snapshot(transaction, volume_); }).has_value());
}

TEST_F(SnapshotRows, AGroupGoesWithItsLastSnapshot) {
    VolumeSnapshotGroup group;
    group.uuid = SnapshotGroupId::random();
    group.vm_instance_uuid = pool_.web.uuid;
    pool_.add_owned(group, pool_.alice);
    for (const std::string name : {"a", "b"}) {
        take(name, group.uuid);
        VolumeSnapshotGroupRef ref;
        ref.volume_snapshot_uuid = uuid_of(name);
        ref.volume_snapshot_group_uuid = group.uuid;
        ref.volume_uuid = volume_;
        pool_.add(ref);
    }
    remove("a");
    ASSERT_EQ(pool_.rows<VolumeSnapshotGroup>().size(), 1U);
    EXPECT_TRUE(pool_.rows<VolumeSnapshotGroupRef>({{"volumeSnapshotUuid", uuid_of("a").text()}}).at(0).snapshot_deleted);
    remove("b");
    EXPECT_TRUE(pool_.rows<VolumeSnapshotGroup>().empty());
    EXPECT_TRUE(pool_.rows<VolumeSnapshotGroupRef>().empty());
}

TEST_F(SnapshotRows, ALayerIsNotDoomedWhileASnapshotOrACheckpointKeepsIt) {
    Layer kept;
    kept.uuid = LayerId::random();
    kept.primary_storage_uuid = pool_.storage.uuid;
    kept.path = "kept.qcow2";
    kept.sealed = true;
    pool_.add(kept);
    layer_ = kept.uuid;
    take("a");
    Checkpoint checkpoint;
    checkpoint.uuid = CheckpointId::random();
    pool_.add(checkpoint);
    CheckpointVolume volume;
    volume.uuid = random_uuid_text();
    volume.checkpoint_uuid = checkpoint.uuid;
    volume.primary_storage_uuid = pool_.storage.uuid;
    volume.layer_uuid = kept.uuid;
    pool_.add(volume);
    const auto doomed = [&] {
        std::vector<Layer> layers;
        within([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(layers, doom_chains(transaction, {kept.uuid, kept.uuid}));
            return {};
        });
        return layers.size();
    };
    EXPECT_EQ(doomed(), 0U);
    remove("a");
    EXPECT_EQ(doomed(), 0U);
    within([&](store::Transaction& transaction) -> Result<void> {
        TRY(store::erase<CheckpointVolume>(transaction, {{"uuid", volume.uuid}}));
        return {};
    });
    EXPECT_EQ(doomed(), 1U);
}

}  // namespace
}  // namespace ramet::lifecycle
