// Instance and disk offerings (contract 5.2).
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

namespace {

// All that ZStack has (contract 9.1, 9.2; the last three hosts' are of its closed modules). Here they all place alike.
constexpr std::array<std::string_view, 9> kHostStrategies{"DefaultHostAllocatorStrategy",
                                                          "DesignatedHostAllocatorStrategy",
                                                          "LastHostPreferredAllocatorStrategy",
                                                          "LeastVmPreferredHostAllocatorStrategy",
                                                          "MigrateVmAllocatorStrategy",
                                                          "StoppedVmAwareLeastVmPreferredHostAllocatorStrategy",
                                                          "MinimumCPUUsageHostAllocatorStrategy",
                                                          "MinimumMemoryUsageHostAllocatorStrategy",
                                                          "MaxInstancePerHostHostAllocatorStrategy"};
constexpr std::array<std::string_view, 4> kStorageStrategies{"DefaultPrimaryStorageAllocationStrategy", "LeastVolumePrimaryStorageAllocationStrategy",
                                                             "MaximumAvailableCapacityPrimaryStorageAllocationStrategy",
                                                             "CustomOrderPrimaryStorageAllocationStrategy"};

template <auto Member>
FieldInfo strategy_field(std::string_view name, std::string_view doc, std::span<const std::string_view> values, std::string_view fallback) {
    return field<Member>(name, doc, {.one_of = values, .fallback = fallback, .example = fallback});
}

}  // namespace

