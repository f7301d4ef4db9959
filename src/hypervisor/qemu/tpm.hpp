// A VM's TPM 2.0: one swtpm process beside its QEMU, of the same unprivileged user, in the VM's run directory. It owns nothing but the
// directory of its state, which it gets as an open descriptor, and ends by itself when QEMU's connection does, whatever becomes of us.
// The state file is replaced as a whole by each TPM command that changes it, so it can be copied at any time.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/run_directory.hpp"

namespace ramet::hypervisor {

// Why this machine cannot give VMs a TPM, with what to do; empty: it can.
std::string tpm_missing(const std::string& swtpm_binary);

// Starts it; QEMU finds it behind "tpm.sock" in its run directory. Makes the state's directory when it is absent.
Result<Process> launch_tpm(const std::string& swtpm_binary, const std::string& state_directory, const RunDirectory& directory,
                           const std::optional<User>& user);
std::optional<Process> find_tpm(const RunDirectory& directory);  // one that outlived an earlier server too
void end_tpm(const RunDirectory& directory);                     // waits a moment for it to end by itself
bool is_tpm(pid_t pid);

}  // namespace ramet::hypervisor
