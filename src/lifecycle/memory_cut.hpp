// The memory's part of a cut: the source's disks and memory of one instant. The memory becomes the job's memory image; the disks are cut as
// in cut.hpp.
#pragma once

#include <string_view>
#include <vector>

#include "lifecycle/cut.hpp"
#include "lifecycle/parts.hpp"

namespace ramet::lifecycle {

struct MemoryCut {
    JobId job;
    VmId source;
    bool durable = false;                      // the image has to outlast a power cut: no VM is started from it right away
    hypervisor::WhileStopped while_stopped{};  // what else is taken at the instant
};

// operation_failed naming `field` when the VM has no memory to keep.
Result<void> require_memory(const VmInstance& vm, std::string_view field);

// For CutOrder::take. May run again after the image was kept: then nothing is done.
Result<void> take_memory(Parts& parts, const MemoryCut& cut, const std::vector<hypervisor::OverlaySpec>& overlays, CutFacts& report,
                         const std::stop_token& stop);

}  // namespace ramet::lifecycle
