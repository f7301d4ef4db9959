// Gives a booted guest the identity of its row: host name, machine-id, SSH host keys, through the guest agent. Works on every VM whose
// row says identity pending, as soon as its agent answers; a guest without an agent keeps waiting at no cost to anyone (its NoCloud seed
// and DHCP still name it). A restart of the server takes the pending ones up again.
// Thread rules: own threads; notice() from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/id.hpp"
#include "hypervisor/hypervisor.hpp"
#include "store/database.hpp"

namespace ramet::guest {

struct WantedIdentity {
    VmId vm;
    std::string instance_id;  // 32 hex digits: also the machine-id
    std::string host_name;
};

// One try: returns when the guest says it is done. Errors: timeout when the agent does not answer; operation_failed with the guest's words.
Result<void> give_identity(hypervisor::Hypervisor& hypervisor, const WantedIdentity& wanted, std::chrono::milliseconds patience);

class IdentityKeeper {
public:
    // `host_name_of`: the guest's name as the rows have it.
    using HostName = std::function<Result<std::string>(store::Transaction&, const VmId&)>;
    IdentityKeeper(store::Database& database, hypervisor::Hypervisor& hypervisor, HostName host_name_of);
    ~IdentityKeeper();
    void start();
    void notice();  // a VM with a pending identity has just started

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace ramet::guest
