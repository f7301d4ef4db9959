// A VM instance that is taken back to a group with memory goes on from the group's instant. It is the same VM: MACs, addresses and what it is called
// stay; its clock and its random numbers are of now.
//
//   Stopped, the old disks ─keep-firmware, resume─► Starting, the job's, on the fresh overlays, links down ─switch (revert.cpp)─► Running ─links─► nobody's, links up
//                                          │ fails
//                                          └──► Stopped, the old disks
//
// keep-firmware: a guest that goes on from memory has its UEFI variables and its TPM's state written back to those of the instant, so a copy of what they
// are is put aside until the links are up. The volumes' rows go over only after the guest goes on, so that until then all of it can be taken back.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "guest/instant_gate.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/parts.hpp"
#include "model/memory_image.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

// Why the VM instance cannot go on from the memory that the group keeps, and what to do; nothing when it can, or when the group keeps disks alone. Not
// inside a transaction: it asks the hypervisor.
Result<std::optional<std::string>> memory_obstacle(Parts& parts, const SnapshotGroupId& group);
// What the rows tell of it: the VM's processors, memory, NICs and firmware must be what they were, and the memory be there.
Result<std::optional<std::string>> memory_obstacle_in_rows(store::Transaction& transaction, const SnapshotGroupId& group);

struct MemoryRevert {
    VmId vm;
    MemoryImageId image;
    SnapshotGroupId group;
    std::vector<std::string> locks;
    Reverting to;                              // the fresh overlays
    std::function<Result<void>()> empty_tops;  // makes them as if nothing had ever been written to them
};

// Step "keep-firmware". Undone after "resume", which puts back what it needs of the copy.
Result<void> put_firmware_aside(Parts& parts, const VmId& vm, const JobId& job);
Result<void> forget_firmware_aside(Parts& parts, const JobId& job);

// Step "resume". Its undo leaves the VM Stopped, with the disks that its rows have.
class ResumeReverted final : public workflow::Step {
public:
    ResumeReverted(Parts& parts, MemoryRevert wanted) : parts_(parts), wanted_(std::move(wanted)) {}
    std::string_view name() const override { return "resume"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;
    std::vector<std::string> locks() const override { return wanted_.locks; }

private:
    Result<void> begin(const JobId& job);
    Result<std::vector<guest::GateFact>> go_on(const std::stop_token& stop);
    Parts& parts_;
    MemoryRevert wanted_;
};

// Step "links": the last one. The links go up, and the VM is no longer the job's.
Result<void> open_links(Parts& parts, const VmId& vm, const JobId& job);

}  // namespace ramet::lifecycle
