// The plan that a dry run of CloneVmInstance answers with.
#include "api/messages_vm.hpp"

namespace ramet {

template <> const TypeInfo& describe<api::PlannedNicInventory>() {
    using api::PlannedNicInventory;
    static const TypeInfo info = object<PlannedNicInventory>(
        "PlannedNic", "A NIC of a clone to be.", field<&PlannedNicInventory::l3_network_uuid>("l3NetworkUuid", "Its L3 network."),
        field<&PlannedNicInventory::mac>("mac", "The MAC it would get, if nobody takes it before."),
        field<&PlannedNicInventory::ip>("ip", "The IP it would get, if nobody takes it before; absent on a network without ranges."));
    return info;
}

template <> const TypeInfo& describe<api::PlannedCloneInventory>() {
    using api::PlannedCloneInventory;
    static const TypeInfo info = object<PlannedCloneInventory>(
        "PlannedClone", "A clone to be.", field<&PlannedCloneInventory::name>("name", "Its name."),
        field<&PlannedCloneInventory::host_uuid>("hostUuid", "The host it would run on, or be bound to; absent with JustCreate."),
        field<&PlannedCloneInventory::nics>("nics", "Its NICs."),
        field<&PlannedCloneInventory::error>("error", "Why it would not be made; the others would."));
    return info;
}

template <> const TypeInfo& describe<api::PlannedVolumeInventory>() {
    using api::PlannedVolumeInventory;
    static const TypeInfo info = object<PlannedVolumeInventory>(
        "PlannedVolume", "How a volume of the source would be cloned, the same for each clone.",
        field<&PlannedVolumeInventory::source_volume_uuid>("sourceVolumeUuid", "The source's volume."),
        field<&PlannedVolumeInventory::type>("type", "Root or Data."),
        field<&PlannedVolumeInventory::strategy>("strategy", "linked, reflink or full."), field<&PlannedVolumeInventory::reason>("reason", "Why."),
        field<&PlannedVolumeInventory::provisioning>("provisioning", "ThinProvisioning or ThickProvisioning."),
        field<&PlannedVolumeInventory::primary_storage_uuid>("primaryStorageUuid", "The primary storage it would go to."),
        field<&PlannedVolumeInventory::bytes_to_write>("bytesToWrite", "What each clone's volume would occupy; shared blocks are not counted."));
    return info;
}

template <> const TypeInfo& describe<api::CloneVmInstancePlan>() {
    using api::CloneVmInstancePlan;
    static const TypeInfo info = object<CloneVmInstancePlan>(
        "CloneVmInstancePlan", "What CloneVmInstance would do, as of now.",
        field<&CloneVmInstancePlan::volumes>("volumes", "The volumes of each clone."),
        field<&CloneVmInstancePlan::clones>("clones", "One entry per name, in order."),
        field<&CloneVmInstancePlan::capture>("capture", "What would happen to the source."),
        field<&CloneVmInstancePlan::capture_bytes_to_write>("captureBytesToWrite", "What the source's new layers would occupy."),
        field<&CloneVmInstancePlan::bytes_to_write>("bytesToWrite",
                                                    "What all files on the primary storages would occupy in the end, new layers included."),
        field<&CloneVmInstancePlan::estimated_milliseconds>("estimatedMilliseconds", "How long it would take, the guests' boot not counted."),
        field<&CloneVmInstancePlan::estimate_basis>("estimateBasis", "What the estimate is made from."));
    return info;
}

}  // namespace ramet
