// The plan of a clone-vm job: every choice made, kept as JSON in the job, so that recovery builds exactly the same saga.
// Uuids are derived from the job's, so the plan names none of the targets' rows.
#pragma once

#include <string>
#include <vector>

#include "base/describe.hpp"
#include "lifecycle/make_vm.hpp"
#include "model/vm.hpp"

namespace ramet::clone {

struct PlannedVolume {
    VolumeId source;
    VolumeType type = VolumeType::root;
    lifecycle::LayerMode mode = lifecycle::LayerMode::overlay;
    bool thick = false;
    PrimaryStorageId storage;
    std::string reason;  // why overlay or copy, for people
};

struct PlannedClone {
    std::string name;
    std::optional<std::string> refusal;  // set: no host can take this one; no rows are reserved for it
};

struct ClonePlan {
    VmId source;
    lifecycle::Strategy strategy = lifecycle::Strategy::instant_start;
    std::vector<PlannedVolume> volumes;  // the root volume first
    std::vector<PlannedClone> clones;    // one per name, in order
    bool memory = false;                 // the clones go on from the source's instant instead of booting
    std::string memory_reason;           // how its memory will be captured and why so, for people; empty without memory
    bool keep_identity = false;          // with memory: nothing is changed in the guest, every link stays down
};

VmId clone_uuid(const JobId& job, std::size_t index);
VolumeId clone_volume_uuid(const VmId& clone, std::size_t volume_index);
LayerId first_layer_uuid(const VolumeId& volume);
// The overlay that a capture puts over a source volume.
LayerId capture_layer_uuid(const JobId& job, const VolumeId& source);

}  // namespace ramet::clone

namespace ramet {
template <> const TypeInfo& describe<clone::PlannedVolume>();
template <> const TypeInfo& describe<clone::PlannedClone>();
template <> const TypeInfo& describe<clone::ClonePlan>();
}  // namespace ramet
