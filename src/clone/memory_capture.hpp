// Step "capture" of an instant clone: one instant of the source's disks and memory. Disks as in capture.hpp; the memory becomes a memory image
// that the clones map and go on from.
#pragma once

#include "api/messages_vm.hpp"
#include "clone/capture.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/rows.hpp"
#include "model/memory_image.hpp"

namespace ramet::clone {

// What can go on from memory at all: running or paused (now, or when it was kept), started at once, with every disk and every NIC as it is, and
// with the TPM that the guest is using.
Result<void> check_memory(const lifecycle::VmRows& source, const api::CloneVmInstance& message, std::string_view tpm_policy);
// The memory that was kept with the disks.
Result<MemoryImage> kept_memory(store::Transaction& transaction, const lifecycle::KeptVm& kept);
// The plan's part for memory: how it will be captured and why.
void plan_memory(lifecycle::Parts& parts, const api::CloneVmInstance& message, ClonePlan& plan);

class MemoryCapture final : public Capture {
public:
    using Capture::Capture;
    Result<void> undo(workflow::StepContext& step) override;

protected:
    void amend(lifecycle::CutOrder& order, workflow::StepContext& step) override;
};

}  // namespace ramet::clone
