// The hypervisor port over direct QEMU processes (7.2), driven over QMP. The processes outlive this one; a new adapter over the same
// run_root takes them up again.
//
// run_root/<vm uuid>/   0700, owned by QEMU's user, QEMU's working directory
//     lock              flock held by the QEMU process for as long as it lives: two processes for one VM cannot be
//     spec.json         what was started, with the disk chain as it is now
//     pid               "<pid> <start time>"; written after exec, the scan of /proc makes up for a missing one
//     qmp.sock guard.sock agent.sock vnc.sock serial.log qemu.log
//     tpm.pid tpm.sock tpm.log    of the swtpm process beside it, when the VM has a TPM
//
// run_root/fork-server.log   the last words of the process that VMs' processes are forked of
//
// serial.log is as long as the guest makes it: the run directory belongs on a filesystem whose filling up harms nobody else.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/limits.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/firmware.hpp"

namespace ramet::hypervisor {

struct QemuOptions {
    std::string run_root;                  // absolute; made if absent
    std::string qemu_user = "ramet-qemu";  // used when we are root; "nobody" when it does not exist
    std::string qemu_binary = "/usr/bin/qemu-system-x86_64";
    std::string guard_binary;    // ramet-freeze-guard; empty: the one beside this program
    bool fork_processes = true;  // VMs' processes are forks of one that waits (fork_server.hpp); false: each is executed
    FirmwareFiles firmware;
    std::string swtpm_binary = "/usr/bin/swtpm";
    bool force_tcg = false;             // do not even probe KVM
    bool allow_userfaultfd = false;     // when root: set vm.unprivileged_userfaultfd=1 where it is 0, for captures that do not stop the guest
    std::int64_t tcg_tb_megabytes = 0;  // translation cache of one VM; 0: by the size of the guest
    std::chrono::milliseconds graceful_stop = limits::kGracefulStopTimeout;
    std::chrono::milliseconds detach_patience{10'000};  // how long a guest may take to let go of a disk
    std::chrono::milliseconds stream_stall{60'000};     // no byte of a VM's memory for this long ends its capture
};

Result<std::unique_ptr<Hypervisor>> open_qemu(const QemuOptions& options);

}  // namespace ramet::hypervisor
