// Step "resume": a clone's process goes on from the source's instant instead of booting. Its links stay down: it still bears the source's
// identity. The VM stays its job's until the identity gate lets it through.
#pragma once

#include "lifecycle/parts.hpp"
#include "model/memory_image.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

class ResumeFromMemory final : public workflow::Step {
public:
    // `together`: how many VMs are being started, this one among them; its guest gives others the machine until the gate lets it through.
    ResumeFromMemory(Parts& parts, VmId vm, MemoryImageId image, std::size_t together)
        : parts_(parts),
          vm_(std::move(vm)),
          image_(std::move(image)),
          together_(together) {}
    std::string_view name() const override { return "resume"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;
    std::vector<std::string> locks() const override { return {vm_.text()}; }

private:
    Result<void> go_on();
    Parts& parts_;
    VmId vm_;
    MemoryImageId image_;
    std::size_t together_;
};

}  // namespace ramet::lifecycle
