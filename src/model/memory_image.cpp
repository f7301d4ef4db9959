#include "model/memory_image.hpp"

namespace ramet {

template <> const TypeInfo& describe<MemoryImage>() {
    static const TypeInfo info =
        row<MemoryImage>({"memory_image"}, "MemoryImage", "The memory of a VM at one instant.",
                         field<&MemoryImage::uuid>("uuid", "The image's uuid.", {.primary = true}),
                         field<&MemoryImage::source_vm_uuid>("sourceVmUuid", "The VM it was captured from."),
                         field<&MemoryImage::directory>("directory", "Where its files are.", {.internal = true}),
                         field<&MemoryImage::state>("state", "Capturing, Ready or Damaged."),
                         field<&MemoryImage::memory_size>("memorySize", "The memory's size in bytes."),
                         field<&MemoryImage::allocated_size>("allocatedSize", "The bytes it takes."),
                         field<&MemoryImage::state_size>("stateSize", "The bytes of all other state."),
                         field<&MemoryImage::checksum>("checksum", "The checksum of its files."),
                         field<&MemoryImage::layout>("layout", "The devices the state belongs to.", {.internal = true}),
                         field<&MemoryImage::hypervisor_version>("hypervisorVersion", "The hypervisor that wrote it."),
                         field<&MemoryImage::source_macs>("sourceMacs", "The MAC addresses the guest bears.", {.internal = true}),
                         field<&MemoryImage::agent>("agent", "Whether the guest's agent answered."),
                         field<&MemoryImage::owner_job_uuid>("ownerJobUuid", "The job that starts VMs from it.", {.internal = true}),
                         field<&MemoryImage::deleting>("deleting", "Its files are being removed.", {.internal = true}),
                         field<&MemoryImage::create_date>("createDate", "When it was captured."));
    return info;
}

template <> const TypeInfo& describe<MemoryImageUser>() {
    static const TypeInfo info = row<MemoryImageUser>({"memory_image_user"}, "MemoryImageUser", "A VM whose process maps a memory image.",
                                                      field<&MemoryImageUser::vm_uuid>("vmUuid", "The VM.", {.primary = true}),
                                                      field<&MemoryImageUser::memory_image_uuid>("memoryImageUuid", "The image."));
    return info;
}

}  // namespace ramet
