// What is made from snapshots: CreateVmInstanceFromVolumeSnapshot and ...Group (contract 4.1), CreateDataVolumeFromVolumeSnapshot (4.6).
#include <algorithm>
#include <array>

#include "api/messages_snapshots.hpp"
#include "api/messages_vm_examples.hpp"
#include "api/snapshot_calls.hpp"

namespace ramet {

using namespace api::snapshot_calls;

template <> const TypeInfo& describe<api::CreateDataVolumeFromVolumeSnapshot>() {
    using Message = api::CreateDataVolumeFromVolumeSnapshot;
    static const TypeInfo info = object<Message>(
        "CreateDataVolumeFromVolumeSnapshot", "Makes a data volume from a snapshot.",
        path_field<&Message::volume_snapshot_uuid>("volumeSnapshotUuid", "The snapshot's UUID.", "VolumeSnapshotVO"),
        name_field<&Message::name>("data-monday"), description_field<&Message::description>(),
        field<&Message::primary_storage_uuid>("primaryStorageUuid", "Where it goes; another storage than the snapshot's means a copy.",
                                              {.names_a = "PrimaryStorageVO"}),
        resource_uuid_field<&Message::resource_uuid>(), tags_field<&Message::system_tags>("systemTags", "Its system tags."),
        tags_field<&Message::user_tags>("userTags", "Its user tags."));
    return info;
}

namespace api {
namespace {

constexpr std::string_view kVmCategory = "Resource Center/Resource Pool/VM Instance Operations";
constexpr std::string_view kVolumeCategory = "Resource Center/Resource Pool/Volume Operations";
constexpr std::string_view kVmExample =
    R"({"name":"web01-monday","cpuNum":1,"memorySize":134217728,"l3NetworkUuids":["2ac50b85591b3e87b2686c529cf062f9"]})";
constexpr std::array<std::string_view, 2> kStrategies{"InstantStart", "CreateStopped"};
constexpr std::array<std::string_view, 4> kOfAnImage{"imageUuid", "rootDiskOfferingUuid", "rootDiskSize", "dataDiskSizes"};
constexpr std::array<std::string_view, 3> kOfSeveralVolumes{"dataDiskOfferingUuids", "dataVolumeSystemTags", "primaryStorageUuidForRootVolume"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) { return std::ranges::find(names, name) != names.end(); }

// The fields of CreateVmInstance without those of an image, and what it is made from in the path.
TypeInfo vm_fields(std::string_view name, std::string_view doc, const FieldInfo& in_path) {
    TypeInfo fields = describe<CreateVmInstance>();
    fields.name = name;
    fields.doc = doc;
    std::erase_if(fields.fields, [](const FieldInfo& field) { return is_one_of(field.name, kOfAnImage) || field.name == "dataDiskOfferingUuids"; });
    const auto strategy = std::ranges::find(fields.fields, std::string_view("strategy"), &FieldInfo::name);
    strategy->doc = "InstantStart boots it, CreateStopped leaves it stopped.";
    strategy->rules.one_of = kStrategies;
    fields.fields.insert(fields.fields.begin(), in_path);
    fields.fields.push_back(field<&CreateVmInstance::primary_storage_uuid>(
        "primaryStorageUuid", "Where its volumes go; another storage than the snapshot's means a copy.", {.names_a = "PrimaryStorageVO"}));
    return fields;
}

const TypeInfo& fields_of_snapshot() {
    static const TypeInfo info = [] {
        TypeInfo fields =
            vm_fields("CreateVmInstanceFromVolumeSnapshot", "Makes a VM instance whose root volume begins as a snapshot.",
                      path_field<&CreateVmInstance::volume_snapshot_uuid>("volumeSnapshotUuid", "The snapshot's UUID.", "VolumeSnapshotVO"));
        std::erase_if(fields.fields, [](const FieldInfo& field) { return is_one_of(field.name, kOfSeveralVolumes); });
        return fields;
    }();
    return info;
}

const TypeInfo& fields_of_group() {
    static const TypeInfo info =
        vm_fields("CreateVmInstanceFromVolumeSnapshotGroup", "Makes a VM instance whose volumes begin as the snapshots of a group.",
                  path_field<&CreateVmInstance::volume_snapshot_group_uuid>("volumeSnapshotGroupUuid", "The group's UUID.", "VolumeSnapshotGroupVO"));
    return info;
}

MessageInfo vm_call(std::string_view name, std::string_view path, std::string_view doc, DescribeFunction fields) {
    MessageInfo made = message<CreateVmInstance>();
    made.name = name;
    made.category = kVmCategory;
    made.path = path;
    made.doc = doc;
    made.request = fields;
    made.request_example = kVmExample;
    return made;
}

}  // namespace

const MessageInfo& create_vm_from_snapshot_message() {
    static const MessageInfo info =
        vm_call("CreateVmInstanceFromVolumeSnapshot", "/vm-instances/from/volume-snapshots/{volumeSnapshotUuid}",
                "Makes a VM instance whose root volume stands on what a volume snapshot keeps. The snapshot can be deleted at any time.",
                &fields_of_snapshot);
    return info;
}
const MessageInfo& create_vm_from_snapshot_group_message() {
    static const MessageInfo info = vm_call(
        "CreateVmInstanceFromVolumeSnapshotGroup", "/vm-instances/from/volume-snapshots/group/{volumeSnapshotGroupUuid}",
        "Makes a VM instance whose volumes stand on what a group of snapshots keeps. The group can be deleted at any time.", &fields_of_group);
    return info;
}
template <> const MessageInfo& message<CreateDataVolumeFromVolumeSnapshot>() {
    static const MessageInfo info = call<CreateDataVolumeFromVolumeSnapshot>(
        {"CreateDataVolumeFromVolumeSnapshot", kVolumeCategory, Method::post, "/volumes/data/from/volume-snapshots/{volumeSnapshotUuid}", "params",
         "Makes a data volume that stands on what a volume snapshot keeps. The snapshot can be deleted at any time.", "inventory", &describe<Volume>,
         R"({"name":"data-monday"})", examples::kVolumeReply});
    return info;
}

std::vector<const MessageInfo*> from_snapshot_messages() {
    return {&create_vm_from_snapshot_message(), &create_vm_from_snapshot_group_message(), &message<CreateDataVolumeFromVolumeSnapshot>()};
}

}  // namespace api
}  // namespace ramet
