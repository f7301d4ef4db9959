// A VM that rests gives back the memory of the code that QEMU's TCG has translated for it, 37 MiB of a small Linux guest that was given an identity. It
// is translated again when it is needed. Decision 0020.
#pragma once

namespace ramet::hypervisor {

// On the main thread, its lock held, once, when the machine is complete. For TCG only. Without effect where QEMU lacks an entry point (all of 7.2).
void give_back_code_at_rest();

}  // namespace ramet::hypervisor
