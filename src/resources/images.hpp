// Images. AddImage is a saga: reserve (row and job in one transaction) ─► fetch ─► inspect ─► publish; when it fails or is cancelled,
// file and row are removed. The file lies at <backup storage>/images/<uuid>/<uuid>.<format>.
#pragma once

#include <cstdint>
#include <optional>

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Everything the saga is built from; kept in the job.
struct AddImagePlan {
    ImageId image;
    BackupStorageId backup_storage;
    std::string url;
    std::string destination;  // absolute
    std::string format;       // "qcow2", "raw"
    std::optional<std::string> checksum;
    bool allow_private_addresses = false;  // file:// and addresses inside the operator's networks: for admins alone
};

// Before engine.recover(). `parts` outlives the engine.
void register_image_sagas(workflow::Engine& engine, Parts& parts);

// How the job of a call is to be kept. Its uuid is the caller's choice; conflict when it exists already.
struct JobOrder {
    JobId uuid;
    std::optional<std::string> web_hook = std::nullopt;
    bool web_hook_has_schema = false;
    std::optional<IdempotencyKey> key = std::nullopt;  // committed with the job
    bool validates_only = false;                       // checks and reserves, and takes it all back
};

// Checks, reserves, starts; the job's result is {"inventory":{...}}.
Result<JobId> add_image(Parts& parts, const identity::Caller& caller, const api::AddImage& request, const JobOrder& order);

// Each answers with the JSON body of the reply.
Result<std::string> update_image(Parts& parts, const identity::Caller& caller, const api::UpdateImage& request);
Result<std::string> change_image_state(Parts& parts, const identity::Caller& caller, const api::ChangeImageState& request);
// Deleted images keep their file until they are expunged.
Result<std::string> delete_image(Parts& parts, const identity::Caller& caller, const api::DeleteImage& request);
Result<std::string> recover_image(Parts& parts, const identity::Caller& caller, const api::RecoverImage& request);
// Only of deleted images. Image-cache layers that volumes stand on stay.
Result<std::string> expunge_image(Parts& parts, const identity::Caller& caller, const api::ExpungeImage& request);

// Expunges images that were deleted longer ago than image/expungePeriod; for the daemon's timer. How many went.
Result<std::int64_t> expunge_expired_images(Parts& parts);

// What is checked before anything is written, and all that follows from it: for add_image and the mock.
struct CheckedAddImage {
    Image image;
    ImageBackupStorageRef copy;
    AddImagePlan plan;
};
Result<CheckedAddImage> check_add_image(store::Transaction& transaction, const identity::Caller& caller, const api::AddImage& request, Timestamp now);

// Removes an image's rows: tags, owner, copies, the image. None is success.
Result<void> erase_image(store::Transaction& transaction, const ImageId& image);

}  // namespace ramet::resources

namespace ramet {
template <> const TypeInfo& describe<resources::AddImagePlan>();
}  // namespace ramet
