// The identity report: what tells a VM from its source, put together from its rows and from what has been seen in its guest.
#pragma once

#include "api/messages_identity_report.hpp"
#include "guest/identity_keeper.hpp"
#include "lifecycle/parts.hpp"
#include "lifecycle/rows.hpp"

namespace ramet::lifecycle {

// Pure. One line in `kIdentifiers` (identity_report.cpp) adds an identifier that is known before
// it is seen; any other is shown as soon as guest::note_facts() has it.
api::VmIdentityReport identity_report(const VmRows& rows);

// What the VM's process alone can say; a VM that is off has none.
void ask_machine(hypervisor::Hypervisor& hypervisor, VmRows& rows);

Result<std::string> get_identity(Parts& parts, const api::GetVmInstanceIdentity& message);
// A JSON list of reports, for a job's detail; of many VMs only how many facts are in which state. VMs that are gone are left out.
Result<std::string> identity_reports(Parts& parts, const std::vector<VmId>& vms);

// The row of a clone: what its source has now, so that the report can tell it although the source goes.
VmIdentity identity_of_clone(const VmRows& source, const VmId& clone, IdentityMode mode);

// What the guest is to be given, as the rows have it.
Result<guest::WantedIdentity> wanted_identity(store::Transaction& transaction, const VmId& vm);

}  // namespace ramet::lifecycle
