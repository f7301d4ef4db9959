// What captured device state belongs to: the devices in their slots, and the hypervisor that can read it. Kept with the memory as text.
#pragma once

#include <string>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"

namespace ramet::hypervisor {

std::string layout_text(const DomainSpec& captured, const Capabilities& capabilities);
// operation_failed when state with this layout cannot be loaded here (any more): another QEMU, machine type, accelerator, CPU or device layout.
Result<void> check_layout(const std::string& layout, const Capabilities& capabilities);
Result<DomainSpec> captured_spec(const std::string& layout);
// Gives `spec` the slots of the captured machine, after checking that it is the same machine but for its names.
Result<void> adopt_layout(DomainSpec& spec, const std::string& layout);

}  // namespace ramet::hypervisor
