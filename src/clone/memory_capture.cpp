#include "clone/memory_capture.hpp"

#include "lifecycle/memory_cut.hpp"
#include "lifecycle/memory_images.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;
using workflow::StepContext;

Result<void> check_memory(const lifecycle::VmRows& source, const api::CloneVmInstance& message, std::string_view tpm_policy) {
    const auto refused = [](std::string what) { return fail(ErrorCode::operation_failed, "memory: " + std::move(what)); };
    if (source.vm.state != VmState::running && source.vm.state != VmState::paused)
        return refused("the VM instance is " + std::string(name_of(source.vm.state)) + "; only a Running or Paused one has a memory to clone");
    if (enum_from<lifecycle::Strategy>(message.strategy).value_or(lifecycle::Strategy::instant_start) != lifecycle::Strategy::instant_start)
        return refused("clones with memory run at once; use the strategy InstantStart, or leave memory out");
    if (enum_from<lifecycle::WaitFor>(message.wait_for).value_or(lifecycle::WaitFor::running) == lifecycle::WaitFor::created)
        return refused("clones with memory run at once; leave waitFor out");
    if (tpm_policy == "new") return refused("the guest is using its TPM, which cannot be another; use tpmPolicy::copy, or leave memory out");
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

Result<MemoryImage> kept_memory(Transaction& transaction, const lifecycle::KeptVm& kept) {
    if (!kept.memory)
        return fail(ErrorCode::operation_failed, "memory: what was kept holds disks alone; keep a checkpoint with memory, or leave memory out");
    TRY_ASSIGN(MemoryImage image, store::get<MemoryImage>(transaction, kept.memory->text()));
    TRY(lifecycle::require_usable(image));
    return image;
}

void plan_memory(lifecycle::Parts& parts, const api::CloneVmInstance& message, ClonePlan& plan) {
    plan.memory = message.memory;
    if (!plan.memory) return;
    const hypervisor::Capabilities& capabilities = parts.hypervisor.capabilities();
    plan.keep_identity = message.identity == "keep";
    if (plan.memory_image) {
        plan.memory_reason = "the memory was kept: no source is touched";
        return;
    }
    plan.memory_reason =
        (capabilities.live_memory ? "live: " : "the source stands still while its memory is saved: ") + capabilities.live_memory_reason;
}

void MemoryCapture::amend(lifecycle::CutOrder& order, StepContext& step) {
    const lifecycle::MemoryCut memory{job_, plan_.source, false, order.while_stopped};
    order.take = [this, memory, stop = step.stop()](const std::vector<hypervisor::OverlaySpec>& overlays, lifecycle::CutFacts& facts) {
        return lifecycle::take_memory(parts_, memory, overlays, facts, stop);
    };
}

Result<void> MemoryCapture::undo(StepContext& step) {
    TRY(lifecycle::disown_memory_image(parts_, job_));
    return Capture::undo(step);
}

}  // namespace ramet::clone
