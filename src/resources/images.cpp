#include "resources/images.hpp"

#include <unistd.h>

#include "api/json.hpp"
#include "base/clock.hpp"
#include "model/account.hpp"
#include "resources/global_configs.hpp"
#include "resources/image_files.hpp"
#include "resources/use_case.hpp"
#include "storage/image_source.hpp"

namespace ramet::resources {
namespace {

Result<BackupStorage> usable_storage(store::Transaction& transaction, const BackupStorageId& uuid) {
    TRY_ASSIGN(BackupStorage storage, store::get<BackupStorage>(transaction, uuid.text()));
    if (storage.state != Enablement::enabled)
        return fail(ErrorCode::operation_failed, "backup storage '" + storage.name + "' is Disabled; enable it or choose another");
    if (storage.status != Connection::connected) {
        return fail(ErrorCode::operation_failed,
                    "backup storage '" + storage.name + "' is " + std::string(name_of(storage.status)) + "; reconnect it or choose another");
    }
    return storage;
}

Error wrong_status(const Image& image, std::string_view doing, std::string_view instead) {
    return Error{
        ErrorCode::operation_failed,  // VM.1010 is of VMs
        "image '" + image.name + "' is " + std::string(name_of(image.status)) + " and cannot be " + std::string(doing) + "; " + std::string(instead),
        {},
        nullptr,
        {}};
}

Result<Image> own_image(store::Transaction& transaction, const identity::Caller& caller, const ImageId& uuid, std::string_view field) {
    TRY(identity::may_operate(transaction, caller, uuid.text(), "ImageVO", field));
    return store::get<Image>(transaction, uuid.text());
}

// Every copy's place; none for an image that is not there.
Result<std::vector<std::string>> copies_of(store::Transaction& transaction, const ImageId& image) {
    TRY_ASSIGN(const std::vector<ImageBackupStorageRef> copies, store::list<ImageBackupStorageRef>(transaction, {{"imageUuid", image.text()}}));
    std::vector<std::string> paths;
    paths.reserve(copies.size());
    for (const ImageBackupStorageRef& copy : copies) paths.push_back(copy.install_path);
    return paths;
}

// Files go before their rows: a cut between the two leaves a Deleted image that can be expunged again.
Result<void> expunge(Parts& parts, const ImageId& image, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) TRY(remove_image_file(path));
    return parts.database.write([&](store::Transaction& transaction) { return erase_image(transaction, image); });
}

template <class Change>
Result<std::string> alter_own(Parts& parts, const identity::Caller& caller, const ImageId& uuid, std::string_view field, const Change& change) {
    return alter<Image>(parts, uuid.text(), [&](Image& image, store::Transaction& transaction) -> Result<void> {
        TRY(identity::may_operate(transaction, caller, uuid.text(), "ImageVO", field));
        return change(image, transaction);
    });
}

}  // namespace

Result<CheckedAddImage> check_add_image(store::Transaction& transaction, const identity::Caller& caller, const api::AddImage& request,
                                        Timestamp now) {
    if (request.media_type == "ISO") return fail(ErrorCode::unsupported, "mediaType: ISO images are not supported; add a disk image (qcow2 or raw)");
    if (request.backup_storage_uuids.size() != 1) return fail(ErrorCode::invalid_argument, "backupStorageUuids: name exactly one backup storage");
    TRY_ASSIGN(const BackupStorage storage, usable_storage(transaction, request.backup_storage_uuids.front()));
    CheckedAddImage checked;
    Image& image = checked.image;
    TRY_ASSIGN(image.uuid, id_or_new(request.resource_uuid));
    image.name = request.name;
    image.description = request.description;
    image.status = ImageStatus::downloading;
    image.url = request.url;
    image.media_type = request.media_type;
    image.guest_os_type = request.guest_os_type;
    if (request.platform) image.platform = *request.platform;
    if (request.format) image.format = *request.format;
    image.system = request.system;
    image.virtio = request.virtio;
    image.create_date = image.last_op_date = now;

    checked.plan = {image.uuid,   storage.uuid,     request.url, image_file_path(storage.url, image.uuid, image.format),
                    image.format, request.checksum, caller.admin};
    ImageBackupStorageRef& copy = checked.copy;
    copy.uuid = image.uuid.text() + "-" + storage.uuid.text();
    copy.image_uuid = image.uuid;
    copy.backup_storage_uuid = storage.uuid;
    copy.install_path = checked.plan.destination;
    copy.status = ImageStatus::downloading;
    copy.create_date = copy.last_op_date = now;
    for (const std::string& tag : request.system_tags) TRY(check_system_tag("ImageVO", tag, "systemTags", caller.admin));
    return checked;
}

Result<JobId> add_image(Parts& parts, const identity::Caller& caller, const api::AddImage& request, const JobOrder& order) {
    TRY(storage::check_image_url(request.url, caller.admin));
    const Timestamp now = parts.clock.now();
    Job job;
    const auto reserve = [&](store::Transaction& transaction) -> Result<void> {
        if (order.key) TRY(store::insert(transaction, *order.key));
        TRY_ASSIGN(const CheckedAddImage checked, check_add_image(transaction, caller, request, now));
        job.uuid = order.uuid;
        job.kind = "add-image";
        job.api_name = "AddImage";
        job.account_uuid = caller.account;
        job.target_uuid = checked.image.uuid.text();
        job.plan = api::to_json(checked.plan, api::Audience::storage);
        job.web_hook = order.web_hook;
        job.web_hook_has_schema = order.web_hook_has_schema;
        job.create_date = job.last_op_date = now;
        TRY(insert_owned(transaction, caller, checked.image, request.system_tags, request.user_tags, now));
        TRY(store::insert(transaction, checked.copy));
        return store::insert(transaction, job);
    };
    TRY(write_or_validate(parts.database, order.validates_only, reserve));
    if (order.validates_only) return job.uuid;
    TRY(parts.engine.start(job));
    return job.uuid;
}

