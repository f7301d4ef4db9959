// Finds out whether KVM works by running something on it. That /dev/kvm opens says little: there are machines where it does, where QEMU
// even starts, and where a guest then hangs, or runs slower than under emulation.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

struct ProbeResult {
    bool works = false;
    std::string reason;  // for people
};

// Boots a one-sector guest that enters long mode, takes 200 interrupts each of the PIT and the local APIC timer, and reports success.
// Under emulation that takes 0.3 s, so an accelerator that needs longer than the deadline is none.
ProbeResult probe_accelerator(const std::string& qemu_binary, const std::string& accelerator, const std::string& cpu, const std::optional<User>& user,
                              std::chrono::milliseconds patience);

}  // namespace ramet::hypervisor
