// The nested `tree` of a VolumeSnapshotTree, which no row holds: it is put together from the tree's snapshots when it is shown.
#pragma once

#include <map>
#include <vector>

#include "model/snapshots.hpp"
#include "resources/row_set.hpp"

namespace ramet::resources {

using SnapshotsByTree = std::map<std::string, std::vector<VolumeSnapshot>>;

Result<SnapshotsByTree> read_snapshots_of_trees(store::Transaction& transaction, const RowsByType& rows);
void fill_trees(const RowsByType& rows, const SnapshotsByTree& snapshots);

}  // namespace ramet::resources
