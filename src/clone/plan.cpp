#include "clone/plan.hpp"

#include "lifecycle/memory_images.hpp"

namespace ramet {

template <> const TypeInfo& describe<clone::PlannedVolume>() {
    using clone::PlannedVolume;
    static const TypeInfo info = object<PlannedVolume>(
        "PlannedVolume", "How one volume of the source is cloned.", field<&PlannedVolume::source>("source", "The source's volume."),
        field<&PlannedVolume::type>("type", "Root or Data."),
        field<&PlannedVolume::mode>("mode", "overlay: linked; copy: a real copy; reflink: shares blocks by the file system."),
        field<&PlannedVolume::thick>("thick", "Whether all its blocks are allocated."),
        field<&PlannedVolume::storage>("storage", "Where the clones' volumes go."), field<&PlannedVolume::reason>("reason", "Why this mode."),
        field<&PlannedVolume::file_bytes>("fileBytes", "What each clone's file occupies."),
        field<&PlannedVolume::data_bytes>("dataBytes", "What each copy moves, or each reflink shares."),
        field<&PlannedVolume::extents>("extents", "Pieces that a reflink shares."));
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
    static const TypeInfo info =
        object<ClonePlan>("ClonePlan", "The plan of a clone-vm job.", field<&ClonePlan::source>("source", "The VM that is cloned."),
                          field<&ClonePlan::kept>("kept", "Whether it is cloned from something kept, without a capture."),
                          field<&ClonePlan::checkpoint>("checkpoint", "The checkpoint it is cloned from."),
                          field<&ClonePlan::memory_image>("memoryImage", "The kept memory that the clones go on from."),
                          field<&ClonePlan::strategy>("strategy", "What becomes of the clones."),
                          field<&ClonePlan::wait_for>("waitFor", "When a clone counts as made."),
                          field<&ClonePlan::wait_seconds>("waitForSeconds", "How long is waited for it."),
                          field<&ClonePlan::tpm_policy>("tpmPolicy", "What becomes of the source's TPM."),
                          field<&ClonePlan::quiesce>("quiesce", "Whether the source's file systems are frozen for the capture."),
                          field<&ClonePlan::volumes>("volumes", "The volumes of each clone."),
                          field<&ClonePlan::clones>("clones", "One entry per name."), field<&ClonePlan::atomic>("atomic", "All clones or none."),
                          field<&ClonePlan::bandwidth>("bandwidth", "Limit of the copies, bytes per second."),
                          field<&ClonePlan::memory>("memory", "Whether the clones go on from its memory."),
                          field<&ClonePlan::memory_reason>("memoryReason", "How the memory is captured, and why so."),
                          field<&ClonePlan::keep_identity>("keepIdentity", "Whether the guests are left as they are, with every link down."));
    return info;
}

}  // namespace ramet

namespace ramet::clone {

VmId clone_uuid(const JobId& job, std::size_t index) { return VmId::derived(job.text(), "vm/" + std::to_string(index)); }
MemoryImageId memory_of(const ClonePlan& plan, const JobId& job) { return plan.memory_image.value_or(lifecycle::memory_image_uuid(job)); }
VolumeId clone_volume_uuid(const VmId& clone, std::size_t volume_index) {
    return VolumeId::derived(clone.text(), "volume/" + std::to_string(volume_index));
}
std::string_view strategy_of(const PlannedVolume& volume) {
    switch (volume.mode) {
    case lifecycle::LayerMode::overlay: return "linked";
    case lifecycle::LayerMode::reflink: return "reflink";
    case lifecycle::LayerMode::copy:
    case lifecycle::LayerMode::empty: break;
    }
    return "full";
}

LayerId first_layer_uuid(const VolumeId& volume) { return LayerId::derived(volume.text(), "layer/0"); }

}  // namespace ramet::clone
