// Volume snapshots (contract 4.6); the list of all messages about snapshots and checkpoints.
#include "api/messages_snapshots.hpp"
#include "api/snapshot_calls.hpp"

namespace ramet {

using namespace api::snapshot_calls;

namespace {

template <auto Member>
FieldInfo snapshot_uuid_field() {
    return path_field<Member>("uuid", "The snapshot's UUID.", "VolumeSnapshotVO");
}

}  // namespace

template <> const TypeInfo& describe<api::CreateVolumeSnapshot>() {
    using api::CreateVolumeSnapshot;
    static const TypeInfo info = object<CreateVolumeSnapshot>(
        "CreateVolumeSnapshot", "Keeps a volume as it is now.",
        path_field<&CreateVolumeSnapshot::volume_uuid>("volumeUuid", "The volume's UUID.", "VolumeVO"),
        name_field<&CreateVolumeSnapshot::name>("before-upgrade"), description_field<&CreateVolumeSnapshot::description>(),
        resource_uuid_field<&CreateVolumeSnapshot::resource_uuid>(), tags_field<&CreateVolumeSnapshot::system_tags>("systemTags", "Its system tags."),
        tags_field<&CreateVolumeSnapshot::user_tags>("userTags", "Its user tags."));
    return info;
}
template <> const TypeInfo& describe<api::UpdateVolumeSnapshot>() {
    using api::UpdateVolumeSnapshot;
    static const TypeInfo info = object<UpdateVolumeSnapshot>(
        "UpdateVolumeSnapshot", "Changes a snapshot's name and description.", snapshot_uuid_field<&UpdateVolumeSnapshot::uuid>(),
        new_name_field<&UpdateVolumeSnapshot::name>(), description_field<&UpdateVolumeSnapshot::description>());
    return info;
}
template <> const TypeInfo& describe<api::DeleteVolumeSnapshot>() {
    using api::DeleteVolumeSnapshot;
    static const TypeInfo info =
        object<DeleteVolumeSnapshot>("DeleteVolumeSnapshot", "Deletes a snapshot; those taken after it stay.",
                                     snapshot_uuid_field<&DeleteVolumeSnapshot::uuid>(), delete_mode_field<&DeleteVolumeSnapshot::delete_mode>());
    return info;
}
template <> const TypeInfo& describe<api::BatchDeleteVolumeSnapshot>() {
    using api::BatchDeleteVolumeSnapshot;
    static const TypeInfo info = object<BatchDeleteVolumeSnapshot>(
        "BatchDeleteVolumeSnapshot", "Deletes several snapshots.",
        field<&BatchDeleteVolumeSnapshot::uuids>("uuids", "The snapshots' UUIDs.",
                                                 {.required = true, .items_min = 1, .items_max = limits::kNamesMax, .names_a = "VolumeSnapshotVO"}));
    return info;
}
template <> const TypeInfo& describe<api::RevertVolumeFromSnapshot>() {
    static const TypeInfo info = object<api::RevertVolumeFromSnapshot>("RevertVolumeFromSnapshot", "Takes a volume back to a snapshot.",
                                                                       snapshot_uuid_field<&api::RevertVolumeFromSnapshot::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::SnapshotResult>() {
    using api::SnapshotResult;
    static const TypeInfo info = object<SnapshotResult>(
        "SnapshotResult", "What became of one snapshot.", field<&SnapshotResult::snapshot_uuid>("snapshotUuid", "The snapshot."),
        field<&SnapshotResult::volume_uuid>("volumeUuid", "Its volume."), field<&SnapshotResult::success>("success", "Whether it was done."),
        field<&SnapshotResult::error>("error", "Why not."));
    return info;
}
template <> const TypeInfo& describe<api::SnapshotResults>() {
    static const TypeInfo info = object<api::SnapshotResults>("SnapshotResults", "What became of each snapshot.",
                                                              field<&api::SnapshotResults::results>("results", "One entry per snapshot."));
    return info;
}

namespace api {
namespace {

constexpr std::string_view kCategory = "Resource Center/Resource Pool/Volume Snapshot Operations";
constexpr std::string_view kSnapshotReply =
    R"({"inventory":{"uuid":"c8be7ec6a8573d98a580b457a7245141","name":"before-upgrade","type":"Hypervisor","volumeUuid":"327b60d6b8cd31489ade6f4830bcec16","treeUuid":"2ac50b85591b3e87b2686c529cf062f9","primaryStorageUuid":"c2a27c5268493a5cba84b94e37b86b4d","volumeType":"Root","format":"qcow2","latest":true,"size":65536,"distance":1,"state":"Enabled","status":"Ready","backupStorageRefs":[]}})";
constexpr std::string_view kBatchReply =
    R"({"results":[{"snapshotUuid":"c8be7ec6a8573d98a580b457a7245141","volumeUuid":"327b60d6b8cd31489ade6f4830bcec16","success":true}],"success":true})";

}  // namespace

template <> const MessageInfo& message<CreateVolumeSnapshot>() {
    static const MessageInfo info = call<CreateVolumeSnapshot>(
        {"CreateVolumeSnapshot", kCategory, Method::post, "/volumes/{volumeUuid}/volume-snapshots", "params",
         "Keeps a volume as it is now: of a VM instance that is Running, Paused or Stopped, or detached. The next snapshot becomes its child.",
         "inventory", &describe<VolumeSnapshot>, R"({"name":"before-upgrade"})", kSnapshotReply});
    return info;
}
template <> const MessageInfo& message<UpdateVolumeSnapshot>() {
    static const MessageInfo info = call<UpdateVolumeSnapshot>({"UpdateVolumeSnapshot", kCategory, Method::put, "/volume-snapshots/{uuid}/actions",
                                                                "updateVolumeSnapshot", "Changes a snapshot's name and description.", "inventory",
                                                                &describe<VolumeSnapshot>, R"({"name":"before-upgrade"})", kSnapshotReply});
    return info;
}
template <> const MessageInfo& message<DeleteVolumeSnapshot>() {
    static const MessageInfo info = call<DeleteVolumeSnapshot>(
        {"DeleteVolumeSnapshot", kCategory, Method::del, "/volume-snapshots/{uuid}", "",
         "Deletes a snapshot. The volume, later snapshots and clones stay as they are: later snapshots become children of the deleted one's parent, "
         "and disk space is given back as soon as nothing stands on it.",
         "", nullptr, "{}", "{}"});
    return info;
}
template <> const MessageInfo& message<BatchDeleteVolumeSnapshot>() {
    static const MessageInfo info = call<BatchDeleteVolumeSnapshot>(
        {"BatchDeleteVolumeSnapshot", kCategory, Method::put, "/volume-snapshots/batch-delete", "batchDeleteVolumeSnapshot",
         "Deletes several snapshots.", "*", &describe<SnapshotResults>, R"({"uuids":["c8be7ec6a8573d98a580b457a7245141"]})", kBatchReply});
    return info;
}
template <> const MessageInfo& message<RevertVolumeFromSnapshot>() {
    static const MessageInfo info = call<RevertVolumeFromSnapshot>(
        {"RevertVolumeFromSnapshot", kCategory, Method::put, "/volume-snapshots/{uuid}/actions", "revertVolumeFromSnapshot",
         "Takes a volume back to a snapshot; what was written since and is in no other snapshot is gone. The volume is detached or its VM instance "
         "Stopped.",
         "", nullptr, "{}", "{}"});
    return info;
}

std::vector<const MessageInfo*> snapshot_group_messages();
std::vector<const MessageInfo*> checkpoint_messages();
std::vector<const MessageInfo*> from_snapshot_messages();

std::vector<const MessageInfo*> snapshot_messages() {
    static const MessageInfo query_snapshots =
        query<VolumeSnapshot>("QueryVolumeSnapshot", kCategory, "/volume-snapshots", "Lists volume snapshots.");
    static const MessageInfo query_trees =
        query<VolumeSnapshotTree>("QueryVolumeSnapshotTree", kCategory, "/volume-snapshots/trees", "Lists the trees that volume snapshots form.");
    std::vector<const MessageInfo*> all{&query_snapshots,
                                        &query_trees,
                                        &message<CreateVolumeSnapshot>(),
                                        &message<UpdateVolumeSnapshot>(),
                                        &message<DeleteVolumeSnapshot>(),
                                        &message<BatchDeleteVolumeSnapshot>(),
                                        &message<RevertVolumeFromSnapshot>()};
    for (const auto& group : {snapshot_group_messages(), checkpoint_messages(), from_snapshot_messages()})
        all.insert(all.end(), group.begin(), group.end());
    return all;
}

}  // namespace api
}  // namespace ramet
