#include "clone/choose.hpp"

#include <fmt/format.h>

namespace ramet::clone {

using lifecycle::LayerMode;
using storage::CopyEstimate;

namespace {

bool elsewhere(const CopyWish& wish) { return wish.wanted_storage && *wish.wanted_storage != wish.source_storage; }

PlannedVolume planned(const CopyWish& wish, LayerMode mode, std::string reason) {
    PlannedVolume volume;
    volume.source = wish.volume;
    volume.type = wish.type;
    volume.mode = mode;
    volume.thick = wish.thick;
    volume.storage = wish.wanted_storage.value_or(wish.source_storage);
    volume.reason = std::move(reason);
    if (mode == LayerMode::overlay) volume.file_bytes = storage::kOverlayFileBytes;
    return volume;
}

PlannedVolume with_estimate(PlannedVolume volume, const CopyEstimate& estimate) {
    volume.file_bytes = estimate.file_bytes;
    volume.data_bytes = estimate.data_bytes;
    volume.extents = estimate.extents;
    if (!estimate.tool_reason.empty()) volume.reason += "; qemu-img makes the copy, for the disk has " + estimate.tool_reason;
    return volume;
}

std::unexpected<Error> refused(const CopyWish& wish, const std::string& why, std::string_view instead) {
    return fail(ErrorCode::invalid_argument, fmt::format("copy: '{}' cannot be had for the {} volume: {}; {}", wish.copy,
                                                         wish.type == VolumeType::root ? "root" : "data", why, instead));
}

std::string thick_is_asked_for(const CopyWish& wish) {
    return fmt::format("{} asks for thick provisioning, which shares no blocks", tags_field(wish.type));
}

Result<PlannedVolume> linked(const CopyWish& wish) {
    if (wish.thick) return refused(wish, thick_is_asked_for(wish), "leave one of the two out");
    if (elsewhere(wish)) {
        return refused(
            wish, fmt::format("{} names another storage than the source's, and layers are not shared between storages", storage_field(wish.type)),
            "leave it out, or ask for copy 'full'");
    }
    return planned(wish, LayerMode::overlay, "copy 'linked' was asked for: the clone shares the source's layers until it writes");
}

Result<PlannedVolume> reflink(const CopyWish& wish, const CopyFacts& facts) {
    if (wish.thick) return refused(wish, thick_is_asked_for(wish), "leave one of the two out");
    const Result<CopyEstimate> estimate = facts.reflink();
    if (!estimate.has_value() && estimate.error().code == ErrorCode::unsupported)
        return refused(wish, estimate.error().message, "ask for copy 'linked' or 'full', or leave it out");
    if (!estimate.has_value()) return std::unexpected(estimate.error());
    return with_estimate(
        planned(wish, LayerMode::reflink, "copy 'reflink' was asked for: the clone shares blocks by the file system and stands on no layer"),
        *estimate);
}

Result<PlannedVolume> full(const CopyWish& wish, const CopyFacts& facts, std::string reason) {
    TRY_ASSIGN(const CopyEstimate estimate, facts.full());
    return with_estimate(planned(wish, LayerMode::copy, std::move(reason)), estimate);
}

Result<PlannedVolume> automatic(const CopyWish& wish, const CopyFacts& facts) {
    if (wish.thick) return full(wish, facts, "full: thick provisioning shares no blocks");
    const Result<CopyEstimate> estimate = facts.reflink();
    std::string why;
    if (!estimate.has_value()) {
        why = estimate.error().message;  // whatever it is: layers can always be linked
    } else if (wish.clones * estimate->extents <= kReflinkExtentsMax) {
        return with_estimate(planned(wish, LayerMode::reflink, "reflink: the file system shares the blocks, and the clone stands on no layer"),
                             *estimate);
    } else {
        why =
            fmt::format("sharing blocks by the file system would cost {} extents, more than {}", wish.clones * estimate->extents, kReflinkExtentsMax);
    }
    if (elsewhere(wish)) return full(wish, facts, fmt::format("full: another primary storage was asked for, and {}", why));
    return planned(wish, LayerMode::overlay, fmt::format("linked: the clone shares the source's layers until it writes; {}", why));
}

}  // namespace

std::string_view storage_field(VolumeType type) {
    return type == VolumeType::root ? "primaryStorageUuidForRootVolume" : "primaryStorageUuidForDataVolume";
}

std::string_view tags_field(VolumeType type) { return type == VolumeType::root ? "rootVolumeSystemTags" : "dataVolumeSystemTags"; }

Result<PlannedVolume> choose_strategy(const CopyWish& wish, const CopyFacts& facts) {
    if (wish.copy == "linked") return linked(wish);
    if (wish.copy == "reflink") return reflink(wish, facts);
    if (wish.copy == "full") return full(wish, facts, "copy 'full' was asked for");
    return automatic(wish, facts);
}

}  // namespace ramet::clone
