// Images (contract 5.2).
#include "api/messages_resources_kinds.hpp"

namespace ramet {

using namespace api::kinds;

namespace {

constexpr std::array<std::string_view, 3> kMediaTypes{"RootVolumeTemplate", "DataVolumeTemplate", "ISO"};
constexpr std::array<std::string_view, 2> kFormats{"qcow2", "raw"};
constexpr std::array<std::string_view, 5> kPlatforms{"Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio"};
constexpr std::array<std::string_view, 1> kArchitectures{"x86_64"};

template <auto Member>
FieldInfo stored_on_field() {
    return field<Member>("backupStorageUuids", "Only these copies; an image has one copy, so this may be left out.",
                         {.items_max = 1, .names_a = "BackupStorageVO", .example = "[]"});
}
template <auto Member>
FieldInfo platform_field() {
    return field<Member>("platform", "The guest's platform.", {.one_of = kPlatforms, .fallback = "Linux", .example = "Linux"});
}
template <auto Member>
FieldInfo architecture_field() {
    return field<Member>("architecture", "The processor architecture.", {.one_of = kArchitectures, .fallback = "x86_64", .example = "x86_64"});
}
template <auto Member>
FieldInfo guest_os_field() {
    return field<Member>("guestOsType", "The guest's operating system, in words.",
                         {.characters_max = limits::kNameCharactersMax, .example = "Debian 12"});
}

}  // namespace

template <> const TypeInfo& describe<api::AddImage>() {
    using api::AddImage;
    static const TypeInfo info = object<AddImage>(
        "AddImage", "Fetches a disk image and keeps it on a backup storage.", name_field<&AddImage::name>(image()),
        description_field<&AddImage::description>(),
        field<&AddImage::url>(
            "url", "http://, https:// or, for admins, file:// address of the image.",
            {.required = true, .characters_max = limits::kTextCharactersMax, .example = "https://images.example.com/debian12.qcow2"}),
        field<&AddImage::backup_storage_uuids>(
            "backupStorageUuids", "The backup storage that keeps the image: exactly one.",
            {.required = true, .items_min = 1, .items_max = 1, .names_a = "BackupStorageVO", .example = R"(["6a0ea6ab9c2a3b7f9a0f2b3c4d5e6f70"])"}),
        field<&AddImage::media_type>("mediaType", "What the image is for.",
                                     {.one_of = kMediaTypes, .fallback = "RootVolumeTemplate", .example = "RootVolumeTemplate"}),
        guest_os_field<&AddImage::guest_os_type>(), architecture_field<&AddImage::architecture>(),
        field<&AddImage::system>("system", "Whether the image is for internal use.", {.fallback = "false", .example = "false"}),
        field<&AddImage::format>("format", "The format of the file. Left out: qcow2. The content must be what the format says.",
                                 {.one_of = kFormats, .fallback = "qcow2", .example = "qcow2"}),
        platform_field<&AddImage::platform>(), type_field<&AddImage::type>("type", "The image's type.", "zstack"),
        field<&AddImage::virtio>("virtio", "Whether the guest has virtio drivers.", {.fallback = "true", .example = "true"}),
        field<&AddImage::checksum>("checksum",
                                   "What the fetched file must hash to: \"sha256:<hex>\", \"sha512:<hex>\" or \"md5:<hex>\". Left out: not compared.",
                                   {.characters_max = 160, .example = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}),
        resource_uuid_field<&AddImage::resource_uuid>(), system_tags_field<&AddImage::system_tags>(), user_tags_field<&AddImage::user_tags>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateImage>() {
    using api::UpdateImage;
    static const TypeInfo info = object<UpdateImage>(
        "UpdateImage", "Changes the record of an image.", path_uuid_field<&UpdateImage::uuid>(image()), new_name_field<&UpdateImage::name>(),
        description_field<&UpdateImage::description>(), guest_os_field<&UpdateImage::guest_os_type>(), platform_field<&UpdateImage::platform>(),
        architecture_field<&UpdateImage::architecture>(),
        field<&UpdateImage::system>("system", "Whether the image is for internal use.", {.example = "false"}),
        field<&UpdateImage::virtio>("virtio", "Whether the guest has virtio drivers.", {.example = "true"}));
    return info;
}
template <> const TypeInfo& describe<api::ChangeImageState>() {
    static const TypeInfo info = state_type<Image>(image());
    return info;
}
template <> const TypeInfo& describe<api::DeleteImage>() {
    using api::DeleteImage;
    static const TypeInfo info = object<DeleteImage>(
        "DeleteImage", "Deletes an image; it can be recovered until it is expunged.", deleted_uuid_field<&DeleteImage::uuid>(image()),
        stored_on_field<&DeleteImage::backup_storage_uuids>(), delete_mode_field<&DeleteImage::delete_mode>());
    return info;
}
template <> const TypeInfo& describe<api::RecoverImage>() {
    using api::RecoverImage;
    static const TypeInfo info =
        object<RecoverImage>("RecoverImage", "Brings a deleted image back.", path_uuid_field<&RecoverImage::image_uuid>(image(), "imageUuid"),
                             stored_on_field<&RecoverImage::backup_storage_uuids>());
    return info;
}
template <> const TypeInfo& describe<api::ExpungeImage>() {
    using api::ExpungeImage;
    static const TypeInfo info =
        object<ExpungeImage>("ExpungeImage", "Removes a deleted image for ever.", path_uuid_field<&ExpungeImage::image_uuid>(image(), "imageUuid"),
                             stored_on_field<&ExpungeImage::backup_storage_uuids>());
    return info;
}

namespace api {

template <> const MessageInfo& message<AddImage>() {
    static const MessageInfo info = resource_call<AddImage>(
        image(), {.name = "AddImage",
                  .doc = "Fetches a disk image, checks it, and keeps it on a backup storage.",
                  .path = "/images",
                  .request_example = R"({"name":"debian12","url":"https://images.example.com/debian12.qcow2","format":"qcow2","platform":"Linux",)"
                                     R"("backupStorageUuids":["6a0ea6ab9c2a3b7f9a0f2b3c4d5e6f70"]})"});
    return info;
}
template <> const MessageInfo& message<UpdateImage>() {
    static const MessageInfo info = update_message<UpdateImage>(image(), R"({"name":"debian12","guestOsType":"Debian 12"})");
    return info;
}
template <> const MessageInfo& message<ChangeImageState>() {
    static const MessageInfo info = state_message<ChangeImageState>(image());
    return info;
}
template <> const MessageInfo& message<DeleteImage>() {
    static const MessageInfo info = delete_message<DeleteImage>(image(),
                                                                "Deletes an image. Its file is kept for image/expungePeriod seconds, so that it can "
                                                                "be recovered; VM instances made from it are not touched.");
    return info;
}
template <> const MessageInfo& message<RecoverImage>() {
    static const MessageInfo info = resource_call<RecoverImage>(image(), {.name = "RecoverImage",
                                                                          .doc = "Brings a deleted image back.",
                                                                          .method = Method::put,
                                                                          .path = "/images/{imageUuid}/actions",
                                                                          .body_key = "recoverImage"});
    return info;
}
template <> const MessageInfo& message<ExpungeImage>() {
    static const MessageInfo info =
        resource_call<ExpungeImage>(image(), {.name = "ExpungeImage",
                                              .doc = "Removes a deleted image and its file for ever. VM instances made from it keep their own copy.",
                                              .method = Method::put,
                                              .path = "/images/{imageUuid}/actions",
                                              .body_key = "expungeImage",
                                              .answers = Answers::nothing});
    return info;
}

std::vector<const MessageInfo*> kinds::image_messages() {
    static const MessageInfo query = query_message(image());
    return {&message<AddImage>(),    &query, &message<UpdateImage>(), &message<ChangeImageState>(), &message<DeleteImage>(), &message<RecoverImage>(),
            &message<ExpungeImage>()};
}

}  // namespace api
}  // namespace ramet
