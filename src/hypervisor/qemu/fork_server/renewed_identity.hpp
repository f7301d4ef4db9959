// The identity of a template machine: written where QEMU keeps the template's, which has to be there.
#pragma once

#include "hypervisor/qemu/fork_server_protocol.hpp"

namespace ramet::hypervisor {

bool find_identity();  // what this needs of QEMU 7.2 is there
// In the fork: the machine's uuid and serial, the VM generation id, the NICs' MACs. 0, or what was not where it was looked for (kForkOther...).
int renew_identity(const TemplateOrder& order);

}  // namespace ramet::hypervisor
