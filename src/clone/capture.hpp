// Step "capture": one instant of the source, for all clones. Every cloned volume's top layer is sealed under a new, empty overlay that the
// source goes on with; the clones' layers get the sealed layer as parent. A source whose overlays are still empty is not touched at all: the
// layer below has the same content.
//
//   source: base ◄─ top            ─►   base ◄─ top (sealed) ◄─ overlay (source)
//                                                   ▲
//                                                   └──────── clone, clone, clone
#pragma once

#include <optional>

#include "clone/plan.hpp"
#include "lifecycle/parts.hpp"
#include "workflow/saga.hpp"

namespace ramet::clone {

// The step's output.
struct CaptureReport {
    std::string source_state;  // "Running", "Paused", "Stopped"
    std::int64_t paused_microseconds = 0;
    bool layers_reused = false;  // nothing had been written since the last capture: no pause, no new layer
    std::optional<bool> live;    // with memory: the source ran on while its memory was saved
    std::optional<std::string> live_reason;
    std::optional<std::int64_t> memory_microseconds, memory_bytes, allocated_bytes, state_bytes;
};

class Capture : public workflow::Step {
public:
    Capture(lifecycle::Parts& parts, JobId job, ClonePlan plan) : parts_(parts), job_(std::move(job)), plan_(std::move(plan)) {}
    std::string_view name() const override { return "capture"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    // The source keeps running on whatever it has; an overlay that it does not use is removed.
    Result<void> undo(workflow::StepContext& step) override;
    std::vector<std::string> locks() const override { return {plan_.source.text()}; }

protected:
    struct Source;
    // What cuts the running or paused source. MemoryCapture takes its memory as well.
    virtual Result<void> cut(const std::vector<hypervisor::OverlaySpec>& overlays, CaptureReport& report);
    virtual Result<bool> can_reuse(const Source& source);
    lifecycle::Parts& parts_;
    JobId job_;
    ClonePlan plan_;

private:
    Result<Source> load(store::Transaction& transaction) const;
    Result<Source> load_and_check();
    Result<void> reserve_overlays(const Source& source);
    Result<void> write_overlays(const Source& source);
    Result<void> adopt(const Source& source, bool reused);
};

}  // namespace ramet::clone

namespace ramet {
template <> const TypeInfo& describe<clone::CaptureReport>();
}  // namespace ramet