template <> const TypeInfo& describe<api::CreateInstanceOffering>() {
    using Request = api::CreateInstanceOffering;
    static const TypeInfo info = object<Request>(
        "CreateInstanceOffering", "Makes an instance offering.", name_field<&Request::name>(instance_offering()),
        description_field<&Request::description>(),
        field<&Request::cpu_num>("cpuNum", "The number of virtual CPUs.",
                                 {.required = true, .at_least = 1, .at_most = limits::kCpuMax, .example = "1"}),
        field<&Request::memory_size>(
            "memorySize", "The memory in bytes.",
            {.required = true, .at_least = limits::kMemoryBytesMin, .at_most = limits::kMemoryBytesMax, .example = "536870912"}),
        field<&Request::reserved_memory_size>("reservedMemorySize", "The memory in bytes that the host must keep free.",
                                              {.at_least = 0, .fallback = "0", .example = "0"}),
        field<&Request::cpu_speed>("cpuSpeed", "The speed of the CPUs; informative.", {.at_least = 0, .fallback = "0", .example = "0"}),
        strategy_field<&Request::allocator_strategy>("allocatorStrategy", "How a host is chosen.", kHostStrategies,
                                                     "LeastVmPreferredHostAllocatorStrategy"),
        field<&Request::sort_key>("sortKey", "The place in sorted lists.", {.fallback = "0", .example = "0"}),
        type_field<&Request::type>("type", "The offering's type.", "UserVm"), resource_uuid_field<&Request::resource_uuid>(),
        system_tags_field<&Request::system_tags>(), user_tags_field<&Request::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateInstanceOffering>() {
    static const TypeInfo info = update_type<InstanceOffering>(instance_offering());
    return info;
}
template <> const TypeInfo& describe<api::ChangeInstanceOfferingState>() {
    static const TypeInfo info = state_type<InstanceOffering>(instance_offering());
    return info;
}
template <> const TypeInfo& describe<api::DeleteInstanceOffering>() {
    static const TypeInfo info = delete_type<InstanceOffering>(instance_offering());
    return info;
}

template <> const TypeInfo& describe<api::CreateDiskOffering>() {
    using Request = api::CreateDiskOffering;
    static const TypeInfo info = object<Request>(
        "CreateDiskOffering", "Makes a disk offering.", name_field<&Request::name>(disk_offering()), description_field<&Request::description>(),
        field<&Request::disk_size>(
            "diskSize", "The volume's size in bytes.",
            {.required = true, .at_least = limits::kVolumeBytesMin, .at_most = limits::kVolumeBytesMax, .example = "1073741824"}),
        field<&Request::sort_key>("sortKey", "The place in sorted lists.", {.fallback = "0", .example = "0"}),
        strategy_field<&Request::allocation_strategy>("allocationStrategy", "How a primary storage is chosen.", kStorageStrategies,
                                                      "DefaultPrimaryStorageAllocationStrategy"),
        type_field<&Request::type>("type", "The offering's type.", "zstack"), resource_uuid_field<&Request::resource_uuid>(),
        system_tags_field<&Request::system_tags>(), user_tags_field<&Request::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateDiskOffering>() {
    static const TypeInfo info = update_type<DiskOffering>(disk_offering());
    return info;
}
template <> const TypeInfo& describe<api::ChangeDiskOfferingState>() {
    static const TypeInfo info = state_type<DiskOffering>(disk_offering());
    return info;
}
template <> const TypeInfo& describe<api::DeleteDiskOffering>() {
    static const TypeInfo info = delete_type<DiskOffering>(disk_offering());
    return info;
}

namespace api {

template <> const MessageInfo& message<CreateInstanceOffering>() {
    static const MessageInfo info =
        resource_call<CreateInstanceOffering>(instance_offering(), {.name = "CreateInstanceOffering",
                                                                    .doc = "Makes an instance offering: CPU and memory under a name.",
                                                                    .path = "/instance-offerings",
                                                                    .request_example = R"({"name":"small","cpuNum":1,"memorySize":536870912})"});
    return info;
}
template <> const MessageInfo& message<UpdateInstanceOffering>() {
    static const MessageInfo info = update_message<UpdateInstanceOffering>(instance_offering());
    return info;
}
template <> const MessageInfo& message<ChangeInstanceOfferingState>() {
    static const MessageInfo info = state_message<ChangeInstanceOfferingState>(instance_offering());
    return info;
}
template <> const MessageInfo& message<DeleteInstanceOffering>() {
    static const MessageInfo info =
        delete_message<DeleteInstanceOffering>(instance_offering(), "Deletes an instance offering; VM instances made with it are not touched.");
    return info;
}
template <> const MessageInfo& message<CreateDiskOffering>() {
    static const MessageInfo info =
        resource_call<CreateDiskOffering>(disk_offering(), {.name = "CreateDiskOffering",
                                                            .doc = "Makes a disk offering: the size of a volume under a name.",
                                                            .path = "/disk-offerings",
                                                            .request_example = R"({"name":"1G","diskSize":1073741824})"});
    return info;
}
template <> const MessageInfo& message<UpdateDiskOffering>() {
    static const MessageInfo info = update_message<UpdateDiskOffering>(disk_offering());
    return info;
}
template <> const MessageInfo& message<ChangeDiskOfferingState>() {
    static const MessageInfo info = state_message<ChangeDiskOfferingState>(disk_offering());
    return info;
}
template <> const MessageInfo& message<DeleteDiskOffering>() {
    static const MessageInfo info =
        delete_message<DeleteDiskOffering>(disk_offering(), "Deletes a disk offering; volumes made with it are not touched.");
    return info;
}

std::vector<const MessageInfo*> kinds::offering_messages() {
    static const MessageInfo query_instance = query_message(instance_offering()), query_disk = query_message(disk_offering());
    return {&message<CreateInstanceOffering>(),
            &query_instance,
            &message<UpdateInstanceOffering>(),
            &message<ChangeInstanceOfferingState>(),
            &message<DeleteInstanceOffering>(),
            &message<CreateDiskOffering>(),
            &query_disk,
            &message<UpdateDiskOffering>(),
            &message<ChangeDiskOfferingState>(),
            &message<DeleteDiskOffering>()};
}

}  // namespace api
}  // namespace ramet
