// CreateDataVolumeFromVolumeSnapshot: a data volume that begins as what a snapshot keeps.
#pragma once

#include "api/messages_snapshots.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_volume_from_snapshot_sagas(workflow::Engine& engine, Parts& parts);  // before Engine::recover()
Result<JobId> create_volume_from_snapshot(Parts& parts, const Request& request, const api::CreateDataVolumeFromVolumeSnapshot& message);

}  // namespace ramet::lifecycle
