#include "clone/memory_capture.hpp"

#include "base/crash_point.hpp"
#include "lifecycle/memory_images.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;
using workflow::StepContext;

namespace {

constexpr std::chrono::milliseconds kAgentPatience{1500};  // one that is there answers in a few milliseconds

// The source's NICs as the guest in the image knows them, and whether an agent in it can change that.
Result<void> note_source(lifecycle::Parts& parts, MemoryImage& image, const VmId& source) {
    TRY_ASSIGN(const lifecycle::VmRows rows,
               store::read(parts.database(), [&](Transaction& transaction) { return lifecycle::load_vm(transaction, source); }));
    image.source_macs.clear();
    for (const VmNic& nic : rows.nics) image.source_macs.push_back(nic.mac);
    if (rows.vm.state == VmState::running) image.agent = parts.hypervisor.agent_ping(source, kAgentPatience).has_value();
    // A paused guest cannot answer; that it has an agent is known from its identity, which the agent gave.
    if (rows.vm.state == VmState::paused) image.agent = rows.vm.identity_state == IdentityState::own;
    return {};
}

}  // namespace

Result<void> check_memory(const lifecycle::VmRows& source, const api::CloneVmInstance& message) {
    const auto refused = [](std::string what) { return fail(ErrorCode::operation_failed, "memory: " + std::move(what)); };
    if (source.vm.state != VmState::running && source.vm.state != VmState::paused)
        return refused("the VM instance is " + std::string(name_of(source.vm.state)) + "; only a Running or Paused one has a memory to clone");
    if (enum_from<lifecycle::Strategy>(message.strategy).value_or(lifecycle::Strategy::instant_start) != lifecycle::Strategy::instant_start)
        return refused("clones with memory run at once; use the strategy InstantStart, or leave memory out");
    if (enum_from<lifecycle::WaitFor>(message.wait_for).value_or(lifecycle::WaitFor::running) == lifecycle::WaitFor::created)
        return refused("clones with memory run at once; leave waitFor out");
    if (!message.full && source.volumes.size() > 1)
        return refused("the guest has " + std::to_string(source.volumes.size() - 1) + " data volumes in use; set full to clone them too");
    for (std::size_t i = 0; i < message.vm_nic_params.size(); ++i) {
        const api::VmNicParam& param = message.vm_nic_params[i];
        for (const VmNic& nic : source.nics) {
            if (nic.l3_network_uuid == param.l3_network_uuid && param.driver_type && *param.driver_type != nic.driver_type)
                return refused("vmNicParams[" + std::to_string(i) + "].driverType cannot differ from the source's; the guest is using that card");
            if (nic.l3_network_uuid == param.l3_network_uuid && param.multi_queue_num && param.multi_queue_num != nic.multi_queue_num)
                return refused("vmNicParams[" + std::to_string(i) + "].multiQueueNum cannot differ from the source's; the guest is using that card");
        }
    }
    return {};
}

void plan_memory(lifecycle::Parts& parts, const api::CloneVmInstance& message, ClonePlan& plan) {
    plan.memory = message.memory;
    if (!plan.memory) return;
    const hypervisor::Capabilities& capabilities = parts.hypervisor.capabilities();
    plan.memory_reason =
        (capabilities.live_memory ? "live: " : "the source stands still while its memory is saved: ") + capabilities.live_memory_reason;
    plan.keep_identity = message.identity == "keep";
}

void MemoryCapture::amend(lifecycle::CutOrder& order, StepContext& step) {
    order.take = [this, stop = step.stop()](const std::vector<hypervisor::OverlaySpec>& overlays, lifecycle::CutFacts& facts) {
        return take(overlays, facts, stop);
    };
}

Result<void> MemoryCapture::take(const std::vector<hypervisor::OverlaySpec>& overlays, lifecycle::CutFacts& report, const std::stop_token& stop) {
    TRY_ASSIGN(MemoryImage image, lifecycle::reserve_memory_image(parts_, job_, plan_.source));
    if (image.state == MemoryImageState::ready) return {};    // this step, run again after the memory was kept
    TRY(parts_.hypervisor.remove_memory({image.directory}));  // of a run that was cut off
    TRY(note_source(parts_, image, plan_.source));
    TRY_ASSIGN(const hypervisor::MemoryFacts facts, parts_.hypervisor.capture_memory(plan_.source, overlays, {image.directory}, stop));
    crash_point("memory-captured-before-row");
    TRY(lifecycle::keep_memory_image(parts_, image, facts));
    report.paused_microseconds = facts.capture.paused.count();
    report.live = facts.live;
    report.live_reason = facts.reason;
    report.memory_microseconds = facts.taken.count();
    report.memory_bytes = facts.memory_bytes;
    report.allocated_bytes = facts.allocated_bytes;
    report.state_bytes = facts.state_bytes;
    return {};
}

Result<void> MemoryCapture::undo(StepContext& step) {
    TRY(lifecycle::disown_memory_image(parts_, job_));
    return Capture::undo(step);
}

}  // namespace ramet::clone
