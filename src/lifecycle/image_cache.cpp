#include "lifecycle/image_cache.hpp"

#include <fmt/format.h>

#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

LayerId cache_layer_uuid(const ImageId& image, const PrimaryStorageId& storage) { return LayerId::derived(image.text(), "cache/" + storage.text()); }

Result<bool> reserve_cache_layer(Transaction& transaction, const Image& image, const PrimaryStorageId& storage, Timestamp now) {
    Layer layer;
    layer.uuid = cache_layer_uuid(image.uuid, storage);
    TRY_ASSIGN(const std::optional<Layer> present, store::find<Layer>(transaction, {{"uuid", layer.uuid.text()}}));
    if (present && present->deleting) return fail(ErrorCode::operation_failed, "the image's cache is being removed; try again in a moment");
    if (present) return false;
    layer.primary_storage_uuid = storage;
    layer.path = fmt::format("imagecache/template/{}/{}.{}", image.uuid.text(), image.uuid.text(), image.format);
    layer.format = image.format == "raw" ? DiskFormat::raw : DiskFormat::qcow2;
    layer.size = image.size;
    layer.sealed = true;
    layer.image_uuid = image.uuid;
    layer.create_date = now;
    TRY(store::insert(transaction, layer));
    return true;
}

Result<workflow::Output> FillImageCache::run(workflow::StepContext& step) {
    struct Work {
        Layer layer;
        storage::Place place;
        std::string source;
    };
    TRY_ASSIGN(const Work work, store::read(parts_.database(), [&](Transaction& transaction) -> Result<Work> {
                   Work found;
                   TRY_ASSIGN(found.layer, store::get<Layer>(transaction, cache_layer_uuid(image_, storage_).text()));
                   TRY_ASSIGN(found.place, place_of(transaction, found.layer));
                   TRY_ASSIGN(const std::vector<ImageBackupStorageRef> refs,
                              store::list<ImageBackupStorageRef>(transaction, {{"imageUuid", image_.text()}}));
                   if (!refs.empty()) found.source = refs.front().install_path;
                   return found;
               }));
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts_.shared.storages.open(work.place.root));
    TRY_ASSIGN(const bool cached, storage->exists(work.place.path));
    if (!cached) {
        if (work.source.empty()) return fail(ErrorCode::operation_failed, "the image is on no backup storage; add it again");
        TRY(storage->import_file(
            work.source, work.place.path, [&](storage::CopyProgress progress) { step.progress(progress.done_bytes, progress.total_bytes); },
            step.stop()));
    }
    TRY(storage->seal(work.place.path));
    return workflow::Output{};
}

}  // namespace ramet::lifecycle
