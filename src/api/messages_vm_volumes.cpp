// Data volumes (contract 4.6), and the queries of VM instances, NICs and volumes; the list of all VM messages.
#include <array>

#include "api/messages_vm.hpp"
#include "api/messages_vm_examples.hpp"
#include "base/limits.hpp"

namespace ramet {
namespace {

constexpr std::array<std::string_view, 2> kDeleteModes{"Permissive", "Enforcing"};
constexpr std::array<std::string_view, 2> kStateEvents{"enable", "disable"};

template <auto Member>
FieldInfo volume_uuid_field(std::string_view name = "uuid") {
    return field<Member>(name, "The volume's UUID.", {.required = true, .in_path = true, .names_a = "VolumeVO"});
}

}  // namespace

template <> const TypeInfo& describe<api::CreateDataVolume>() {
    using api::CreateDataVolume;
    static const TypeInfo info = object<CreateDataVolume>(
        "CreateDataVolume", "Makes a data volume.",
        field<&CreateDataVolume::name>("name", "Its name.", {.required = true, .characters_max = limits::kNameCharactersMax, .example = "data-1"}),
        field<&CreateDataVolume::description>("description", "Free text.", {.characters_max = limits::kTextCharactersMax}),
        field<&CreateDataVolume::disk_offering_uuid>("diskOfferingUuid", "The disk offering: its size. Or give diskSize.",
                                                     {.names_a = "DiskOfferingVO"}),
        field<&CreateDataVolume::disk_size>("diskSize", "Size in bytes, when no offering is given.",
                                            {.at_least = limits::kVolumeBytesMin, .at_most = limits::kVolumeBytesMax, .example = "1073741824"}),
        field<&CreateDataVolume::primary_storage_uuid>("primaryStorageUuid", "Where it goes; left out: it is made when it is first attached.",
                                                       {.names_a = "PrimaryStorageVO"}),
        field<&CreateDataVolume::resource_uuid>("resourceUuid", "The uuid it shall have.", {.characters_max = 32}),
        field<&CreateDataVolume::system_tags>("systemTags", "Its system tags.",
                                              {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}),
        field<&CreateDataVolume::user_tags>("userTags", "Its user tags.",
                                            {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}));
    return info;
}
template <> const TypeInfo& describe<api::AttachDataVolumeToVm>() {
    using api::AttachDataVolumeToVm;
    static const TypeInfo info = object<AttachDataVolumeToVm>(
        "AttachDataVolumeToVm", "Attaches a data volume to a VM instance.", volume_uuid_field<&AttachDataVolumeToVm::volume_uuid>("volumeUuid"),
        field<&AttachDataVolumeToVm::vm_instance_uuid>("vmInstanceUuid", "The VM instance UUID.",
                                                       {.required = true, .in_path = true, .names_a = "VmInstanceVO"}));
    return info;
}
template <> const TypeInfo& describe<api::DetachDataVolumeFromVm>() {
    using api::DetachDataVolumeFromVm;
    static const TypeInfo info = object<DetachDataVolumeFromVm>(
        "DetachDataVolumeFromVm", "Detaches a data volume from its VM instance.", volume_uuid_field<&DetachDataVolumeFromVm::uuid>(),
        field<&DetachDataVolumeFromVm::vm_uuid>("vmUuid", "The VM instance it is attached to.", {.names_a = "VmInstanceVO"}));
    return info;
}
template <> const TypeInfo& describe<api::DeleteDataVolume>() {
    using api::DeleteDataVolume;
    static const TypeInfo info = object<DeleteDataVolume>(
        "DeleteDataVolume", "Deletes a data volume; it can be recovered until it is expunged.", volume_uuid_field<&DeleteDataVolume::uuid>(),
        field<&DeleteDataVolume::delete_mode>("deleteMode", "Permissive or Enforcing.", {.one_of = kDeleteModes, .fallback = "Permissive"}));
    return info;
}
template <> const TypeInfo& describe<api::RecoverDataVolume>() {
    static const TypeInfo info =
        object<api::RecoverDataVolume>("RecoverDataVolume", "Brings a deleted data volume back.", volume_uuid_field<&api::RecoverDataVolume::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::ExpungeDataVolume>() {
    static const TypeInfo info = object<api::ExpungeDataVolume>("ExpungeDataVolume", "Removes a deleted data volume for ever.",
                                                                volume_uuid_field<&api::ExpungeDataVolume::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateVolume>() {
    using api::UpdateVolume;
    static const TypeInfo info = object<UpdateVolume>(
        "UpdateVolume", "Changes a volume's name and description.", volume_uuid_field<&UpdateVolume::uuid>(),
        field<&UpdateVolume::name>("name", "Its new name.", {.characters_max = limits::kNameCharactersMax}),
        field<&UpdateVolume::description>("description", "Its new description.", {.characters_max = limits::kTextCharactersMax}));
    return info;
}
template <> const TypeInfo& describe<api::ChangeVolumeState>() {
    using api::ChangeVolumeState;
    static const TypeInfo info = object<ChangeVolumeState>(
        "ChangeVolumeState", "Enables or disables a volume.", volume_uuid_field<&ChangeVolumeState::uuid>(),
        field<&ChangeVolumeState::state_event>("stateEvent", "enable or disable.", {.required = true, .one_of = kStateEvents}));
    return info;
}

namespace api {
namespace {

constexpr std::string_view kCategory = "Resource Center/Resource Pool/Volume Operations";

template <class Request>
MessageInfo volume_call(std::string_view name, Method method, std::string_view path, std::string_view key, std::string_view doc,
                        std::string_view request_example = "{}") {
    return MessageInfo{.name = name,
                       .category = kCategory,
                       .method = method,
                       .path = path,
                       .body_key = key,
                       .completion = Completion::async,
                       .doc = doc,
                       .reply_key = "inventory",
                       .request = &describe<Request>,
                       .reply = &describe<Volume>,
                       .request_example = request_example,
                       .response_example = examples::kVolumeReply,
                       .make = &make_request<Request>};
}

MessageInfo without_reply(MessageInfo info) {
    info.reply_key = "";
    info.reply = nullptr;
    info.response_example = examples::kEmptyReply;
    return info;
}

template <class Row>
const MessageInfo* query_call(std::string_view name, std::string_view category, std::string_view path, std::string_view doc) {
    static const MessageInfo info{.name = name,
                                  .category = category,
                                  .method = Method::get,
                                  .path = path,
                                  .doc = doc,
                                  .reply_key = "inventories",
                                  .reply = &describe<Row>,
                                  .query_row = &describe<Row>,
                                  .response_example = R"({"inventories":[]})"};
    return &info;
}

}  // namespace

template <> const MessageInfo& message<CreateDataVolume>() {
    static const MessageInfo info = volume_call<CreateDataVolume>("CreateDataVolume", Method::post, "/volumes/data", "params", "Makes a data volume.",
                                                                  R"({"name":"data-1","diskSize":1073741824})");
    return info;
}
template <> const MessageInfo& message<AttachDataVolumeToVm>() {
    static const MessageInfo info =
        volume_call<AttachDataVolumeToVm>("AttachDataVolumeToVm", Method::post, "/volumes/{volumeUuid}/vm-instances/{vmInstanceUuid}", "params",
                                          "Attaches a data volume to a VM instance, at once when it runs.");
    return info;
}
template <> const MessageInfo& message<DetachDataVolumeFromVm>() {
    static const MessageInfo info = volume_call<DetachDataVolumeFromVm>("DetachDataVolumeFromVm", Method::del, "/volumes/{uuid}/vm-instances", "",
                                                                        "Detaches a data volume; a running guest is asked to let go of it.");
    return info;
}
template <> const MessageInfo& message<DeleteDataVolume>() {
    static const MessageInfo info = without_reply(
        volume_call<DeleteDataVolume>("DeleteDataVolume", Method::del, "/volumes/{uuid}", "", "Deletes a data volume that is not attached."));
    return info;
}
template <> const MessageInfo& message<RecoverDataVolume>() {
    static const MessageInfo info = volume_call<RecoverDataVolume>("RecoverDataVolume", Method::put, "/volumes/{uuid}/actions", "recoverDataVolume",
                                                                   "Brings a deleted data volume back.");
    return info;
}
template <> const MessageInfo& message<ExpungeDataVolume>() {
    static const MessageInfo info = without_reply(volume_call<ExpungeDataVolume>("ExpungeDataVolume", Method::put, "/volumes/{uuid}/actions",
                                                                                 "expungeDataVolume", "Removes a deleted data volume for ever."));
    return info;
}
template <> const MessageInfo& message<UpdateVolume>() {
    static const MessageInfo info = volume_call<UpdateVolume>("UpdateVolume", Method::put, "/volumes/{uuid}/actions", "updateVolume",
                                                              "Changes a volume's name and description.", R"({"name":"data-2"})");
    return info;
}
template <> const MessageInfo& message<ChangeVolumeState>() {
    static const MessageInfo info = volume_call<ChangeVolumeState>("ChangeVolumeState", Method::put, "/volumes/{uuid}/actions", "changeVolumeState",
                                                                   "Enables or disables a volume.", R"({"stateEvent":"disable"})");
    return info;
}

std::vector<const MessageInfo*> vm_messages() {
    constexpr std::string_view kVmCategory = "Resource Center/Resource Pool/VM Instance Operations";
    return {&message<CloneVmInstance>(),
            &message<CreateVmInstance>(),
            query_call<VmInstance>("QueryVmInstance", kVmCategory, "/vm-instances", "Lists VM instances."),
            &message<StartVmInstance>(),
            &message<StopVmInstance>(),
            &message<RebootVmInstance>(),
            &message<PauseVmInstance>(),
            &message<ResumeVmInstance>(),
            &message<DestroyVmInstance>(),
            &message<RecoverVmInstance>(),
            &message<ExpungeVmInstance>(),
            &message<UpdateVmInstance>(),
            &message<SetVmHostname>(),
            &message<GetVmHostname>(),
            &message<DeleteVmHostname>(),
            &message<GetVmConsoleAddress>(),
            query_call<VmNic>("QueryVmNic", kVmCategory, "/vm-instances/nics", "Lists NICs."),
            &message<ChangeVmNicState>(),
            query_call<Volume>("QueryVolume", kCategory, "/volumes", "Lists volumes."),
            &message<CreateDataVolume>(),
            &message<AttachDataVolumeToVm>(),
            &message<DetachDataVolumeFromVm>(),
            &message<DeleteDataVolume>(),
            &message<RecoverDataVolume>(),
            &message<ExpungeDataVolume>(),
            &message<UpdateVolume>(),
            &message<ChangeVolumeState>(),
            &message<CheckInvariants>(),
            &message<CleanGarbage>(),
            &message<VerifyMemoryImages>()};
}

}  // namespace api
}  // namespace ramet
