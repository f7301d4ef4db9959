// What templates and their forks may not do (seccomp), in the place of what QEMU's own sandbox would deny.
#pragma once

namespace ramet::hypervisor {

// For the thread that calls and those that it begins; 0, or the errno of what failed.
int confine_template();  // executes nothing, becomes nobody else
int confine_fork();      // makes no process either

}  // namespace ramet::hypervisor
