#include "model/vm.hpp"

namespace ramet {

template <> const TypeInfo& describe<VmNic>() {
    static const TypeInfo info = row<VmNic>(
        {"vm_nic", "VmNicVO", "org.zstack.header.vm.VmNicInventory"}, "VmNic", "A network card of a VM instance.",
        field<&VmNic::uuid>("uuid", "The NIC's uuid.", {.primary = true}),
        field<&VmNic::vm_instance_uuid>("vmInstanceUuid", "The VM instance the NIC belongs to."),
        field<&VmNic::l3_network_uuid>("l3NetworkUuid", "The L3 network the NIC is on."), field<&VmNic::ip>("ip", "The NIC's IP address."),
        field<&VmNic::mac>("mac", "The NIC's MAC address in lower case; unique."),
        field<&VmNic::hypervisor_type>("hypervisorType", "The hypervisor's type."), field<&VmNic::netmask>("netmask", "The netmask of the address."),
        field<&VmNic::gateway>("gateway", "The gateway of the address."), field<&VmNic::meta_data>("metaData", "Free text of internal use."),
        field<&VmNic::ip_version>("ipVersion", "4 or 6."), field<&VmNic::driver_type>("driverType", "The card's model, such as virtio."),
        field<&VmNic::used_ips>("usedIps", "The addresses given to the NIC.", {.relation = true}),
        field<&VmNic::internal_name>("internalName", "The NIC's device on the host; unique."),
        field<&VmNic::device_id>("deviceId", "The NIC's place in the VM, from 0."), field<&VmNic::type>("type", "The NIC's type, VNIC."),
        field<&VmNic::state>("state", "Whether the link is enabled."),
        field<&VmNic::outbound_bandwidth>("outboundBandwidth", "The limit for sent data in bits per second."),
        field<&VmNic::inbound_bandwidth>("inboundBandwidth", "The limit for received data in bits per second."),
        field<&VmNic::multi_queue_num>("multiQueueNum", "The number of queues."), field<&VmNic::create_date>("createDate", "When the NIC was made."),
        field<&VmNic::last_op_date>("lastOpDate", "When the NIC was last changed."));
    return info;
}

template <> const TypeInfo& describe<VmCdRom>() {
    static const TypeInfo info = row<VmCdRom>({"vm_cd_rom", "VmCdRomVO", "org.zstack.header.vm.cdrom.VmCdRomInventory"}, "VmCdRom",
                                              "A CD drive of a VM instance.", field<&VmCdRom::uuid>("uuid", "The drive's uuid.", {.primary = true}),
                                              field<&VmCdRom::vm_instance_uuid>("vmInstanceUuid", "The VM instance the drive belongs to."),
                                              field<&VmCdRom::device_id>("deviceId", "The drive's place in the VM, from 0."),
                                              field<&VmCdRom::create_date>("createDate", "When the drive was made."),
                                              field<&VmCdRom::last_op_date>("lastOpDate", "When the drive was last changed."));
    return info;
}

template <> const TypeInfo& describe<Volume>() {
    static const TypeInfo info = row<Volume>(
        {"volume", "VolumeVO", "org.zstack.header.volume.VolumeInventory"}, "Volume", "A disk of a VM instance.",
        field<&Volume::uuid>("uuid", "The volume's uuid.", {.primary = true}), field<&Volume::name>("name", "The volume's name."),
        field<&Volume::description>("description", "Free text."),
        field<&Volume::primary_storage_uuid>("primaryStorageUuid", "The primary storage that holds the volume."),
        field<&Volume::vm_instance_uuid>("vmInstanceUuid", "The VM instance the volume is attached to."),
        field<&Volume::disk_offering_uuid>("diskOfferingUuid", "The disk offering the volume was made with."),
        field<&Volume::root_image_uuid>("rootImageUuid", "The image the volume was made from."),
        field<&Volume::install_path>("installPath", "Where the volume lies on its storage."), field<&Volume::type>("type", "Root or Data."),
        field<&Volume::format>("format", "The disk format, qcow2 or raw."), field<&Volume::size>("size", "The size the guest sees, in bytes."),
        field<&Volume::actual_size>("actualSize", "The bytes the volume alone takes on its storage."),
        field<&Volume::device_id>("deviceId", "The volume's place in the VM, from 0."), field<&Volume::state>("state", "Enabled or Disabled."),
        field<&Volume::status>("status", "How far the volume is."),
        field<&Volume::is_shareable>("isShareable", "Whether several VM instances may attach the volume at once."),
        field<&Volume::top_layer_uuid>("topLayerUuid", "The layer the volume writes to.", {.internal = true}),
        field<&Volume::attach_job_uuid>("attachJobUuid", "The job that attached the volume.", {.internal = true}),
        field<&Volume::last_detach_date>("lastDetachDate", "When the volume was last detached."),
        field<&Volume::last_vm_instance_uuid>("lastVmInstanceUuid", "The VM instance the volume was last attached to."),
        field<&Volume::last_attach_date>("lastAttachDate", "When the volume was last attached."),
        field<&Volume::create_date>("createDate", "When the volume was made."),
        field<&Volume::last_op_date>("lastOpDate", "When the volume was last changed."));
    return info;
}

template <> const TypeInfo& describe<Layer>() {
    static const TypeInfo info =
        row<Layer>({"layer", "LayerVO"}, "Layer", "One link of a volume's chain.",
                   field<&Layer::uuid>("uuid", "The layer's uuid.", {.primary = true, .internal = true}),
                   field<&Layer::primary_storage_uuid>("primaryStorageUuid", "The primary storage that holds the layer.", {.internal = true}),
                   field<&Layer::path>("path", "Where the layer lies in its storage; unique there.", {.internal = true}),
                   field<&Layer::format>("format", "The layer's format.", {.internal = true}),
                   field<&Layer::size>("size", "The size the guest sees, in bytes.", {.internal = true}),
                   field<&Layer::sealed>("sealed", "Whether the layer is never written again.", {.internal = true}),
                   field<&Layer::parent_uuid>("parentUuid", "The layer below.", {.internal = true}),
                   field<&Layer::image_uuid>("imageUuid", "The image the layer is the cache of.", {.internal = true}),
                   field<&Layer::volume_uuid>("volumeUuid", "The volume whose top the layer is or was.", {.internal = true}),
                   field<&Layer::untouched>("untouched", "No guest can have written to it.", {.internal = true}),
                   field<&Layer::deleting>("deleting", "Its file is being removed.", {.internal = true}),
                   field<&Layer::create_date>("createDate", "When the layer was made.", {.internal = true}));
    return info;
}

template <> const TypeInfo& describe<VmInstance>() {
    static const TypeInfo info = row<VmInstance>(
        {"vm_instance", "VmInstanceVO", "org.zstack.header.vm.VmInstanceInventory"}, "VmInstance", "A virtual machine.",
        field<&VmInstance::uuid>("uuid", "The VM instance's uuid.", {.primary = true}), field<&VmInstance::name>("name", "The VM instance's name."),
        field<&VmInstance::description>("description", "Free text."), field<&VmInstance::zone_uuid>("zoneUuid", "The zone it is in."),
        field<&VmInstance::cluster_uuid>("clusterUuid", "The cluster it runs in."),
        field<&VmInstance::image_uuid>("imageUuid", "The image it was made from."),
        field<&VmInstance::host_uuid>("hostUuid", "The host it runs on; absent when it does not run."),
        field<&VmInstance::last_host_uuid>("lastHostUuid", "The host it ran on last."),
        field<&VmInstance::instance_offering_uuid>("instanceOfferingUuid", "The instance offering it was made with."),
        field<&VmInstance::root_volume_uuid>("rootVolumeUuid", "Its root volume."),
        field<&VmInstance::platform>("platform", "The guest's platform, such as Linux."),
        field<&VmInstance::architecture>("architecture", "The processor architecture, such as x86_64."),
        field<&VmInstance::default_l3_network_uuid>("defaultL3NetworkUuid", "The L3 network of its default route."),
        field<&VmInstance::type>("type", "The VM instance's type, UserVm."),
        field<&VmInstance::hypervisor_type>("hypervisorType", "The hypervisor's type."),
        field<&VmInstance::memory_size>("memorySize", "Its memory in bytes."),
        field<&VmInstance::reserved_memory_size>("reservedMemorySize", "The memory in bytes that the host must keep free for it."),
        field<&VmInstance::cpu_num>("cpuNum", "Its number of virtual CPUs."),
        field<&VmInstance::cpu_speed>("cpuSpeed", "The speed of its CPUs; informative."),
        field<&VmInstance::allocator_strategy>("allocatorStrategy", "How its host is chosen."),
        field<&VmInstance::state>("state", "What it is doing."), field<&VmInstance::guest_os_type>("guestOsType", "The guest's operating system."),
        field<&VmInstance::state_before_destroy>("stateBeforeDestroy", "The state that recovering it returns to.", {.internal = true}),
        field<&VmInstance::identity_state>("identityState", "Whether the guest has its own identity yet.", {.internal = true}),
        field<&VmInstance::owner_job_uuid>("ownerJobUuid", "The job that is making it.", {.internal = true}),
        field<&VmInstance::revert_job_uuid>("revertJobUuid", "The job that last took it back to snapshots.", {.internal = true}),
        field<&VmInstance::lease_end_date>("leaseEndDate", "When its lease ends and it is destroyed; absent: never.", {.since = "ramet 0.1"}),
        field<&VmInstance::vm_nics>("vmNics", "Its network cards.", {.relation = true}),
        field<&VmInstance::all_volumes>("allVolumes", "Its volumes.", {.relation = true}),
        field<&VmInstance::vm_cd_roms>("vmCdRoms", "Its CD drives.", {.relation = true}),
        field<&VmInstance::create_date>("createDate", "When it was made."),
        field<&VmInstance::last_op_date>("lastOpDate", "When it was last changed."));
    return info;
}

}  // namespace ramet
