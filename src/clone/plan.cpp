#include "clone/plan.hpp"

namespace ramet {

template <> const TypeInfo& describe<clone::PlannedVolume>() {
    using clone::PlannedVolume;
    static const TypeInfo info = object<PlannedVolume>(
        "PlannedVolume", "How one volume of the source is cloned.", field<&PlannedVolume::source>("source", "The source's volume."),
        field<&PlannedVolume::type>("type", "Root or Data."), field<&PlannedVolume::mode>("mode", "overlay: linked; copy: a real copy."),
        field<&PlannedVolume::thick>("thick", "Whether all its blocks are allocated."),
        field<&PlannedVolume::storage>("storage", "Where the clones' volumes go."), field<&PlannedVolume::reason>("reason", "Why this mode."));
    return info;
}

template <> const TypeInfo& describe<clone::PlannedClone>() {
    using clone::PlannedClone;
    static const TypeInfo info = object<PlannedClone>("PlannedClone", "One clone to be made.", field<&PlannedClone::name>("name", "Its name."),
                                                      field<&PlannedClone::refusal>("refusal", "Why it cannot be made."));
    return info;
}

template <> const TypeInfo& describe<clone::ClonePlan>() {
    using clone::ClonePlan;
    static const TypeInfo info = object<ClonePlan>(
        "ClonePlan", "The plan of a clone-vm job.", field<&ClonePlan::source>("source", "The VM that is cloned."),
        field<&ClonePlan::strategy>("strategy", "What becomes of the clones."), field<&ClonePlan::volumes>("volumes", "The volumes of each clone."),
        field<&ClonePlan::clones>("clones", "One entry per name."), field<&ClonePlan::memory>("memory", "Whether the clones go on from its memory."),
        field<&ClonePlan::memory_reason>("memoryReason", "How the memory is captured, and why so."),
        field<&ClonePlan::keep_identity>("keepIdentity", "Whether the guests are left as they are, with every link down."));
    return info;
}

}  // namespace ramet

namespace ramet::clone {

VmId clone_uuid(const JobId& job, std::size_t index) { return VmId::derived(job.text(), "vm/" + std::to_string(index)); }
VolumeId clone_volume_uuid(const VmId& clone, std::size_t volume_index) {
    return VolumeId::derived(clone.text(), "volume/" + std::to_string(volume_index));
}
LayerId first_layer_uuid(const VolumeId& volume) { return LayerId::derived(volume.text(), "layer/0"); }
LayerId capture_layer_uuid(const JobId& job, const VolumeId& source) { return LayerId::derived(job.text(), "capture/" + source.text()); }

}  // namespace ramet::clone
