#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply.
Result<std::string> update_host(Parts& parts, const identity::Caller& caller, const api::UpdateHost& request);
// `maintain` is refused as unsupported: VM instances of one machine have nowhere to go.
Result<std::string> change_host_state(Parts& parts, const identity::Caller& caller, const api::ChangeHostState& request);
// Measures this machine again; a host that is another machine is refused.
Result<std::string> reconnect_host(Parts& parts, const identity::Caller& caller, const api::ReconnectHost& request);
Result<std::string> get_cpu_memory_capacity(Parts& parts, const identity::Caller& caller, const api::GetCpuMemoryCapacity& request);

}  // namespace ramet::resources
