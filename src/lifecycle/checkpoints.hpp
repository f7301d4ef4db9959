// Checkpoints: kept captures of whole VM instances. A checkpoint keeps the sealed layers of all volumes at one instant (lifecycle/cut.hpp) and, in
// its own rows, what making the VM's like takes; nothing of it depends on the VM, so clones can be made when the VM is long gone.
#pragma once

#include <map>

#include "api/messages_snapshots.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/rows.hpp"

namespace ramet::lifecycle {

void register_checkpoint_sagas(workflow::Engine& engine, Parts& parts);  // before Engine::recover()

Result<JobId> create_checkpoint(Parts& parts, const Request& request, const api::CreateCheckpoint& message);
Result<std::optional<JobId>> delete_checkpoint(Parts& parts, const Request& request, const api::DeleteCheckpoint& message);
Result<std::string> update_checkpoint(Parts& parts, const api::UpdateCheckpoint& message);

// A VM as something kept shows it: each volume's top is the kept layer, which is sealed. For making clones; no such rows need exist any more.
struct KeptVm {
    VmRows rows;
    std::map<std::string, std::vector<std::string>> tags;  // system tags, by the uuid of the VM or volume
    std::optional<MemoryImageId> memory;                   // of the same instant; absent: disks alone
};
Result<KeptVm> load_checkpoint(store::Transaction& transaction, const CheckpointId& checkpoint);
// The VM with its present settings, or `as_in_memory` with those that the group's memory belongs to; its volumes as the group has them.
// operation_failed when a snapshot of the group was deleted.
Result<KeptVm> load_snapshot_group(store::Transaction& transaction, const SnapshotGroupId& group, bool as_in_memory = false);

}  // namespace ramet::lifecycle
