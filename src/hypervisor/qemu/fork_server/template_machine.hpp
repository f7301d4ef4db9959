// A machine with captured state that never runs: its process forks, and each fork is a VM's process one instruction before the guest goes on.
#pragma once

namespace ramet::hypervisor {

// In the process that becomes such a machine, before QEMU's main(). `orders`: the number of the socket that orders come from (TemplateOrder).
void become_template(int orders);
// In the main loop's first turn, QEMU's lock held.
void serve_as_template();

}  // namespace ramet::hypervisor
