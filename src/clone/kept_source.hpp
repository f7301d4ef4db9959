// Clones of something kept: a checkpoint or a group of snapshots instead of the VM as it is now. Nothing is captured and the VM is not touched;
// the clones' layers get the kept layers as parents when they are reserved.
#pragma once

#include <optional>

#include "api/messages_vm.hpp"
#include "lifecycle/checkpoints.hpp"

namespace ramet::clone {

// What the request asks to clone from; nothing: the VM itself.
Result<std::optional<lifecycle::KeptVm>> kept_source(store::Transaction& transaction, const api::CloneVmInstance& message);

// The uuid of what is cloned.
std::string source_uuid(const api::CloneVmInstance& message);

// Part of the reserving transaction: the layers are all there still. From here on the clones' own layers keep them.
Result<void> require_kept_layers(store::Transaction& transaction, const std::vector<Volume>& volumes);

}  // namespace ramet::clone
