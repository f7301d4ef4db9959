// The image cache: an image's file on a primary storage, as a sealed layer that root volumes stand on. Made when first needed.
#pragma once

#include "lifecycle/parts.hpp"
#include "model/resources.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

LayerId cache_layer_uuid(const ImageId& image, const PrimaryStorageId& storage);

// Part of the reserving transaction: the layer's row, unless it is there already. True: it was not, and the file is still to be copied.
Result<bool> reserve_cache_layer(store::Transaction& transaction, const Image& image, const PrimaryStorageId& storage, Timestamp now);

// Step "image-cache": the layer's file. Undo keeps a whole file: it is a cache.
class FillImageCache final : public workflow::Step {
public:
    FillImageCache(Parts& parts, ImageId image, PrimaryStorageId storage) : parts_(parts), image_(std::move(image)), storage_(std::move(storage)) {}
    std::string_view name() const override { return "image-cache"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext&) override { return {}; }
    std::vector<std::string> locks() const override { return {cache_layer_uuid(image_, storage_).text()}; }

private:
    Parts& parts_;
    ImageId image_;
    PrimaryStorageId storage_;
};

}  // namespace ramet::lifecycle
