// Copies onto a directory storage: by our own copier, by shared blocks, or by qemu-img where the layers have what we do not read.
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

#include "base/limits.hpp"
#include "storage/dir/dir_storage.hpp"
#include "storage/dir/disk_copier.hpp"
#include "storage/dir/image_tool.hpp"
#include "storage/dir/reflink_probe.hpp"
#include "telemetry/log.hpp"

namespace ramet::storage {

namespace {

constexpr std::int64_t kSlowestBytesPerSecond = 4 << 20;     // of processor time; compressed images need most
constexpr std::int64_t kSpeedSampleMin = 32 * limits::kMiB;  // smaller copies say more about latency
constexpr std::int64_t kProbeBytes = 16 * limits::kMiB;      // of the write that stands in for a copy
constexpr int kLooksMax = 3;                                 // at a disk in use
constexpr std::string_view kCompressed = "compressed clusters";

bool takes_direct_io(const std::string& path) { return UniqueFd(::open(path.c_str(), O_RDWR | O_DIRECT | O_NOFOLLOW | O_CLOEXEC)).valid(); }

// The source and what a copy of it would hold.
struct Prepared {
    ChainSource source;
    std::optional<CopyScan> scan;  // none: the layers cannot be read here
    std::string tool_reason;       // not empty: qemu-img must make the copy
};

Result<Prepared> prepare(const std::vector<Place>& chain, std::int64_t size_bytes, const std::stop_token& stop) {
    for (const Place& layer : chain) TRY(check_relative_path(layer.path));
    Prepared prepared;
    TRY_ASSIGN(prepared.source, open_chain(chain));
    if (size_bytes < prepared.source.virtual_bytes())
        return fail(ErrorCode::invalid_argument, "the copy cannot be smaller than the disk it is made from");
    if (const std::optional<std::string> unusual = ChainMap::unusual(prepared.source)) {
        prepared.tool_reason = *unusual;
        return prepared;
    }
    TRY_ASSIGN(prepared.scan, CopyScan::make(prepared.source, size_bytes, stop));
    if (prepared.scan->has_compressed()) prepared.tool_reason = kCompressed;
    return prepared;
}

// Of a chain that a VM may be writing to: its tables can be ahead of the file size that was seen, so a second look may be needed.
Result<Prepared> prepare_in_use(const std::vector<Place>& chain, std::int64_t size_bytes) {
    for (int attempt = 1;; ++attempt) {
        Result<Prepared> prepared = prepare(chain, size_bytes, {});
        if (prepared.has_value() || prepared.error().code != ErrorCode::operation_failed || attempt == kLooksMax) return prepared;
    }
}

Result<CopyEstimate> estimate_of(const Prepared& prepared, std::int64_t size_bytes, Provisioning provisioning) {
    CopyEstimate estimate;
    estimate.tool_reason = prepared.tool_reason;
    if (!prepared.scan) {  // an upper bound: what the layers' files hold
        for (const OpenLayer& layer : prepared.source.layers) estimate.data_bytes += layer.file_bytes;
        estimate.data_bytes = std::min(estimate.data_bytes, size_bytes);
        estimate.file_bytes = provisioning == Provisioning::thick ? size_bytes : estimate.data_bytes;
        return estimate;
    }
    TRY_ASSIGN(const Qcow2Layout layout, prepared.scan->layout(provisioning));
    estimate.data_bytes = prepared.scan->data_clusters() * kClusterBytes;
    estimate.extents = prepared.scan->extents();
    estimate.file_bytes = provisioning == Provisioning::thick ? layout.file_bytes : layout.metadata_bytes() + estimate.data_bytes;
    return estimate;
}

// qemu-img as `owner`, past the page cache where that can be.
Result<void> copy_by_tool(const Prepared& prepared, const PartialFile& file, const std::string& absolute, std::int64_t size_bytes,
                          const CopyEstimate& estimate, const std::optional<FileOwner>& owner, const CopyControl& control) {
    ToolRun run;
    // Whole clusters, as the estimate counts them and our own copier makes them: by itself the tool leaves holes of 4 KiB inside them.
    run.arguments = {"convert", "-p", "-n", "--target-is-zero", "-S", "64k", "-W", "-m", "8", "-t", takes_direct_io(absolute) ? "none" : "writeback"};
    std::optional<Throttle::Turn> whole;  // the tool keeps to a rate by itself, so it gets the limit alone
    if (control.throttle != nullptr) {
        whole.emplace(control.throttle->whole(control.stop));
        if (!whole->granted()) return fail(ErrorCode::cancelled, "the copy was cancelled");
        run.arguments.insert(run.arguments.end(), {"-r", std::to_string(control.throttle->bytes_per_second())});
    }
    run.arguments.insert(run.arguments.end(), {"-O", "qcow2", tool_name_of(prepared.source, 1), inherited_name(0)});
    run.inherit = {file.fd()};
    for (const OpenLayer& layer : prepared.source.layers) run.inherit.push_back(layer.file.get());
    run.run_as = owner;
    run.processor_time_max = std::chrono::seconds(300 + size_bytes / kSlowestBytesPerSecond);
    run.on_percent = [&](double percent) {
        const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
        if (control.observer)
            control.observer(CopyProgress{static_cast<std::int64_t>(static_cast<double>(estimate.file_bytes) * share), estimate.file_bytes});
    };
    return run_image_tool(run, control.stop);
}

}  // namespace

Result<void> DirStorage::full_copy(const std::vector<Place>& chain_top_first, const std::string& path, std::int64_t size_bytes,
                                   Provisioning provisioning, const CopyObserver& observer, std::stop_token stop, Throttle* throttle) {
    TRY(check_new_path(path));
    TRY_ASSIGN(const bool there, exists(path));
    if (there) return {};
    TRY_ASSIGN(const Prepared prepared, prepare(chain_top_first, size_bytes, stop));
    const auto begun = std::chrono::steady_clock::now();
    TRY_ASSIGN(PartialFile file, PartialFile::begin(root_fd_.get(), path, owner_));
    const CopyControl control{observer, stop, throttle};
    TRY_ASSIGN(const CopyEstimate estimate, estimate_of(prepared, size_bytes, provisioning));
    if (prepared.tool_reason.empty()) {
        TRY(copy_disk(file.fd(), prepared.source, *prepared.scan, {provisioning}, control));
    } else {
        telemetry::log_info("{} is copied by qemu-img: {}", path, prepared.tool_reason);
        TRY(write_empty(file.fd(), size_bytes, provisioning));
        TRY(copy_by_tool(prepared, file, absolute(file.path()), size_bytes, estimate, owner_, control));
    }
    TRY(file.publish());
    if (throttle == nullptr) note_speed(estimate.data_bytes, std::chrono::steady_clock::now() - begun);
    return {};
}

Result<void> DirStorage::reflink_copy(const std::vector<Place>& chain_top_first, const std::string& path, std::int64_t size_bytes,
                                      const CopyObserver& observer, std::stop_token stop) {
    TRY(check_new_path(path));
    TRY_ASSIGN(const bool there, exists(path));
    if (there) return {};
    TRY_ASSIGN(const Prepared prepared, prepare(chain_top_first, size_bytes, stop));
    if (!prepared.tool_reason.empty())
        return fail(ErrorCode::unsupported, "the disk has " + prepared.tool_reason + ", whose blocks cannot be shared");
    TRY(probe_reflink(root_fd_.get(), prepared.source));
    TRY_ASSIGN(PartialFile file, PartialFile::begin(root_fd_.get(), path, owner_));
    TRY(copy_disk(file.fd(), prepared.source, *prepared.scan, {Provisioning::thin, CopyWay::share_blocks}, {observer, stop, nullptr}));
    return file.publish();
}

Result<CopyEstimate> DirStorage::estimate_copy(const std::vector<Place>& chain_top_first, std::int64_t size_bytes, Provisioning provisioning) {
    TRY_ASSIGN(const Prepared prepared, prepare_in_use(chain_top_first, size_bytes));
    return estimate_of(prepared, size_bytes, provisioning);
}

Result<void> DirStorage::check_shares_blocks() {
    if (!never_shares_blocks_) {
        const Result<bool> shares = file_system_shares_blocks(root_fd_.get());
        if (!shares.has_value() || *shares) return {};  // whatever is wrong, the layers' own probe tells it better
        never_shares_blocks_ = true;
    }
    return fail(ErrorCode::unsupported, "the storage's file system cannot share blocks between files; XFS and btrfs can");
}

Result<CopyEstimate> DirStorage::estimate_reflink(const std::vector<Place>& chain_top_first, std::int64_t size_bytes) {
    for (const Place& layer : chain_top_first) TRY(check_relative_path(layer.path));
    TRY(check_shares_blocks());  // before anything is opened: most file systems cannot
    TRY_ASSIGN(const ChainSource source, open_chain(chain_top_first));
    TRY(probe_reflink(root_fd_.get(), source));
    TRY_ASSIGN(const Prepared prepared, prepare_in_use(chain_top_first, size_bytes));
    if (!prepared.tool_reason.empty())
        return fail(ErrorCode::unsupported, "the disk has " + prepared.tool_reason + ", whose blocks cannot be shared");
    TRY_ASSIGN(CopyEstimate estimate, estimate_of(prepared, size_bytes, Provisioning::thin));
    estimate.file_bytes -= estimate.data_bytes;
    return estimate;
}

void DirStorage::note_speed(std::int64_t bytes, std::chrono::steady_clock::duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    if (bytes < kSpeedSampleMin || seconds <= 0) return;
    const std::lock_guard lock(speed_mutex_);
    speed_ = {static_cast<std::int64_t>(static_cast<double>(bytes) / seconds), "the last copy onto this storage"};
}

Result<CopySpeed> DirStorage::copy_speed() {
    {
        const std::lock_guard lock(speed_mutex_);
        if (speed_.bytes_per_second > 0) return speed_;
    }
    const UniqueFd probe(::openat(root_fd_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!probe.valid()) return io_error("measuring the storage's speed", errno, root_);
    const std::vector<std::byte> data(static_cast<std::size_t>(kProbeBytes), std::byte{0xa5});
    const auto begun = std::chrono::steady_clock::now();
    TRY(write_all(probe.get(), data, 0));
    TRY(sync_file(probe.get()));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const std::lock_guard lock(speed_mutex_);
    if (speed_.bytes_per_second == 0)
        speed_ = {static_cast<std::int64_t>(static_cast<double>(kProbeBytes) / std::max(seconds, 1e-6)), "16 MiB written to this storage"};
    return speed_;
}

}  // namespace ramet::storage
