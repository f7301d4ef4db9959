// The files of a template machine: what a fork must not share with it is exchanged under the numbers that QEMU knows.
#pragma once

#include "hypervisor/qemu/fork_server_protocol.hpp"

namespace ramet::hypervisor {

void share_nothing_later();  // from now on, before QEMU's main(): what is set on taps is remembered, and what forks cannot share is not made
// In the fork: eventfds of its own; sockets that listen, bound anew in the order's directory, which becomes the working directory; taps, seed, log
// and the monitor's files as they came with the order. 0, or the errno of what failed.
int renew_files(const TemplateOrder& order, const int* files);

}  // namespace ramet::hypervisor
