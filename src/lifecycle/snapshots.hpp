// Volume snapshots and groups of them. A snapshot is a row that keeps the layer a cut has sealed (lifecycle/cut.hpp); a group is the snapshots of
// all volumes of a VM instance at one instant.
//
//   take ─► Ready ─delete─► gone (its layer stays as long as anything stands on it)        Ready ─revert─► the volume goes on from it
#pragma once

#include "api/messages_snapshots.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_snapshot_sagas(workflow::Engine& engine, Parts& parts);  // before Engine::recover()
void register_revert_saga(workflow::Engine& engine, Parts& parts);

Result<JobId> create_volume_snapshot(Parts& parts, const Request& request, const api::CreateVolumeSnapshot& message);
Result<JobId> create_snapshot_group(Parts& parts, const Request& request, const api::CreateVolumeSnapshotGroup& message);

// A well-formed uuid that names nothing: nothing, as the contract has it.
Result<std::optional<JobId>> delete_volume_snapshot(Parts& parts, const Request& request, const api::DeleteVolumeSnapshot& message);
Result<std::optional<JobId>> delete_snapshot_group(Parts& parts, const Request& request, const api::DeleteVolumeSnapshotGroup& message);
Result<JobId> delete_volume_snapshots(Parts& parts, const Request& request, const api::BatchDeleteVolumeSnapshot& message);

Result<JobId> revert_volume(Parts& parts, const Request& request, const api::RevertVolumeFromSnapshot& message);
Result<JobId> revert_vm(Parts& parts, const Request& request, const api::RevertVmFromSnapshotGroup& message);

// Of rows alone: the new body is the answer.
Result<std::string> update_volume_snapshot(Parts& parts, const api::UpdateVolumeSnapshot& message);
Result<std::string> update_snapshot_group(Parts& parts, const api::UpdateVolumeSnapshotGroup& message);
Result<std::string> ungroup_snapshots(Parts& parts, const api::UngroupVolumeSnapshotGroup& message);
Result<std::string> check_group_availability(Parts& parts, const api::CheckVolumeSnapshotGroupAvailability& message);

// The body of a call that answers for several snapshots: {"results":[...]}, with success:true for a batch.
enum class ResultsForm : std::uint8_t { none, group, batch };
inline constexpr std::array<std::string_view, 3> kResultsFormNames{"none", "group", "batch"};
std::string results_body(ResultsForm form, const std::vector<api::SnapshotResult>& results);

}  // namespace ramet::lifecycle

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<lifecycle::ResultsForm>{lifecycle::kResultsFormNames};
}  // namespace ramet
