// Step "capture" of an instant clone: one instant of the source's disks and memory. Disks as in capture.hpp; the memory becomes a memory image
// that the clones map and go on from.
#pragma once

#include "api/messages_vm.hpp"
#include "clone/capture.hpp"
#include "lifecycle/rows.hpp"

namespace ramet::clone {

// What can go on from memory at all: running or paused, started at once, with every disk and every NIC as it is.
Result<void> check_memory(const lifecycle::VmRows& source, const api::CloneVmInstance& message);
// The plan's part for memory: how it will be captured and why.
void plan_memory(lifecycle::Parts& parts, const api::CloneVmInstance& message, ClonePlan& plan);

class MemoryCapture final : public Capture {
public:
    using Capture::Capture;
    Result<void> undo(workflow::StepContext& step) override;

protected:
    void amend(lifecycle::CutOrder& order, workflow::StepContext& step) override;

private:
    Result<void> take(const std::vector<hypervisor::OverlaySpec>& overlays, lifecycle::CutFacts& facts, const std::stop_token& stop);
};

}  // namespace ramet::clone
