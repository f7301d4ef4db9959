// A VM that rests gives back the memory of the code that QEMU's TCG has translated for it: some 35 MiB after a Linux guest has begun anything. It is
// translated again when it is needed.
#pragma once

namespace ramet::hypervisor {

// On the main thread, its lock held, once, when the machine is complete. Without effect where QEMU lacks an entry point (all of 7.2) or has no TCG.
void give_back_code_at_rest();

}  // namespace ramet::hypervisor
