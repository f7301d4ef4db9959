// What can be set on a VM instance and its NICs. Each answers with a JSON body at once.
#pragma once

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

Result<std::string> update_vm(Parts& parts, const api::UpdateVmInstance& message);
Result<std::string> set_host_name(Parts& parts, const identity::Caller& caller, const api::SetVmHostname& message);
Result<std::string> get_host_name(Parts& parts, const api::GetVmHostname& message);
Result<std::string> delete_host_name(Parts& parts, const api::DeleteVmHostname& message);
Result<std::string> console_address(Parts& parts, const api::GetVmConsoleAddress& message);
Result<std::string> change_nic_state(Parts& parts, const api::ChangeVmNicState& message);

}  // namespace ramet::lifecycle
