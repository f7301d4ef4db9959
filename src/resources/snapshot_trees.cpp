#include "resources/snapshot_trees.hpp"

#include "store/table.hpp"

namespace ramet::resources {
namespace {

// A line of snapshots has a bound (limits::kSnapshotDistanceMax), and so has this recursion.
SnapshotLeaf leaf_of(const std::vector<VolumeSnapshot>& all, const VolumeSnapshot& snapshot) {
    SnapshotLeaf leaf{snapshot, snapshot.parent_uuid, {}};
    for (const VolumeSnapshot& other : all) {
        if (other.parent_uuid == snapshot.uuid) leaf.children.push_back(leaf_of(all, other));
    }
    return leaf;
}

}  // namespace

Result<SnapshotsByTree> read_snapshots_of_trees(store::Transaction& transaction, const RowsByType& rows) {
    SnapshotsByTree snapshots;
    const auto trees = rows.find(&describe<VolumeSnapshotTree>());
    if (trees == rows.end()) return snapshots;
    for (void* const row : trees->second) {
        const std::string& uuid = static_cast<const VolumeSnapshotTree*>(row)->uuid.text();
        TRY_ASSIGN(snapshots[uuid], store::list<VolumeSnapshot>(transaction, {{"treeUuid", uuid}}, "createDate, uuid"));
    }
    return snapshots;
}

void fill_trees(const RowsByType& rows, const SnapshotsByTree& snapshots) {
    const auto trees = rows.find(&describe<VolumeSnapshotTree>());
    if (trees == rows.end()) return;
    for (void* const row : trees->second) {
        VolumeSnapshotTree& tree = *static_cast<VolumeSnapshotTree*>(row);
        const auto members = snapshots.find(tree.uuid.text());
        if (members == snapshots.end()) continue;
        for (const VolumeSnapshot& member : members->second) {
            if (!member.parent_uuid) tree.tree = leaf_of(members->second, member);
        }
    }
}

}  // namespace ramet::resources
