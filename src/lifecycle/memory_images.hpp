// Memory images and who needs them: the VMs whose process maps one, the checkpoint or the group of snapshots that keeps it, and the job that may
// still start VMs from it. The files go before the row that owns them, so that a crash in between leaves a row that says "deleting" and never
// files without an owner.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lifecycle/parts.hpp"
#include "lifecycle/reconcile.hpp"
#include "model/memory_image.hpp"

namespace ramet::lifecycle {

MemoryImageId memory_image_uuid(const JobId& job);  // a job makes one at most

// The intent: the row, Capturing, owned by the job. Repeatable.
Result<MemoryImage> reserve_memory_image(Parts& parts, const JobId& job, const VmId& source);
// What was captured; Ready from now on.
Result<void> keep_memory_image(Parts& parts, MemoryImage image, const hypervisor::MemoryFacts& facts);
// Nothing more will be started from it; goes at once when no VM maps it. Absent: success.
Result<void> disown_memory_image(Parts& parts, const JobId& job);

hypervisor::MemoryPlace place_of(const MemoryImage& image);
// operation_failed with the reason when nothing can be started from it.
Result<void> require_usable(const MemoryImage& image);
// The VM is about to map it. operation_failed when it is not Ready or being removed.
Result<MemoryImage> use_memory_image(Parts& parts, const VmId& vm, const MemoryImageId& image);
// The VM's process has ended, or never was.
Result<void> release_memory_image(Parts& parts, const VmId& vm);

// One VM that is going to map it: part of the transaction that reserves the VM, so that the image stays until then.
Result<void> reserve_memory_user(store::Transaction& transaction, const VmId& vm, const MemoryImageId& image);
// After the row of what kept it was erased: the image, marked as being removed, when nothing needs it any more.
Result<std::optional<MemoryImage>> forsake_memory_image(store::Transaction& transaction, const MemoryImageId& image);
Result<void> remove_memory_image(Parts& parts, const MemoryImage& doomed);
// After a transaction that may have marked some: as remove_doomed_memory_images, and what cannot be removed now stays marked.
void discard_memory_images(Parts& parts);

// Processes for the checkpoints with memory, as many as the server was told to keep ready.
Result<void> keep_processes_ready(Parts& parts);

// Finishes removals that a crash cut off.
Result<void> remove_doomed_memory_images(Parts& parts);
// Files without a row, rows without files or without a user.
Result<void> compare_memory_images(Parts& parts, std::vector<Finding>& findings);

}  // namespace ramet::lifecycle
