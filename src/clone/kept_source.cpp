#include "clone/kept_source.hpp"

#include "lifecycle/new_disks.hpp"

namespace ramet::clone {

using store::Transaction;

namespace {

// The VM in the path, when there is one, must be the one that was kept.
Result<void> require_same_vm(const api::CloneVmInstance& message, const lifecycle::KeptVm& kept, std::string_view field, std::string_view instead) {
    if (message.vm_instance_uuid.empty() || message.vm_instance_uuid == kept.rows.vm.uuid) return {};
    return fail(ErrorCode::invalid_argument,
                std::string(field) + ": it is of VM instance " + kept.rows.vm.uuid.text() + ", not of the one in the path; " + std::string(instead));
}

}  // namespace

Result<std::optional<lifecycle::KeptVm>> kept_source(Transaction& transaction, const api::CloneVmInstance& message) {
    if (message.checkpoint_uuid && message.volume_snapshot_group_uuid)
        return fail(ErrorCode::invalid_argument, "checkpointUuid and volumeSnapshotGroupUuid: clones have one source; leave one of them out");
    if (message.checkpoint_uuid) {
        TRY_ASSIGN(lifecycle::KeptVm kept, lifecycle::load_checkpoint(transaction, *message.checkpoint_uuid));
        TRY(require_same_vm(message, kept, "checkpointUuid", "clone it by PUT /checkpoints/{uuid}/actions"));
        return std::optional<lifecycle::KeptVm>{std::move(kept)};
    }
    if (message.volume_snapshot_group_uuid) {
        TRY_ASSIGN(lifecycle::KeptVm kept, lifecycle::load_snapshot_group(transaction, *message.volume_snapshot_group_uuid, message.memory));
        TRY(require_same_vm(message, kept, "volumeSnapshotGroupUuid", "put that one's uuid there"));
        return std::optional<lifecycle::KeptVm>{std::move(kept)};
    }
    return std::optional<lifecycle::KeptVm>{};
}

std::string source_uuid(const api::CloneVmInstance& message) {
    if (message.checkpoint_uuid) return message.checkpoint_uuid->text();
    if (message.volume_snapshot_group_uuid) return message.volume_snapshot_group_uuid->text();
    return message.vm_instance_uuid.text();
}

Result<void> require_kept_layers(Transaction& transaction, const std::vector<Volume>& volumes) {
    for (const Volume& volume : volumes) TRY(lifecycle::require_layer(transaction, volume.top_layer_uuid));
    return {};
}

}  // namespace ramet::clone
