// Fields that no row holds: they are worked out when a row is shown.
// - host: available CPU and memory = total (memory: times its over-provisioning) less what the VM instances on it were given;
// - primary storage: capacities are the file system's. Volumes are thin and share their layers, so the virtual sizes of a thousand clones
//   say nothing about room; availableCapacity is therefore what is physically free less limits::kStorageReservedBytes. With a bound on them
//   (mevoco.overProvisioning.primaryStorage) the capacity is its size times that, and the volumes' sizes are taken off it;
// - backup storage: the file system's;
// - volume: actualSize = bytes allocated by its own layers;
// - volume snapshot tree: the nested tree (snapshot_trees.hpp).
#pragma once

#include "resources/inventory.hpp"
#include "resources/row_set.hpp"
#include "resources/snapshot_trees.hpp"

namespace ramet::resources {

// What the database knows, read inside the transaction that read the rows.
struct ComputedInputs {
    struct Used {
        std::int64_t cpus = 0;
        std::int64_t memory_bytes = 0;
    };
    struct LayerFile {
        std::string directory;
        std::string path;
    };
    std::map<std::string, Used> used_by_host;
    double memory_ratio = 1;
    double storage_ratio = 0;                              // 0: no bound on virtual sizes
    std::map<std::string, std::int64_t> sizes_by_storage;  // of its volumes together; filled in only with a bound
    std::map<std::string, std::vector<LayerFile>> layers_by_volume;
    SnapshotsByTree snapshots_by_tree;
};

Result<ComputedInputs> read_computed_inputs(store::Transaction& transaction, const RowsByType& rows);

// Outside of any transaction: asks the file systems.
void fill_computed(const RowsByType& rows, const ComputedInputs& inputs, const LiveFacts& facts);

}  // namespace ramet::resources
