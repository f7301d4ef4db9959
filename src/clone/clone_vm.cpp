#include "clone/clone_vm.hpp"

#include <algorithm>
#include <iterator>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "clone/capture.hpp"
#include "clone/kept_source.hpp"
#include "clone/make_plan.hpp"
#include "clone/memory_capture.hpp"
#include "clone/memory_gate.hpp"
#include "clone/report.hpp"
#include "clone/reserve.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/resume_from_memory.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using lifecycle::Strategy;
using store::Transaction;
using workflow::Saga;

namespace {

// A step whose error names the clone it was for: of an atomic clone it becomes the job's own error.
class NamingStep final : public workflow::Step {
public:
    NamingStep(std::unique_ptr<workflow::Step> step, std::string clone) : step_(std::move(step)), clone_(std::move(clone)) {}
    std::string_view name() const override { return step_->name(); }
    Result<workflow::Output> run(workflow::StepContext& context) override {
        Result<workflow::Output> outcome = step_->run(context);
        if (outcome.has_value() || outcome.error().code == ErrorCode::cancelled) return outcome;
        return error_of_clone(clone_, std::move(outcome.error()));
    }
    Result<void> undo(workflow::StepContext& context) override { return step_->undo(context); }
    std::vector<std::string> locks() const override { return step_->locks(); }

private:
    std::unique_ptr<workflow::Step> step_;
    std::string clone_;
};

std::vector<lifecycle::VolumeRecipe> recipes_of(const ClonePlan& plan, const VmId& clone, const std::shared_ptr<storage::Throttle>& throttle) {
    std::vector<lifecycle::VolumeRecipe> recipes;
    for (std::size_t k = 0; k < plan.volumes.size(); ++k) {
        const VolumeId volume = clone_volume_uuid(clone, k);
        recipes.push_back({volume, first_layer_uuid(volume), plan.volumes[k].mode, plan.volumes[k].thick, throttle});
    }
    return recipes;
}

// The order is the contract: what a branch does relies on the capture before it.
// Built from the stored plan alone, so recovery rebuilds exactly the same list.
Saga clone_saga(lifecycle::Parts& parts, const Job& job, const ClonePlan& plan) {
    Saga saga(job.kind, job.uuid);
    saga.begins_again_after_power_cut();
    // Once for all clones; the copies below never read what the source still writes.
    if (plan.memory && !plan.kept)
        saga.add<MemoryCapture>(parts, job.uuid, plan);
    else if (!plan.kept)
        saga.add<Capture>(parts, job.uuid, plan);
    else if (plan.checkpoint)
        saga.add<KeptFirmware>(parts, job.uuid, plan);
    workflow::FanOut spawn;
    spawn.parallel = limits::kBranchThreads;
    spawn.on_failure = plan.atomic ? workflow::BranchFailure::undo_all : workflow::BranchFailure::undo_branch;
    const auto throttle = plan.bandwidth ? std::make_shared<storage::Throttle>(*plan.bandwidth) : nullptr;
    spawn.slow = std::ranges::any_of(plan.volumes, [](const PlannedVolume& volume) { return volume.mode == lifecycle::LayerMode::copy; });
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        if (plan.clones[i].refusal) continue;
        const VmId vm = clone_uuid(job.uuid, i);
        workflow::Branch branch{std::to_string(i), {}};
        branch.steps.push_back(std::make_unique<lifecycle::Materialize>(parts, vm, recipes_of(plan, vm, throttle), plan.strategy));
        branch.label = plan.clones[i].name;
        if (plan.memory) {
            branch.steps.push_back(std::make_unique<lifecycle::ResumeFromMemory>(parts, vm, memory_of(plan, job.uuid), plan.clones.size()));
        } else if (plan.strategy == Strategy::instant_start) {
            std::ranges::move(lifecycle::start_steps(parts, vm, plan.wait_for, std::chrono::seconds(plan.wait_seconds)),
                              std::back_inserter(branch.steps));
        }
        for (std::unique_ptr<workflow::Step>& step : branch.steps) step = std::make_unique<NamingStep>(std::move(step), plan.clones[i].name);
        spawn.branches.push_back(std::move(branch));
    }
    saga.fan_out(std::move(spawn));
    if (plan.memory) saga.add<MemoryGate>(parts, job.uuid, plan);
    saga.abandon([&parts, id = job.uuid](const Error&) { return lifecycle::demolish_vms_of_job(parts, id); });
    return saga;
}

Result<Saga> build_saga(lifecycle::Parts& parts, const Job& job) {
    TRY_ASSIGN(const ClonePlan plan, api::from_json<ClonePlan>(job.plan));
    Saga saga = clone_saga(parts, job, plan);
    saga.report([&parts, id = job.uuid, plan](const workflow::StepContext& context, const std::vector<workflow::BranchOutcome>& outcomes) {
        return report(parts, id, plan, context, outcomes);
    });
    return saga;
}

// Only of memory that is kept: what a capture makes nothing waits for yet. One that waits has its MACs, and takes no others.
std::vector<hypervisor::ReadyMachine> ready_machines(lifecycle::Parts& parts, const PreparedClone& prepared, const api::CloneVmInstance& message) {
    if (!prepared.plan.memory || !prepared.checked.kept_memory) return {};
    if (lifecycle::asks_for_mac(message.vm_nic_params, message.system_tags)) return {};
    return parts.hypervisor.promise_ready(lifecycle::place_of(*prepared.checked.kept_memory), prepared.plan.clones.size());
}

}  // namespace

void register_clone_saga(workflow::Engine& engine, lifecycle::Parts& parts) {
    engine.add_kind("clone-vm", [&parts](const Job& job) { return build_saga(parts, job); });
}

Result<JobId> clone_vm(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message) {
    TRY_ASSIGN(const PreparedClone prepared, prepare(parts, request, message));
    const std::vector<hypervisor::ReadyMachine> ready = ready_machines(parts, prepared, message);
    const lifecycle::JobOrder order{"clone-vm", "CloneVmInstance", source_uuid(message), "{}"};
    return lifecycle::submit(parts, request, order, [&](Transaction& transaction, Job& job) -> Result<void> {
        TRY(lifecycle::require_room(transaction, prepared.room, wanted_room(prepared)));
        TRY_ASSIGN(const Reserved reserved, reserve(transaction, request, message, prepared.checked, prepared.plan, parts.now(), ready));
        job.plan = api::to_json(reserved.plan, api::Audience::storage);
        return {};
    });
}

}  // namespace ramet::clone
