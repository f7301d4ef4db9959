#include "storage/dir/merge_layers.hpp"

#include <optional>

#include "storage/dir/disk_copier.hpp"
#include "storage/dir/reflink_probe.hpp"
#include "storage/throttle.hpp"

namespace ramet::storage {

namespace {

std::unexpected<Error> not_ours(const std::string& why) {
    return fail(ErrorCode::operation_failed, "the layers of the disk cannot be merged: they have " + why);
}

// Cluster by cluster the merged layer takes what one layer has, so they must have the same clusters.
Result<void> check_form(const ChainSource& source) {
    if (const std::optional<std::string> unusual = ChainMap::unusual(source)) return not_ours(*unusual);
    for (const OpenLayer& layer : source.layers) {
        if (layer.format != DiskFormat::qcow2 || std::int64_t{1} << layer.header.cluster_bits != kClusterBytes)
            return not_ours("clusters of another size");
    }
    return {};
}

}  // namespace

Result<void> write_merged_layer(int directory, int fd, const MergeSpec& spec, const CopyObserver& observer, const std::stop_token& stop) {
    if (spec.upper_top_first.empty()) return fail(ErrorCode::internal, "there are no layers to merge");
    TRY_ASSIGN(const ChainSource source, open_layers_above(spec.base, spec.upper_top_first));
    TRY(check_form(source));
    TRY_ASSIGN(const CopyScan scan, CopyScan::make(source, spec.size_bytes, stop));
    if (scan.has_compressed()) return not_ours("compressed clusters");
    std::optional<Throttle> throttle;
    if (spec.bytes_per_second_max > 0) throttle.emplace(spec.bytes_per_second_max);
    const CopyWay way = probe_reflink(directory, source).has_value() ? CopyWay::share_blocks : CopyWay::move_bytes;
    const CopyForm form{Provisioning::thin, way, Qcow2Backing{spec.base.root + "/" + spec.base.path, spec.base.format}};
    return copy_disk(fd, source, scan, form, {observer, stop, throttle ? &*throttle : nullptr});
}

}  // namespace ramet::storage
