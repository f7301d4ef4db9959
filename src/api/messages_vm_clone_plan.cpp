// The plan that a dry run of CloneVmInstance answers with.
#include <array>

#include "api/messages_vm.hpp"

namespace ramet {

namespace {

constexpr std::array<std::string_view, 3> kMemoryCaptures{"live", "saved", "kept"};
constexpr std::array<std::string_view, 2> kMemoryPlaces{"disk", "tmpfs"};

}  // namespace

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

template <> const TypeInfo& describe<api::PlannedMemoryInventory>() {
    using api::PlannedMemoryInventory;
    static const TypeInfo info = object<PlannedMemoryInventory>(
        "PlannedMemory", "Where the clones' memory would come from. One image, which all of them share.",
        field<&PlannedMemoryInventory::capture>(
            "capture",
            "live: the source runs on while its memory is saved, by userfaultfd; saved: it stands still for as long "
            "as that takes; kept: the image exists already and no source is touched.",
            {.one_of = kMemoryCaptures}),
        field<&PlannedMemoryInventory::reason>("reason", "Why so."),
        field<&PlannedMemoryInventory::place>("place",
                                              "Where the image is: on a disk, or on a tmpfs, which takes the host's memory and is empty after "
                                              "a power cut (rametd --memory-dir).",
                                              {.one_of = kMemoryPlaces}),
        field<&PlannedMemoryInventory::available_bytes>("availableBytes", "What is free there; absent where the file system does not say."),
        field<&PlannedMemoryInventory::bytes_to_write>("bytesToWrite",
                                                       "What the image would occupy there, an estimate. It is part of the plan's bytesToWrite, "
                                                       "but not on a primary storage."),
        field<&PlannedMemoryInventory::bytes_basis>("bytesBasis", "What bytesToWrite is made from."),
        field<&PlannedMemoryInventory::estimated_milliseconds>("estimatedMilliseconds", "How long the capture of the memory would take."),
        field<&PlannedMemoryInventory::source_state>("sourceState",
                                                     "The source's state now, which is its state afterwards too; absent when no source is touched."));
    return info;
}

template <> const TypeInfo& describe<api::CloneVmInstancePlan>() {
    using api::CloneVmInstancePlan;
    static const TypeInfo info = object<CloneVmInstancePlan>(
        "CloneVmInstancePlan", "What CloneVmInstance would do, as of now.",
        field<&CloneVmInstancePlan::volumes>("volumes", "The volumes of each clone."),
        field<&CloneVmInstancePlan::memory>("memory", "With memory: how it would be captured, and where its image goes."),
        field<&CloneVmInstancePlan::clones>("clones", "One entry per name, in order."),
        field<&CloneVmInstancePlan::capture>("capture", "What would happen to the source."),
        field<&CloneVmInstancePlan::capture_bytes_to_write>("captureBytesToWrite", "What the source's new layers would occupy."),
        field<&CloneVmInstancePlan::merge_bytes_to_write>(
            "mergeBytesToWrite", "What making the source's full chains of layers shorter would write before the capture, at most."),
        field<&CloneVmInstancePlan::start_bytes_to_write>("startBytesToWrite",
                                                          "What the start of each clone would write: its seed, and records of its process and NICs."),
        field<&CloneVmInstancePlan::firmware_bytes_to_write>("firmwareBytesToWrite", "What each clone's UEFI variables and TPM state would occupy."),
        field<&CloneVmInstancePlan::bytes_to_write>(
            "bytesToWrite",
            "All of it together: what the call would write, memory included; not the rows of the database, logs, and what guests write themselves."),
        field<&CloneVmInstancePlan::estimated_milliseconds>("estimatedMilliseconds", "How long it would take, the guests' boot not counted."),
        field<&CloneVmInstancePlan::estimate_basis>("estimateBasis", "What the estimate is made from."));
    return info;
}

}  // namespace ramet
