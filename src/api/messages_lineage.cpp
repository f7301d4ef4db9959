#include "api/messages_lineage.hpp"

#include "api/messages_vm_examples.hpp"

namespace ramet {

template <> const TypeInfo& describe<api::FlattenVmInstance>() {
    using api::FlattenVmInstance;
    static const TypeInfo info = object<FlattenVmInstance>(
        "FlattenVmInstance", "Makes the volumes of a VM instance stand alone.",
        field<&FlattenVmInstance::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}),
        field<&FlattenVmInstance::full>("full", "The data volumes too; false: the root volume alone.", {.fallback = "true"}),
        field<&FlattenVmInstance::dry_run>("dryRun", "Changes nothing and says in bytesToCopy what would be copied.", {.fallback = "false"}));
    return info;
}
template <> const TypeInfo& describe<api::FlattenVolume>() {
    using api::FlattenVolume;
    static const TypeInfo info = object<FlattenVolume>(
        "FlattenVolume", "Makes a volume stand alone.",
        field<&FlattenVolume::uuid>("uuid", "The volume UUID.", {.required = true, .in_path = true, .names_a = "VolumeVO"}),
        field<&FlattenVolume::dry_run>("dryRun", "Changes nothing and says in bytesToCopy what would be copied.", {.fallback = "false"}));
    return info;
}
template <> const TypeInfo& describe<api::GetLineage>() {
    static const TypeInfo info = object<api::GetLineage>("GetLineage", "Shows what stands on what.");
    return info;
}
template <> const TypeInfo& describe<api::GetVmLineage>() {
    static const TypeInfo info = object<api::GetVmLineage>(
        "GetVmLineage", "Shows what a VM instance stands on.",
        field<&api::GetVmLineage::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}));
    return info;
}
template <> const TypeInfo& describe<api::LineageLayer>() {
    using api::LineageLayer;
    static const TypeInfo info = object<LineageLayer>(
        "LineageLayer", "One layer.", field<&LineageLayer::uuid>("uuid", "Its uuid."),
        field<&LineageLayer::parent_uuid>("parentUuid", "The layer it stands on; absent: none."),
        field<&LineageLayer::primary_storage_uuid>("primaryStorageUuid", "Where its file is."),
        field<&LineageLayer::kind>("kind", "image: an image's file; sealed: never written again; top: a volume writes to it."),
        field<&LineageLayer::image_uuid>("imageUuid", "The image."), field<&LineageLayer::bytes>("bytes", "What its file occupies."),
        field<&LineageLayer::depth>("depth", "Layers from here to the bottom, this one counted."),
        field<&LineageLayer::volumes>("volumes", "How many volumes stand on it."),
        field<&LineageLayer::foreign_volumes>("foreignVolumes", "How many of these are not the caller's."),
        field<&LineageLayer::create_date>("createDate", "When it was made."));
    return info;
}
template <> const TypeInfo& describe<api::LineageVolume>() {
    using api::LineageVolume;
    static const TypeInfo info = object<LineageVolume>(
        "LineageVolume", "One volume.", field<&LineageVolume::uuid>("uuid", "Its uuid."), field<&LineageVolume::name>("name", "Its name."),
        field<&LineageVolume::type>("type", "Root or Data."), field<&LineageVolume::top_layer_uuid>("topLayerUuid", "The layer it writes to."),
        field<&LineageVolume::depth>("depth", "How many layers it has."),
        field<&LineageVolume::own_bytes>("ownBytes", "What would be free if the volume were gone."),
        field<&LineageVolume::shared_bytes>("sharedBytes", "The rest of its layers."));
    return info;
}
template <> const TypeInfo& describe<api::LineageVm>() {
    using api::LineageVm;
    static const TypeInfo info =
        object<LineageVm>("LineageVm", "One VM instance.", field<&LineageVm::uuid>("uuid", "Its uuid."), field<&LineageVm::name>("name", "Its name."),
                          field<&LineageVm::state>("state", "Its state."), field<&LineageVm::depth>("depth", "The layers of its deepest volume."),
                          field<&LineageVm::own_bytes>("ownBytes", "What would be free if it were expunged; its data volumes would stay."),
                          field<&LineageVm::shared_bytes>("sharedBytes", "The rest that its volumes stand on."),
                          field<&LineageVm::volumes>("volumes", "Its volumes, the root volume first."));
    return info;
}
template <> const TypeInfo& describe<api::LineageReply>() {
    using api::LineageReply;
    static const TypeInfo info =
        object<LineageReply>("LineageReply", "What stands on what.", field<&LineageReply::vms>("vms", "The VM instances."),
                             field<&LineageReply::volumes>("volumes", "Volumes that belong to no VM instance."),
                             field<&LineageReply::layers>("layers", "The layers they have; an admin who asks for everything gets every layer."),
                             field<&LineageReply::total_bytes>("totalBytes", "What these layers occupy together."));
    return info;
}