Result<std::string> update_image(Parts& parts, const identity::Caller& caller, const api::UpdateImage& request) {
    return alter_own(parts, caller, request.uuid, "uuid", [&](Image& image, store::Transaction&) -> Result<void> {
        TRY(take_name_and_description(image, request));
        if (request.guest_os_type) image.guest_os_type = *request.guest_os_type;
        if (request.platform) image.platform = *request.platform;
        if (request.architecture) image.architecture = *request.architecture;
        if (request.system) image.system = *request.system;
        if (request.virtio) image.virtio = *request.virtio;
        return {};
    });
}

Result<std::string> change_image_state(Parts& parts, const identity::Caller& caller, const api::ChangeImageState& request) {
    return alter_own(parts, caller, request.uuid, "uuid", [&](Image& image, store::Transaction&) -> Result<void> {
        TRY_ASSIGN(image.state, state_after(request.state_event, {}));
        return {};
    });
}

Result<std::string> delete_image(Parts& parts, const identity::Caller& caller, const api::DeleteImage& request) {
    TRY(ImageId::parse(request.uuid.text()));
    const auto work = [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<Image> present, store::find<Image>(transaction, {{"uuid", request.uuid.text()}}));
        if (!present) return {};
        TRY_ASSIGN(Image image, own_image(transaction, caller, request.uuid, "uuid"));
        if (image.status == ImageStatus::deleted) return {};
        if (image.status != ImageStatus::ready && image.status != ImageStatus::error)
            return wrong_status(image, "deleted", "cancel the job that is making it");
        image.status = ImageStatus::deleted;
        image.last_op_date = parts.clock.now();
        return store::update(transaction, image);
    };
    TRY(parts.database.write(work));
    return "{}";
}

Result<std::string> recover_image(Parts& parts, const identity::Caller& caller, const api::RecoverImage& request) {
    TRY_ASSIGN(const std::vector<std::string> paths,
               store::read(parts.database, [&](store::Transaction& transaction) -> Result<std::vector<std::string>> {
                   TRY(own_image(transaction, caller, request.image_uuid, "imageUuid"));
                   return copies_of(transaction, request.image_uuid);
               }));
    for (const std::string& path : paths) {
        if (::access(path.c_str(), F_OK) != 0) {
            return fail(ErrorCode::operation_failed, "the image's file is gone, as if it had been expunged; expunge the image and add it again",
                        path);
        }
    }
    return alter_own(parts, caller, request.image_uuid, "imageUuid", [&](Image& image, store::Transaction&) -> Result<void> {
        if (image.status != ImageStatus::deleted) return wrong_status(image, "recovered", "only Deleted images can");
        image.status = ImageStatus::ready;
        return {};
    });
}

Result<std::string> expunge_image(Parts& parts, const identity::Caller& caller, const api::ExpungeImage& request) {
    TRY_ASSIGN(const std::vector<std::string> paths,
               store::read(parts.database, [&](store::Transaction& transaction) -> Result<std::vector<std::string>> {
                   TRY_ASSIGN(const Image image, own_image(transaction, caller, request.image_uuid, "imageUuid"));
                   if (image.status != ImageStatus::deleted) return wrong_status(image, "expunged", "delete it first");
                   return copies_of(transaction, request.image_uuid);
               }));
    TRY(expunge(parts, request.image_uuid, paths));
    return "{}";
}

Result<std::int64_t> expunge_expired_images(Parts& parts) {
    struct Expired {
        ImageId image;
        std::vector<std::string> paths;
    };
    TRY_ASSIGN(const std::vector<Expired> all, store::read(parts.database, [&](store::Transaction& transaction) -> Result<std::vector<Expired>> {
                   TRY_ASSIGN(const std::int64_t period, global_config_number(transaction, "image", "expungePeriod"));
                   const std::int64_t before = parts.clock.now().milliseconds - period * kMillisecondsPerSecond;
                   TRY_ASSIGN(const std::vector<Image> deleted,
                              store::list<Image>(transaction, {{"status", std::string(name_of(ImageStatus::deleted))}}));
                   std::vector<Expired> expired;
                   for (const Image& image : deleted) {
                       if (image.last_op_date.milliseconds >= before) continue;
                       TRY_ASSIGN(std::vector<std::string> paths, copies_of(transaction, image.uuid));
                       expired.push_back({image.uuid, std::move(paths)});
                   }
                   return expired;
               }));
    for (const Expired& expired : all) TRY(expunge(parts, expired.image, expired.paths));
    return static_cast<std::int64_t>(all.size());
}

Result<void> erase_image(store::Transaction& transaction, const ImageId& image) {
    TRY(store::erase<ImageBackupStorageRef>(transaction, {{"imageUuid", image.text()}}));
    TRY(remove_tags_of(transaction, image.text()));
    TRY(identity::disown(transaction, image.text()));
    TRY(store::erase<Image>(transaction, {{"uuid", image.text()}}));
    return {};
}

}  // namespace ramet::resources
