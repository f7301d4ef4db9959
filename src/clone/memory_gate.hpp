// Step "gate" of an instant clone: every clone that goes on gets an identity of its own, side by side, and then its links. One that cannot
// is removed and becomes an error entry; the others go on. After it nothing more is started from the memory image.
#pragma once

#include <optional>
#include <string>

#include "clone/plan.hpp"
#include "guest/instant_gate.hpp"
#include "lifecycle/parts.hpp"
#include "workflow/saga.hpp"

namespace ramet::clone {

// The step's output: one per clone that came this far.
struct GateEntry {
    std::int64_t index = 0;                 // of the clone's name
    std::int64_t running_milliseconds = 0;  // from the request to its first instruction
    std::int64_t gate_milliseconds = 0;     // in the gate
    std::optional<std::string> error, error_detail;
    std::vector<guest::GateFact> facts;
};

class MemoryGate final : public workflow::Step {
public:
    MemoryGate(lifecycle::Parts& parts, JobId job, ClonePlan plan) : parts_(parts), job_(std::move(job)), plan_(std::move(plan)) {}
    std::string_view name() const override { return "gate"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;

private:
    struct Waiting;
    Result<std::vector<Waiting>> waiting_clones();
    Result<void> pass(const VmId& vm, GateEntry& entry, const std::stop_token& stop);
    void pass_or_remove(Waiting& one, const std::stop_token& stop);
    lifecycle::Parts& parts_;
    JobId job_;
    ClonePlan plan_;
};

// Why the gate did not let this clone through, from the step's output.
std::optional<Error> gate_error(const std::string& output, std::size_t index);

}  // namespace ramet::clone

namespace ramet {
template <> const TypeInfo& describe<clone::GateEntry>();
}  // namespace ramet
