// Step "capture": one instant of the source, for all clones (lifecycle/cut.hpp). The clones' layers get the sealed layers as parents.
#pragma once

#include "clone/plan.hpp"
#include "lifecycle/cut.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/parts.hpp"
#include "workflow/saga.hpp"

namespace ramet::clone {

class Capture : public workflow::Step {
public:
    Capture(lifecycle::Parts& parts, JobId job, ClonePlan plan) : parts_(parts), job_(std::move(job)), plan_(std::move(plan)) {}
    std::string_view name() const override { return "capture"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;  // the output is lifecycle::CutFacts as JSON
    // The source keeps running on whatever it has; an overlay that it does not use is removed.
    Result<void> undo(workflow::StepContext& step) override;
    std::vector<std::string> locks() const override;
    // Would run() leave the source alone? Asks, and changes nothing.
    Result<bool> would_reuse();

protected:
    // What the cut is to take beside the disks. `step` lives as long as the cut.
    virtual void amend(lifecycle::CutOrder&, workflow::StepContext&) {}
    lifecycle::Parts& parts_;
    JobId job_;
    ClonePlan plan_;

private:
    // `firmware` is taken at the same instant; null: there is none.
    Result<lifecycle::CutFacts> cut(lifecycle::FirmwareCapture* firmware, workflow::StepContext& step);
    Result<bool> has_given_parents() const;
    Result<void> give_parents(store::Transaction& transaction, const lifecycle::SealedLayers& sealed) const;
};

// Step "firmware" of clones of a checkpoint: each gets its own copy of the firmware state that was kept.
class KeptFirmware final : public workflow::Step {
public:
    KeptFirmware(lifecycle::Parts& parts, JobId job, ClonePlan plan) : parts_(parts), job_(std::move(job)), plan_(std::move(plan)) {}
    std::string_view name() const override { return "firmware"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;

private:
    lifecycle::Parts& parts_;
    JobId job_;
    ClonePlan plan_;
};

}  // namespace ramet::clone
