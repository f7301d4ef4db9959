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
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;

protected:
    Result<void> cut(const std::vector<hypervisor::OverlaySpec>& overlays, CaptureReport& report) override;
    Result<bool> can_reuse(const Source&) override { return false; }  // memory moves on even where nothing is written to disks

private:
    std::stop_token stop_;
};

}  // namespace ramet::clone
