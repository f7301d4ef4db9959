// Gives a booted guest the identity of its row: host name, machine-id, SSH host keys, through the guest agent. Works on every VM whose
// row says identity pending, as soon as its agent answers; a guest without an agent keeps waiting at no cost to anyone (its NoCloud seed
// and DHCP still name it). A restart of the server takes the pending ones up again.
// Thread rules: own threads; notice() from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/id.hpp"
#include "guest/identity_record.hpp"
#include "hypervisor/hypervisor.hpp"
#include "store/database.hpp"

namespace ramet::guest {

struct WantedIdentity {
    VmId vm;
    std::string instance_id;  // 32 hex digits: also the machine-id
    std::string host_name;    // empty: leave it
    IdentityMode mode = IdentityMode::reset;
    bool expects_address = false;  // DHCP is to give it one
};

// One try: returns what was seen in the guest when it says it is done. Errors: timeout when the agent does not answer or the guest is still
// at work; operation_failed with the guest's words.
Result<std::vector<api::IdentityFact>> give_identity(hypervisor::Hypervisor& hypervisor, const WantedIdentity& wanted,
                                                     std::chrono::milliseconds patience);

class IdentityKeeper {
public:
    // `wanted`: a VM's identity as the rows have it.
    using Wanted = std::function<Result<WantedIdentity>(store::Transaction&, const VmId&)>;
    IdentityKeeper(store::Database& database, hypervisor::Hypervisor& hypervisor, Wanted wanted);
    ~IdentityKeeper();
    void start();
    void notice();  // a VM with a pending identity has just started

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace ramet::guest