namespace api {

namespace {

constexpr std::string_view kVmCategory = "Resource Center/Resource Pool/VM Instance Operations";
constexpr std::string_view kVolumeCategory = "Resource Center/Resource Pool/Volume Operations";
constexpr std::string_view kLineageExample =
    R"({"vms":[{"uuid":"5f2b0f6c3c9e4c0fa7d1c2b1a0e9d8c7","name":"web-01","state":"Running","depth":2,"ownBytes":1048576,"sharedBytes":33554432,"volumes":[]}],"volumes":[],"layers":[{"uuid":"0c1d2e3f4a5b4c6d8e9f0a1b2c3d4e5f","primaryStorageUuid":"1a2b3c4d5e6f4a1b8c2d3e4f5a6b7c8d","kind":"image","bytes":33554432,"depth":1,"volumes":1,"foreignVolumes":0,"createDate":"Jan 1, 2026 12:00:00 AM"}],"totalBytes":34603008,"success":true})";

template <class Request>
MessageInfo lineage_call(std::string_view name, std::string_view path, std::string_view doc) {
    return MessageInfo{.name = name,
                       .category = kVmCategory,
                       .method = Method::get,
                       .path = path,
                       .doc = doc,
                       .since = "ramet 0.1",
                       .reply_key = "*",
                       .request = &describe<Request>,
                       .reply = &describe<LineageReply>,
                       .response_example = kLineageExample,
                       .make = &make_request<Request>};
}

}  // namespace

template <> const MessageInfo& message<FlattenVmInstance>() {
    static const MessageInfo info{.name = "FlattenVmInstance",
                                  .category = kVmCategory,
                                  .method = Method::put,
                                  .path = "/vm-instances/{uuid}/actions",
                                  .body_key = "flattenVmInstance",
                                  .completion = Completion::async,
                                  .doc =
                                      "Copies what a VM instance shares with others into its own volumes, so that it stands alone. A running "
                                      "one goes on meanwhile.",
                                  .reply_key = "inventory",
                                  .request = &describe<FlattenVmInstance>,
                                  .reply = &describe<VmInstance>,
                                  .request_example = R"({"full":true})",
                                  .response_example = examples::kVmReply,
                                  .make = &make_request<FlattenVmInstance>};
    return info;
}
template <> const MessageInfo& message<FlattenVolume>() {
    static const MessageInfo info{.name = "FlattenVolume",
                                  .category = kVolumeCategory,
                                  .method = Method::put,
                                  .path = "/volumes/{uuid}/actions",
                                  .body_key = "flattenVolume",
                                  .completion = Completion::async,
                                  .doc = "Copies what a volume shares with others into it, so that it stands alone. A running VM goes on meanwhile.",
                                  .reply_key = "inventory",
                                  .request = &describe<FlattenVolume>,
                                  .reply = &describe<Volume>,
                                  .request_example = R"({"dryRun":false})",
                                  .response_example = examples::kVolumeReply,
                                  .make = &make_request<FlattenVolume>};
    return info;
}
template <> const MessageInfo& message<GetLineage>() {
    static const MessageInfo info =
        lineage_call<GetLineage>("GetLineage", "/lineage", "Every VM instance, volume and layer the caller may see, with shared and own bytes.");
    return info;
}
template <> const MessageInfo& message<GetVmLineage>() {
    static const MessageInfo info =
        lineage_call<GetVmLineage>("GetVmLineage", "/vm-instances/{uuid}/lineage", "A VM instance with the layers it stands on.");
    return info;
}

std::vector<const MessageInfo*> lineage_messages() {
    return {&message<FlattenVmInstance>(), &message<FlattenVolume>(), &message<GetLineage>(), &message<GetVmLineage>()};
}

}  // namespace api
}  // namespace ramet
