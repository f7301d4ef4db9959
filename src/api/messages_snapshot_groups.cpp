// Groups of volume snapshots (contract 4.6).
#include "api/messages_snapshots.hpp"
#include "api/snapshot_calls.hpp"

namespace ramet {

using namespace api::snapshot_calls;

namespace {

template <auto Member>
FieldInfo group_uuid_field() {
    return path_field<Member>("uuid", "The group's UUID.", "VolumeSnapshotGroupVO");
}

}  // namespace

template <> const TypeInfo& describe<api::CreateVolumeSnapshotGroup>() {
    using api::CreateVolumeSnapshotGroup;
    static const TypeInfo info = object<CreateVolumeSnapshotGroup>(
        "CreateVolumeSnapshotGroup", "Keeps all volumes of a VM instance as they are at one instant.",
        field<&CreateVolumeSnapshotGroup::root_volume_uuid>("rootVolumeUuid", "The root volume of the VM instance.",
                                                            {.required = true, .names_a = "VolumeVO"}),
        name_field<&CreateVolumeSnapshotGroup::name>("before-upgrade"), description_field<&CreateVolumeSnapshotGroup::description>(),
        field<&CreateVolumeSnapshotGroup::with_memory>(
            "withMemory", "With the memory of the same instant, of a Running or Paused VM instance. A revert goes on from there.",
            {.fallback = "false"}),
        resource_uuid_field<&CreateVolumeSnapshotGroup::resource_uuid>(),
        tags_field<&CreateVolumeSnapshotGroup::system_tags>("systemTags", "Its system tags."),
        tags_field<&CreateVolumeSnapshotGroup::user_tags>("userTags", "Its user tags."));
    return info;
}
template <> const TypeInfo& describe<api::UpdateVolumeSnapshotGroup>() {
    using api::UpdateVolumeSnapshotGroup;
    static const TypeInfo info = object<UpdateVolumeSnapshotGroup>(
        "UpdateVolumeSnapshotGroup", "Changes a group's name and description.", group_uuid_field<&UpdateVolumeSnapshotGroup::uuid>(),
        new_name_field<&UpdateVolumeSnapshotGroup::name>(), description_field<&UpdateVolumeSnapshotGroup::description>());
    return info;
}
template <> const TypeInfo& describe<api::DeleteVolumeSnapshotGroup>() {
    using api::DeleteVolumeSnapshotGroup;
    static const TypeInfo info = object<DeleteVolumeSnapshotGroup>("DeleteVolumeSnapshotGroup", "Deletes a group with its snapshots.",
                                                                   group_uuid_field<&DeleteVolumeSnapshotGroup::uuid>(),
                                                                   delete_mode_field<&DeleteVolumeSnapshotGroup::delete_mode>());
    return info;
}
template <> const TypeInfo& describe<api::RevertVmFromSnapshotGroup>() {
    static const TypeInfo info = object<api::RevertVmFromSnapshotGroup>(
        "RevertVmFromSnapshotGroup", "Takes a VM instance's volumes back to a group; with memory it goes on from that instant.",
        group_uuid_field<&api::RevertVmFromSnapshotGroup::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::UngroupVolumeSnapshotGroup>() {
    using api::UngroupVolumeSnapshotGroup;
    static const TypeInfo info = object<UngroupVolumeSnapshotGroup>("UngroupVolumeSnapshotGroup", "Dissolves a group; its snapshots stay.",
                                                                    group_uuid_field<&UngroupVolumeSnapshotGroup::uuid>(),
                                                                    delete_mode_field<&UngroupVolumeSnapshotGroup::delete_mode>());
    return info;
}
template <> const TypeInfo& describe<api::CheckVolumeSnapshotGroupAvailability>() {
    using Check = api::CheckVolumeSnapshotGroupAvailability;
    static const TypeInfo info =
        object<Check>("CheckVolumeSnapshotGroupAvailability", "Tells whether groups can be reverted to.",
                      field<&Check::uuids>("uuids", "The groups' UUIDs.",
                                           {.required = true, .items_min = 1, .items_max = limits::kNamesMax, .names_a = "VolumeSnapshotGroupVO"}));
    return info;
}
template <> const TypeInfo& describe<api::VolumeSnapshotGroupAvailability>() {
    using Availability = api::VolumeSnapshotGroupAvailability;
    static const TypeInfo info =
        row<Availability>({"", "", "org.zstack.header.storage.snapshot.group.VolumeSnapshotGroupAvailability"}, "VolumeSnapshotGroupAvailability",
                          "Whether a group can be reverted to.", field<&Availability::uuid>("uuid", "The group."),
                          field<&Availability::available>("available", "Whether all volumes can be taken back together."),
                          field<&Availability::reason>("reason", "Why not, and what to do."));
    return info;
}

namespace api {
namespace {

constexpr std::string_view kCategory = "Resource Center/Resource Pool/Volume Snapshot Operations";
constexpr std::string_view kGroupReply =
    R"({"inventory":{"uuid":"c8be7ec6a8573d98a580b457a7245141","snapshotCount":1,"name":"before-upgrade","vmInstanceUuid":"327b60d6b8cd31489ade6f4830bcec16","volumeSnapshotRefs":[]}})";
constexpr std::string_view kResults =
    R"({"results":[{"snapshotUuid":"c8be7ec6a8573d98a580b457a7245141","volumeUuid":"327b60d6b8cd31489ade6f4830bcec16","success":true}]})";

}  // namespace

template <> const MessageInfo& message<CreateVolumeSnapshotGroup>() {
    static const MessageInfo info = call<CreateVolumeSnapshotGroup>(
        {"CreateVolumeSnapshotGroup", kCategory, Method::post, "/volume-snapshots/group", "params",
         "Keeps all volumes that are attached to the root volume's VM instance as they are at one instant.", "inventory",
         &describe<VolumeSnapshotGroup>, R"({"rootVolumeUuid":"c8be7ec6a8573d98a580b457a7245141","name":"before-upgrade"})", kGroupReply});
    return info;
}
template <> const MessageInfo& message<UpdateVolumeSnapshotGroup>() {
    static const MessageInfo info = call<UpdateVolumeSnapshotGroup>(
        {"UpdateVolumeSnapshotGroup", kCategory, Method::put, "/volume-snapshots/group/{uuid}/actions", "updateVolumeSnapshotGroup",
         "Changes a group's name and description.", "inventory", &describe<VolumeSnapshotGroup>, R"({"name":"before-upgrade"})", kGroupReply});
    return info;
}
template <> const MessageInfo& message<DeleteVolumeSnapshotGroup>() {
    static const MessageInfo info =
        call<DeleteVolumeSnapshotGroup>({"DeleteVolumeSnapshotGroup", kCategory, Method::del, "/volume-snapshots/group/{uuid}", "",
                                         "Deletes a group with its snapshots.", "results", &describe<SnapshotResult>, "{}", kResults});
    return info;
}
template <> const MessageInfo& message<RevertVmFromSnapshotGroup>() {
    static const MessageInfo info = call<RevertVmFromSnapshotGroup>(
        {"RevertVmFromSnapshotGroup", kCategory, Method::put, "/volume-snapshots/group/{uuid}/actions", "revertVmFromSnapshotGroup",
         "Takes all volumes of a Stopped VM instance back to a group, together. From a group with memory the VM instance goes on from that instant.",
         "results", &describe<SnapshotResult>, "{}", kResults});
    return info;
}
template <> const MessageInfo& message<UngroupVolumeSnapshotGroup>() {
    static const MessageInfo info =
        call<UngroupVolumeSnapshotGroup>({"UngroupVolumeSnapshotGroup", kCategory, Method::del, "/volume-snapshots/ungroup/{uuid}", "",
                                          "Dissolves a group; its snapshots stay as single ones.", "", nullptr, "{}", "{}"});
    return info;
}
template <> const MessageInfo& message<CheckVolumeSnapshotGroupAvailability>() {
    static const MessageInfo info = [] {
        MessageInfo made = call<CheckVolumeSnapshotGroupAvailability>(
            {"CheckVolumeSnapshotGroupAvailability", kCategory, Method::get, "/volume-snapshots/groups/availabilities", "",
             "Tells whether groups can be reverted to.", "results", &describe<VolumeSnapshotGroupAvailability>,
             R"({"uuids":["c8be7ec6a8573d98a580b457a7245141"]})", R"({"results":[{"uuid":"c8be7ec6a8573d98a580b457a7245141","available":true}]})"});
        made.completion = Completion::sync;
        return made;
    }();
    return info;
}

std::vector<const MessageInfo*> snapshot_group_messages() {
    static const MessageInfo query_groups =
        query<VolumeSnapshotGroup>("QueryVolumeSnapshotGroup", kCategory, "/volume-snapshots/group", "Lists groups of volume snapshots.");
    return {&query_groups,
            &message<CreateVolumeSnapshotGroup>(),
            &message<UpdateVolumeSnapshotGroup>(),
            &message<DeleteVolumeSnapshotGroup>(),
            &message<RevertVmFromSnapshotGroup>(),
            &message<UngroupVolumeSnapshotGroup>(),
            &message<CheckVolumeSnapshotGroupAvailability>()};
}

}  // namespace api
}  // namespace ramet
