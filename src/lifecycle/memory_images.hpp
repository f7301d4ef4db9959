// Memory images and who needs them: the VMs whose process maps one, and the job that may still start VMs from it. The files go before the
// row that owns them, so that a crash in between leaves a row that says "deleting" and never files without an owner.
#pragma once

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

// The VM is about to map it. operation_failed when it is not Ready or being removed.
Result<MemoryImage> use_memory_image(Parts& parts, const VmId& vm, const MemoryImageId& image);
// The VM's process has ended, or never was.
Result<void> release_memory_image(Parts& parts, const VmId& vm);

// Finishes removals that a crash cut off.
Result<void> remove_doomed_memory_images(Parts& parts);
// Files without a row, rows without files or without a user.
Result<void> compare_memory_images(Parts& parts, std::vector<Finding>& findings);

}  // namespace ramet::lifecycle
