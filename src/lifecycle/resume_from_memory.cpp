#include "lifecycle/resume_from_memory.hpp"

#include "base/crash_point.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using workflow::Output;
using workflow::StepContext;

Result<Output> ResumeFromMemory::run(StepContext& step) {
    if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
    // An earlier run saw it run: where its disks are now, the captured memory does not fit any more.
    TRY_ASSIGN(const VmInstance known,
               store::read(parts_.database(), [&](store::Transaction& transaction) { return store::get<VmInstance>(transaction, vm_.text()); }));
    if (known.state != VmState::running) TRY(go_on());
    TRY(plug_domain(parts_, vm_));
    return Output{};
}

Result<void> ResumeFromMemory::go_on() {
    TRY_ASSIGN(const MemoryImage image, use_memory_image(parts_, vm_, image_));
    crash_point("memory-used");
    if (together_ > 1) parts_.hypervisor.in_background(vm_, true);
    Result<void> started = start_domain_from_memory(parts_, vm_, image, together_);
    if (!started.has_value()) {
        parts_.hypervisor.in_background(vm_, false);
        return started;
    }
    crash_point("memory-resumed");
    return parts_.database().write([&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, vm_.text()));
        return set_vm_state(transaction, std::move(vm), VmState::running, parts_.now());
    });
}

Result<void> ResumeFromMemory::undo(StepContext&) { return stop_domain(parts_, vm_, hypervisor::StopMode::cold, {}); }

}  // namespace ramet::lifecycle
