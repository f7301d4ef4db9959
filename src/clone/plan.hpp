// The plan of a clone-vm job: every choice made, kept as JSON in the job, so that recovery builds exactly the same saga.
// Uuids are derived from the job's, so the plan names none of the targets' rows.
#pragma once

#include <string>
#include <vector>

#include "base/describe.hpp"
#include "hypervisor/hypervisor.hpp"
#include "lifecycle/await_guest.hpp"
#include "lifecycle/make_vm.hpp"
#include "model/vm.hpp"

namespace ramet::clone {

struct PlannedVolume {
    VolumeId source;
    VolumeType type = VolumeType::root;
    lifecycle::LayerMode mode = lifecycle::LayerMode::overlay;
    bool thick = false;
    PrimaryStorageId storage;
    std::string reason;           // why this mode, for people
    std::int64_t file_bytes = 0;  // that the volume of each clone will occupy; what it shares is not counted
    std::int64_t data_bytes = 0;  // that each copy reads and writes, or that each reflink shares
    std::int64_t extents = 0;     // of a reflink
};

struct PlannedClone {
    std::string name;
    std::optional<std::string> refusal;  // set: no host can take this one; no rows are reserved for it
};

struct ClonePlan {
    VmId source;
    bool kept = false;  // cloned from kept layers, which are the parents already: nothing is captured, and the source may be gone
    std::optional<CheckpointId> checkpoint;     // what keeps them, and firmware state perhaps
    std::optional<MemoryImageId> memory_image;  // kept memory that the clones go on from; absent with memory: it is captured
    lifecycle::Strategy strategy = lifecycle::Strategy::instant_start;
    lifecycle::WaitFor wait_for = lifecycle::WaitFor::running;
    std::int64_t wait_seconds = 0;
    hypervisor::Quiesce quiesce = hypervisor::Quiesce::automatic;
    std::string tpm_policy;                 // copy, new; empty: the source has no TPM
    std::vector<PlannedVolume> volumes;     // the root volume first
    std::vector<PlannedClone> clones;       // one per name, in order
    bool atomic = false;                    // all clones or none
    std::optional<std::int64_t> bandwidth;  // bytes per second of all copies together
    bool memory = false;                    // the clones go on from the source's instant instead of booting
    std::string memory_reason;              // how its memory will be captured and why so, for people; empty without memory
    bool keep_identity = false;             // with memory: nothing is changed in the guest, every link stays down
};

// A copy, which writes as much at once; what shares blocks writes next to nothing.
inline bool promises_bytes(const PlannedVolume& volume) { return volume.mode == lifecycle::LayerMode::copy; }

std::string_view strategy_of(const PlannedVolume& volume);  // as the API's `copy` names it: "linked", "reflink", "full"

VmId clone_uuid(const JobId& job, std::size_t index);
MemoryImageId memory_of(const ClonePlan& plan, const JobId& job);  // what the clones of a plan with memory go on from
VolumeId clone_volume_uuid(const VmId& clone, std::size_t volume_index);
LayerId first_layer_uuid(const VolumeId& volume);

}  // namespace ramet::clone

namespace ramet {
template <> const TypeInfo& describe<clone::PlannedVolume>();
template <> const TypeInfo& describe<clone::PlannedClone>();
template <> const TypeInfo& describe<clone::ClonePlan>();
}  // namespace ramet
