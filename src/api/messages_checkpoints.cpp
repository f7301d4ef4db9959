// Checkpoints: ramet's own calls, in the manner of the others.
#include <algorithm>

#include "api/messages_snapshots.hpp"
#include "api/messages_vm_examples.hpp"
#include "api/snapshot_calls.hpp"

namespace ramet {

using namespace api::snapshot_calls;

template <> const TypeInfo& describe<api::CreateCheckpoint>() {
    using api::CreateCheckpoint;
    static const TypeInfo info =
        object<CreateCheckpoint>("CreateCheckpoint", "Keeps a VM instance as it is now, to be cloned from later.",
                                 path_field<&CreateCheckpoint::vm_instance_uuid>("vmInstanceUuid", "The VM instance UUID.", "VmInstanceVO"),
                                 name_field<&CreateCheckpoint::name>("warm"), description_field<&CreateCheckpoint::description>(),
                                 resource_uuid_field<&CreateCheckpoint::resource_uuid>(),
                                 field<&CreateCheckpoint::memory>("memory",
                                                                  "Keeps the memory of the same instant too, so that clones can go on from it "
                                                                  "(CloneVmInstance with memory). The VM instance is Running or Paused.",
                                                                  {.fallback = "false", .since = "ramet 0.1"}),
                                 tags_field<&CreateCheckpoint::system_tags>("systemTags", "The checkpoint's system tags."),
                                 tags_field<&CreateCheckpoint::user_tags>("userTags", "The checkpoint's user tags."));
    return info;
}
template <> const TypeInfo& describe<api::UpdateCheckpoint>() {
    using api::UpdateCheckpoint;
    static const TypeInfo info =
        object<UpdateCheckpoint>("UpdateCheckpoint", "Changes a checkpoint's name and description.",
                                 path_field<&UpdateCheckpoint::uuid>("uuid", "The checkpoint's UUID.", "CheckpointVO"),
                                 new_name_field<&UpdateCheckpoint::name>(), description_field<&UpdateCheckpoint::description>());
    return info;
}
template <> const TypeInfo& describe<api::DeleteCheckpoint>() {
    using api::DeleteCheckpoint;
    static const TypeInfo info = object<DeleteCheckpoint>("DeleteCheckpoint", "Deletes a checkpoint; its clones stay.",
                                                          path_field<&DeleteCheckpoint::uuid>("uuid", "The checkpoint's UUID.", "CheckpointVO"),
                                                          delete_mode_field<&DeleteCheckpoint::delete_mode>());
    return info;
}

namespace api {
namespace {

constexpr std::string_view kCategory = "Resource Center/Resource Pool/Checkpoint Operations";
constexpr std::string_view kSince = "ramet 0.1";
constexpr std::string_view kCheckpointReply =
    R"({"inventory":{"uuid":"c8be7ec6a8573d98a580b457a7245141","name":"warm","vmInstanceUuid":"327b60d6b8cd31489ade6f4830bcec16","vmInstanceName":"web01","vmInstanceState":"Running","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","cpuNum":1,"memorySize":134217728,"platform":"Linux","volumes":[]}})";

// The fields of CloneVmInstance, with the checkpoint in the path where the VM instance is.
const TypeInfo& clone_fields() {
    static const TypeInfo info = [] {
        TypeInfo fields = describe<CloneVmInstance>();
        fields.name = "CloneCheckpoint";
        fields.doc = "Makes clones of a checkpoint: one per name.";
        std::erase_if(fields.fields,
                      [](const FieldInfo& field) { return field.name == "vmInstanceUuid" || field.name == "volumeSnapshotGroupUuid"; });
        const auto checkpoint = std::ranges::find(fields.fields, std::string_view("checkpointUuid"), &FieldInfo::name);
        checkpoint->doc = "The checkpoint's UUID.";
        checkpoint->rules.required = checkpoint->rules.in_path = true;
        return fields;
    }();
    return info;
}

}  // namespace

template <> const MessageInfo& message<CreateCheckpoint>() {
    static const MessageInfo info = call<CreateCheckpoint>(
        {"CreateCheckpoint", kCategory, Method::post, "/vm-instances/{vmInstanceUuid}/checkpoints", "params",
         "Keeps all volumes of a VM instance that is Running, Paused or Stopped as they are at one instant, with what making its like takes. The "
         "checkpoint can be cloned from at any later time, also when the VM instance is gone.",
         "inventory", &describe<Checkpoint>, R"({"name":"warm"})", kCheckpointReply, kSince});
    return info;
}
template <> const MessageInfo& message<UpdateCheckpoint>() {
    static const MessageInfo info = call<UpdateCheckpoint>({"UpdateCheckpoint", kCategory, Method::put, "/checkpoints/{uuid}/actions",
                                                            "updateCheckpoint", "Changes a checkpoint's name and description.", "inventory",
                                                            &describe<Checkpoint>, R"({"name":"warm"})", kCheckpointReply, kSince});
    return info;
}
template <> const MessageInfo& message<DeleteCheckpoint>() {
    static const MessageInfo info = call<DeleteCheckpoint>(
        {"DeleteCheckpoint", kCategory, Method::del, "/checkpoints/{uuid}", "",
         "Deletes a checkpoint. Its clones stay; disk space is given back as soon as nothing stands on it.", "", nullptr, "{}", "{}", kSince});
    return info;
}
const MessageInfo& clone_checkpoint_message() {
    static const MessageInfo info = [] {
        MessageInfo made = message<CloneVmInstance>();
        made.name = "CloneCheckpoint";
        made.category = kCategory;
        made.path = "/checkpoints/{checkpointUuid}/actions";
        made.doc =
            "CloneVmInstance from a checkpoint, with no touch on the VM instance that it is of, which may be gone. The fields are those of "
            "CloneVmInstance.";
        made.since = kSince;
        made.request = &clone_fields;
        return made;
    }();
    return info;
}

std::vector<const MessageInfo*> checkpoint_messages() {
    static const MessageInfo query_checkpoints = query<Checkpoint>("QueryCheckpoint", kCategory, "/checkpoints", "Lists checkpoints.", kSince);
    return {&query_checkpoints, &message<CreateCheckpoint>(), &message<UpdateCheckpoint>(), &message<DeleteCheckpoint>(),
            &clone_checkpoint_message()};
}

}  // namespace api
}  // namespace ramet
