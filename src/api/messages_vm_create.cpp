// CreateVmInstance (contract 4.2).
#include <array>

#include "api/messages_vm.hpp"
#include "api/messages_vm_examples.hpp"
#include "base/limits.hpp"

namespace ramet {
namespace {

constexpr std::array<std::string_view, 3> kStrategies{"InstantStart", "JustCreate", "CreateStopped"};
constexpr std::array<std::string_view, 5> kPlatforms{"Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio"};
constexpr std::array<std::string_view, 1> kArchitectures{"x86_64"};
constexpr std::array<std::string_view, 1> kVmTypes{"UserVm"};

}  // namespace

template <> const TypeInfo& describe<api::CreateVmInstance>() {
    using api::CreateVmInstance;
    static const TypeInfo info = object<CreateVmInstance>(
        "CreateVmInstance", "Makes a VM instance from an image.",
        field<&CreateVmInstance::name>("name", "Its name.", {.required = true, .characters_max = limits::kNameCharactersMax, .example = "web01"}),
        field<&CreateVmInstance::description>("description", "Free text.", {.characters_max = limits::kTextCharactersMax}),
        field<&CreateVmInstance::instance_offering_uuid>(
            "instanceOfferingUuid", "The instance offering: CPU and memory. Or give cpuNum and memorySize.", {.names_a = "InstanceOfferingVO"}),
        field<&CreateVmInstance::cpu_num>("cpuNum", "vCPUs, when no offering is given.", {.at_least = 0, .at_most = limits::kCpuMax, .example = "1"}),
        field<&CreateVmInstance::memory_size>("memorySize", "Memory in bytes, when no offering is given.",
                                              {.at_least = 0, .at_most = limits::kMemoryBytesMax, .example = "134217728"}),
        field<&CreateVmInstance::reserved_memory_size>("reservedMemorySize", "Memory in bytes kept for the VM.", {.at_least = 0}),
        field<&CreateVmInstance::image_uuid>("imageUuid", "The image its root volume is made from.", {.names_a = "ImageVO"}),
        field<&CreateVmInstance::l3_network_uuids>("l3NetworkUuids", "One NIC per L3 network, in this order.",
                                                   {.items_max = limits::kNicsPerVmMax, .names_a = "L3NetworkVO"}),
        field<&CreateVmInstance::vm_nic_params>("vmNicParams", "Parameters of the NICs: a JSON string of a list, or the list.",
                                                {.loose_shape = true, .items_max = limits::kNicParamsMax}),
        field<&CreateVmInstance::type>("type", "UserVm.", {.one_of = kVmTypes, .fallback = "UserVm"}),
        field<&CreateVmInstance::root_disk_offering_uuid>("rootDiskOfferingUuid", "A disk offering giving the root volume's size.",
                                                          {.names_a = "DiskOfferingVO"}),
        field<&CreateVmInstance::root_disk_size>("rootDiskSize", "Size of the root volume in bytes; at least the image's.",
                                                 {.at_least = 0, .at_most = limits::kVolumeBytesMax}),
        field<&CreateVmInstance::data_disk_sizes>(
            "dataDiskSizes", "Sizes in bytes of data volumes to make and attach.",
            {.items_max = limits::kDataVolumesPerVmMax, .at_least = limits::kVolumeBytesMin, .at_most = limits::kVolumeBytesMax}),
        field<&CreateVmInstance::data_disk_offering_uuids>("dataDiskOfferingUuids", "Disk offerings of data volumes to make and attach.",
                                                           {.items_max = limits::kDataVolumesPerVmMax, .names_a = "DiskOfferingVO"}),
        field<&CreateVmInstance::zone_uuid>("zoneUuid", "The zone it is placed in.", {.names_a = "ZoneVO"}),
        field<&CreateVmInstance::cluster_uuid>("clusterUuid", "The cluster it is placed in.", {.names_a = "ClusterVO"}),
        field<&CreateVmInstance::host_uuid>("hostUuid", "The host it is placed on.", {.names_a = "HostVO"}),
        field<&CreateVmInstance::primary_storage_uuid_for_root_volume>("primaryStorageUuidForRootVolume", "Where its root volume goes.",
                                                                       {.names_a = "PrimaryStorageVO"}),
        field<&CreateVmInstance::default_l3_network_uuid>("defaultL3NetworkUuid", "Its default network; needed with several networks.",
                                                          {.names_a = "L3NetworkVO"}),
        field<&CreateVmInstance::strategy>("strategy", "InstantStart boots it, CreateStopped leaves it stopped, JustCreate leaves it in Created.",
                                           {.one_of = kStrategies, .fallback = "InstantStart"}),
        field<&CreateVmInstance::root_volume_system_tags>("rootVolumeSystemTags", "System tags of the root volume.",
                                                          {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}),
        field<&CreateVmInstance::data_volume_system_tags>("dataVolumeSystemTags", "System tags of each data volume.",
                                                          {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}),
        field<&CreateVmInstance::platform>("platform", "The guest's platform; the image's when left out.", {.one_of = kPlatforms}),
        field<&CreateVmInstance::guest_os_type>("guestOsType", "The guest's operating system, free text.",
                                                {.characters_max = limits::kNameCharactersMax}),
        field<&CreateVmInstance::architecture>("architecture", "The CPU architecture.", {.one_of = kArchitectures, .fallback = "x86_64"}),
        field<&CreateVmInstance::resource_uuid>("resourceUuid", "The uuid it shall have.", {.characters_max = 32}),
        field<&CreateVmInstance::system_tags>("systemTags", "Its system tags.",
                                              {.characters_max = limits::kTextCharactersMax * 32, .items_max = limits::kTagsMax}),
        field<&CreateVmInstance::user_tags>("userTags", "Its user tags.",
                                            {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}));
    return info;
}

namespace api {

template <> const MessageInfo& message<CreateVmInstance>() {
    static const MessageInfo info{
        .name = "CreateVmInstance",
        .category = "Resource Center/Resource Pool/VM Instance Operations",
        .method = Method::post,
        .path = "/vm-instances",
        .body_key = "params",
        .completion = Completion::async,
        .doc = "Makes a VM instance from an image, on the networks named.",
        .reply_key = "inventory",
        .request = &describe<CreateVmInstance>,
        .reply = &describe<VmInstance>,
        .request_example =
            R"({"name":"web01","cpuNum":1,"memorySize":134217728,"imageUuid":"3b7ff22eb60d38318835817ba6a2b6a2","l3NetworkUuids":["2ac50b85591b3e87b2686c529cf062f9"]})",
        .response_example = examples::kVmReply,
        .make = &make_request<CreateVmInstance>};
    return info;
}

}  // namespace api
}  // namespace ramet
