// The identity gate: what a VM that goes on from another's memory must change before its first packet. Its links are down when it comes
// here. With a guest agent: random numbers, clock, MAC, address, host name, machine-id, SSH host keys, the guest's own hooks in
// /etc/ramet/resume.d; then the links go up and DHCP clients are started again. Without one: each NIC is taken out and another put in.
// Thread rules: any thread, one call per VM at a time. May be repeated.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "hypervisor/hypervisor.hpp"

namespace ramet::guest {

struct GateNic {
    hypervisor::NicSpec nic;  // as it is to be: MAC, address, link
    std::string old_mac;      // what the guest in the memory bears
    std::int64_t prefix_length = 24;
};

struct GateRequest {
    VmId vm;
    std::string instance_id;  // 32 hex digits: also the machine-id
    std::string host_name;
    std::vector<GateNic> nics;
    bool agent = true;  // the captured guest had an agent that answered
};

// One thing of the guest's identity and what became of it.
struct GateFact {
    std::string what;     // "mac", "address", "hostName", "machineId", "sshHostKeys", "clock", "randomPool", "fileSystem", "hook", "link", "smbios"
    std::string outcome;  // "changed", "kept", "failed"
    std::string detail;   // for people
};

// When it fails, every link is still down. timeout: the agent did not answer.
Result<std::vector<GateFact>> pass_instant_gate(hypervisor::Hypervisor& hypervisor, const GateRequest& request, std::chrono::milliseconds patience,
                                                const std::stop_token& stop);

// A VM that goes on from an earlier instant of its own keeps its identity: its clock becomes the host's, and its random numbers others than those that
// it drew from there the last time. What its agent does not do is a fact like any other. An error: it has ended, or `stop` was requested.
Result<std::vector<GateFact>> wake_in_the_present(hypervisor::Hypervisor& hypervisor, const VmId& vm, bool agent, std::chrono::milliseconds patience,
                                                  const std::stop_token& stop);

}  // namespace ramet::guest

namespace ramet {
template <> const TypeInfo& describe<guest::GateFact>();
}  // namespace ramet
