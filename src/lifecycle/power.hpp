// Start, stop, reboot, pause, resume: each a job of one step that holds the VM's lock.
//
//   Created, Stopped ─start─► Starting ─► Running ─stop─► Stopping ─► Stopped
//   Running ─reboot─► Rebooting ─► Running      Running ─pause─► Pausing ─► Paused ─resume─► Resuming ─► Running
//
// A step that fails puts the state back to what the hypervisor says.
#pragma once

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"

namespace ramet::lifecycle {

void register_power_sagas(workflow::Engine& engine, Parts& parts);  // before Engine::recover()

Result<JobId> start_vm(Parts& parts, const Request& request, const api::StartVmInstance& message);
Result<JobId> stop_vm(Parts& parts, const Request& request, const api::StopVmInstance& message);
Result<JobId> reboot_vm(Parts& parts, const Request& request, const api::RebootVmInstance& message);
Result<JobId> pause_vm(Parts& parts, const Request& request, const api::PauseVmInstance& message);
Result<JobId> resume_vm(Parts& parts, const Request& request, const api::ResumeVmInstance& message);

// Chooses the host of a VM that is about to start and notes it, so that capacity is held from now on. One that has a host keeps it.
Result<void> place_vm(Parts& parts, const api::StartVmInstance& message);

// Undo of every transition, and of a destroy: only a VM that the step moved to `during` is touched; it becomes what the hypervisor says it is.
Result<void> put_back(Parts& parts, const VmId& vm, VmState during);

// The VM's process has ended by itself: a job notes it when its turn comes among those that want the VM.
Result<void> vm_exited(Parts& parts, const VmId& vm);
// The same for who looks again and again: nothing while such a job is to come, or has just failed.
Result<void> vm_found_ended(Parts& parts, const VmId& vm);
// What that job does: the row becomes Stopped, its taps and leases go. By itself only where no job can be at work on the VM.
Result<void> note_exit(Parts& parts, const VmId& vm);

}  // namespace ramet::lifecycle
