// The bookkeeping of snapshots: trees, groups, and which one a volume goes on from. Rows only, inside the caller's transaction; what becomes of
// a layer that is no longer kept is the caller's matter (lifecycle/layers.hpp, doom_chains), and so are the files of a memory image that a group
// was the last to need: it is marked, and discard_memory_images removes it (lifecycle/memory_images.hpp).
//
//   tree:  first ◄─ second ◄─ third (latest)        the next snapshot becomes a child of the latest
//              ▲
//              └─ other                             after a revert to `first` that one is the latest
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lifecycle/rows.hpp"
#include "model/snapshots.hpp"
#include "store/database.hpp"

namespace ramet::lifecycle {

struct NewSnapshot {
    SnapshotId uuid;
    std::string name;
    std::optional<std::string> description;
    VolumeId volume;
    LayerId layer;
    SnapshotTreeId tree;  // used when the volume goes on from no snapshot
    std::optional<SnapshotGroupId> group;
};

// operation_failed when the volume's line of snapshots is as long as it may be.
Result<void> may_take_snapshot(store::Transaction& transaction, const VolumeId& volume);
// The snapshot's row at its place in the volume's trees, owned by the volume's owner. `size` is left for later.
Result<void> add_snapshot(store::Transaction& transaction, const NewSnapshot& wanted, Timestamp now);
// Takes a snapshot out of its tree: its children become its parent's, or the roots of trees. A group whose last snapshot goes, goes too.
Result<void> remove_snapshot(store::Transaction& transaction, const VolumeSnapshot& snapshot, Timestamp now);
// The volume goes on from `snapshot`.
Result<void> make_latest(store::Transaction& transaction, const VolumeSnapshot& snapshot, Timestamp now);
// All snapshots and trees of a volume that goes; the layers they kept.
Result<std::vector<LayerId>> forget_snapshots_of(store::Transaction& transaction, const VolumeId& volume, Timestamp now);

// The group's snapshots become single ones; the group goes.
Result<void> dissolve_group(store::Transaction& transaction, const SnapshotGroupId& group);
Result<void> dissolve_groups_of(store::Transaction& transaction, const VmId& vm);
// Why the group's volumes cannot all be taken back together, and what to do; nothing when they can.
Result<std::optional<std::string>> group_obstacle(store::Transaction& transaction, const SnapshotGroupId& group);

// A VM as it is now, in the words of KeptMachine.
Result<std::string> machine_as_kept(store::Transaction& transaction, const VmRows& rows);

// The account that owns a resource, as a caller of it: what is made of a resource belongs to the resource's owner, whoever asks.
Result<AccountId> owner_of(store::Transaction& transaction, std::string_view resource_uuid);
// The layers that snapshots and checkpoints keep.
Result<std::vector<LayerId>> kept_layers(store::Transaction& transaction);

}  // namespace ramet::lifecycle
