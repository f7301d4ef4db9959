#include "storage/dir/disk_copier.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "base/crash_point.hpp"
#include "base/disk_precedence.hpp"

namespace ramet::storage {

namespace {

// With these a single copy is as fast as the disk, and fewer or smaller pieces make it slower. Larger ones do too, and keep others waiting longer.
constexpr std::int64_t kPieceBytes = 768 << 10;  // of one write
constexpr std::int64_t kCopyThreads = 3;         // of one copy: reads and writes overlap
constexpr int kNice = 10;
constexpr std::size_t kPageBytes = 4096;            // what memory, offset and length of direct reads are aligned to
constexpr std::int64_t kShareBytes = kRegionBytes;  // of one span of shared blocks

std::unexpected<Error> cancelled() { return fail(ErrorCode::cancelled, "the copy was cancelled"); }

// The same file again, past the page cache; invalid where the file system has no such thing.
UniqueFd reopen_direct(int fd, int mode) { return UniqueFd(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode | O_DIRECT | O_CLOEXEC)); }

struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<std::byte, Free>;

struct Run {  // clusters that are neighbours both in the disk and in the new file
    std::int64_t guest = 0, bytes = 0, target = 0;
};
struct Span {  // runs that are neighbours in the new file: written at once
    std::int64_t target = 0, bytes = 0;
    std::vector<Run> runs;
};
struct RegionWork {
    std::vector<Piece> pieces;
    std::vector<Span> spans;
};
using Work = std::pair<std::shared_ptr<const RegionWork>, const Span*>;

// A layer's file as addresses that are only asked about, never read.
class Mapping {
public:
    explicit Mapping(const OpenLayer& layer) : bytes_(layer.file_bytes) {
        if (bytes_ > 0) begin_ = ::mmap(nullptr, static_cast<std::size_t>(bytes_), PROT_READ, MAP_SHARED, layer.file.get(), 0);
        if (begin_ == MAP_FAILED) bytes_ = 0;
    }
    Mapping(Mapping&& other) noexcept : begin_(other.begin_), bytes_(std::exchange(other.bytes_, 0)) {}
    Mapping& operator=(Mapping&&) = delete;
    ~Mapping() {
        if (bytes_ > 0) ::munmap(begin_, static_cast<std::size_t>(bytes_));
    }
    std::int64_t bytes() const { return bytes_; }  // 0: there is none
    void* at(std::int64_t offset) const { return static_cast<std::byte*>(begin_) + offset; }

private:
    void* begin_ = nullptr;
    std::int64_t bytes_;
};

// Reads bytes of the layers.
class LayerReader {
public:
    explicit LayerReader(const ChainSource& source) : source_(source) {
        for (const OpenLayer& layer : source.layers) {
            direct_.push_back(reopen_direct(layer.file.get(), O_RDONLY));
            mapped_.emplace_back(layer);
        }
    }

    // Fills `into`; what lies beyond the end of the file reads as zeros.
    Result<void> read(std::size_t layer, std::int64_t host, std::span<std::byte> into) const {
        while (!into.empty()) {
            Result<std::size_t> got = some(layer, host, into);
            if (!got.has_value()) return std::unexpected(std::move(got.error()));
            if (*got == 0) {
                std::memset(into.data(), 0, into.size());
                return {};
            }
            into = into.subspan(*got);
            host += static_cast<std::int64_t>(*got);
        }
        return {};
    }

private:
    // Is all of it in the page cache? preadv2 with RWF_NOWAIT would tell too, but starts reading ahead what is not there, so that most of the
    // file is read twice. Asking does not touch the pages, so a file that becomes shorter meanwhile does no harm.
    bool is_cached(std::size_t layer, std::int64_t host, std::size_t bytes) const {
        const Mapping& mapped = mapped_[layer];
        if (bytes > static_cast<std::size_t>(kPieceBytes) || host + static_cast<std::int64_t>(bytes) > mapped.bytes()) return false;
        std::array<unsigned char, static_cast<std::size_t>(kPieceBytes) / kPageBytes> pages{};
        if (::mincore(mapped.at(host), bytes, pages.data()) != 0) return false;
        return std::ranges::all_of(std::span(pages).first(bytes / kPageBytes), [](unsigned char page) { return (page & 1) != 0; });
    }

    // What is in the page cache comes from there; the rest straight from the disk, so that a copy does not push out what others need.
    Result<std::size_t> some(std::size_t layer, std::int64_t host, std::span<std::byte> into) const {
        const int plain = source_.layers[layer].file.get();
        const bool aligned = host % static_cast<std::int64_t>(kPageBytes) == 0 && into.size() % kPageBytes == 0 &&
                             reinterpret_cast<std::uintptr_t>(into.data()) % kPageBytes == 0;
        if (direct_[layer].valid() && aligned && !is_cached(layer, host, into.size())) {
            const ssize_t got = ::pread(direct_[layer].get(), into.data(), into.size(), host);
            if (got >= 0) return static_cast<std::size_t>(got);
            if (errno != EINVAL && errno != EINTR) return io_error("reading a layer of the disk", errno);
        }
        const ssize_t got = ::pread(plain, into.data(), into.size(), host);
        if (got < 0 && errno == EINTR) return some(layer, host, into);
        if (got < 0) return io_error("reading a layer of the disk", errno);
        return static_cast<std::size_t>(got);
    }

    const ChainSource& source_;
    std::vector<UniqueFd> direct_;
    std::vector<Mapping> mapped_;
};

class DiskCopier {
public:
    DiskCopier(int target, const ChainSource& source, const CopyScan& scan, const CopyForm& form, const CopyControl& control)
        : target_(target),
          source_(source),
          scan_(scan),
          backing_(form.backing),
          thick_(form.provisioning == Provisioning::thick),
          share_(form.way == CopyWay::share_blocks),
          control_(control),
          map_(source),
          reader_(source),
          tables_(scan.regions_with_tables(form.provisioning)) {}

    Result<void> run(const Qcow2Layout& layout) {
        layout_ = layout;
        total_ = layout.metadata_bytes() + scan_.data_clusters() * kClusterBytes;
        TRY(write_qcow2_frame(target_, layout, backing_, tables_));
        if (share_) { TRY_ASSIGN(alignment_, share_alignment(target_)); }
        TRY(make_room());
        crash_point("storage.copy-room-made");
        if (!share_) direct_target_ = reopen_direct(target_, O_RDWR);
        next_target_ = layout.data_at;
        work_side_by_side();
        if (error_) return std::unexpected(std::move(*error_));
        if (control_.stop.stop_requested()) return cancelled();
        if (control_.observer) control_.observer(CopyProgress{total_, total_});
        return {};
    }

private:
    // Room first: a full disk is found before the first byte, and blocks that exist are written side by side.
    Result<void> make_room() const {
        const std::int64_t from = thick_ ? 0 : layout_.data_at;
        const std::int64_t bytes = layout_.file_bytes - from;
        if (share_ || bytes == 0 || ::fallocate(target_, 0, from, bytes) == 0) return {};
        if (errno != EOPNOTSUPP && errno != ENOSYS) return io_error("making room for a copy", errno);
        if (!thick_) return {};
        const int failure = ::posix_fallocate(target_, from, bytes);
        return failure == 0 ? Result<void>{} : Result<void>(io_error("making room for a copy", failure));
    }

    // The caller's thread tells the observer, which may write to the database: no copying thread waits for that.
    void work_side_by_side() {
        const std::int64_t count = std::min(kCopyThreads, scan_.data_clusters() * kClusterBytes / kPieceBytes + 1);
        std::vector<std::jthread> threads;
        threads.reserve(static_cast<std::size_t>(count));
        working_ = count;
        for (std::int64_t i = 0; i < count; ++i) {
            threads.emplace_back([this] {
                // Callers' threads first, should there be too few processors.
                (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
                work();
                const std::lock_guard lock(report_mutex_);
                --working_;
                reported_.notify_one();
            });
        }
        tell_observer();
    }

    void tell_observer() {
        std::unique_lock lock(report_mutex_);
        for (std::int64_t told = 0; working_ > 0;) {
            reported_.wait(lock, [&] { return done_ != told || working_ == 0; });
            if (done_ == told) continue;
            told = done_;
            lock.unlock();
            if (control_.observer) control_.observer(CopyProgress{told, total_});
            lock.lock();
        }
    }

    void work() {
        const Buffer buffer(static_cast<std::byte*>(std::aligned_alloc(kPageBytes, static_cast<std::size_t>(kPieceBytes))));
        if (buffer == nullptr) return give_up(Error{ErrorCode::operation_failed, "there is no memory for a copy; try again", {}, nullptr, {}});
        for (;;) {
            if (control_.stop.stop_requested()) return;
            Result<std::optional<Work>> next = take();
            if (!next.has_value()) return give_up(std::move(next.error()));
            if (!next->has_value()) return;
            const auto& [region, span] = **next;
            Result<void> done = share_ ? share_span(*region, *span, buffer) : copy_span(*region, *span, buffer);
            if (!done.has_value()) return give_up(std::move(done.error()));
            report(span->bytes);
        }
    }

    void give_up(Error error) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::move(error);
    }

    // The next span; nothing when all are taken or another thread failed. Tables are read by one thread at a time.
    Result<std::optional<Work>> take() {
        const std::lock_guard lock(mutex_);
        while (!error_) {
            if (region_ != nullptr && next_span_ < region_->spans.size()) return Work{region_, &region_->spans[next_span_++]};
            if (next_table_ == tables_.size()) break;
            TRY_ASSIGN(RegionWork work, load_region(static_cast<std::int64_t>(next_table_)));
            ++next_table_;
            region_ = std::make_shared<const RegionWork>(std::move(work));
            next_span_ = 0;
        }
        return std::optional<Work>{};
    }

    Result<RegionWork> load_region(std::int64_t table) {
        const std::int64_t index = tables_[static_cast<std::size_t>(table)];
        const std::int64_t begin = index * kRegionBytes;
        RegionWork work;
        std::vector<std::int64_t> entries(static_cast<std::size_t>(kTableClusters));
        if (thick_) {  // every cluster has its place, whether there is anything to copy or not
            const std::int64_t clusters = (std::min(layout_.size_bytes, begin + kRegionBytes) - begin + kClusterBytes - 1) / kClusterBytes;
            for (std::int64_t i = 0; i < clusters; ++i) entries[static_cast<std::size_t>(i)] = layout_.data_at + begin + i * kClusterBytes;
        }
        const CopyScan::Region* region = scan_.region(index);
        if (region != nullptr) {
            for (std::size_t i = 0; i < entries.size(); ++i) {
                if (!region->allocated[i]) {
                    if (region->zeros[i]) entries[i] = kReadsAsZeros;
                    continue;
                }
                if (!thick_) {
                    entries[i] = next_target_;
                    next_target_ += kClusterBytes;
                }
                append(work.spans, begin + static_cast<std::int64_t>(i) * kClusterBytes, entries[i]);
            }
            TRY_ASSIGN(work.pieces, map_.pieces(begin, std::min(begin + kRegionBytes, scan_.size_bytes())));
        }
        TRY(write_qcow2_table(target_, layout_, table, entries));
        return work;
    }

    void append(std::vector<Span>& spans, std::int64_t guest, std::int64_t target) const {
        const std::int64_t limit = share_ ? kShareBytes : kPieceBytes;
        if (spans.empty() || spans.back().target + spans.back().bytes != target || spans.back().bytes == limit) spans.push_back({target, 0, {}});
        Span& span = spans.back();
        if (span.runs.empty() || span.runs.back().guest + span.runs.back().bytes != guest) span.runs.push_back({guest, 0, target});
        span.runs.back().bytes += kClusterBytes;
        span.bytes += kClusterBytes;
    }

    // Calls `each` with every part of the run that a piece has data for; all else is zeros.
    template <class Each>
    static Result<void> for_parts(const RegionWork& region, const Run& run, const Each& each) {
        auto piece = std::ranges::upper_bound(region.pieces, run.guest, {}, [](const Piece& one) { return one.guest + one.bytes; });
        for (; piece != region.pieces.end() && piece->guest < run.guest + run.bytes; ++piece) {
            if (piece->holds != Holds::data) continue;
            const std::int64_t from = std::max(piece->guest, run.guest);
            const std::int64_t to = std::min(piece->guest + piece->bytes, run.guest + run.bytes);
            TRY(each(*piece, from, to));
        }
        return {};
    }

    Result<void> copy_span(const RegionWork& region, const Span& span, const Buffer& buffer) {
        if (control_.throttle != nullptr && !control_.throttle->acquire(span.bytes, control_.stop)) return cancelled();
        const CopyTurn turn(control_.stop);
        const std::span<std::byte> all(buffer.get(), static_cast<std::size_t>(span.bytes));
        for (const Run& run : span.runs) {
            const std::span<std::byte> into = all.subspan(static_cast<std::size_t>(run.target - span.target), static_cast<std::size_t>(run.bytes));
            std::int64_t filled = run.guest;
            const auto zeros_until = [&](std::int64_t guest) {
                std::memset(into.data() + (filled - run.guest), 0, static_cast<std::size_t>(guest - filled));
            };
            TRY(for_parts(region, run, [&](const Piece& piece, std::int64_t from, std::int64_t to) -> Result<void> {
                zeros_until(from);
                filled = to;
                return reader_.read(piece.layer, piece.host + (from - piece.guest),
                                    into.subspan(static_cast<std::size_t>(from - run.guest), static_cast<std::size_t>(to - from)));
            }));
            zeros_until(run.guest + run.bytes);
        }
        return write_all(direct_target_.valid() ? direct_target_.get() : target_, all, span.target);
    }

    Result<void> share_span(const RegionWork& region, const Span& span, const Buffer& buffer) {
        for (const Run& run : span.runs) {
            TRY(for_parts(region, run, [&](const Piece& piece, std::int64_t from, std::int64_t to) -> Result<void> {
                if (control_.stop.stop_requested()) return cancelled();
                return share_part(piece, from, to, run.target + (from - run.guest), buffer);
            }));
        }
        return {};
    }

    // A last piece that ends inside a block is written; there is at most one such block per layer.
    Result<void> share_part(const Piece& piece, std::int64_t from, std::int64_t to, std::int64_t target, const Buffer& buffer) {
        const OpenLayer& layer = source_.layers[piece.layer];
        const std::int64_t host = piece.host + (from - piece.guest);
        const std::int64_t in_file = std::clamp<std::int64_t>(layer.file_bytes - host, 0, to - from);
        const std::int64_t whole = in_file / alignment_ * alignment_;
        if (whole > 0) {
            const file_clone_range range{layer.file.get(), static_cast<std::uint64_t>(host), static_cast<std::uint64_t>(whole),
                                         static_cast<std::uint64_t>(target)};
            if (::ioctl(target_, FICLONERANGE, &range) != 0) return io_error("sharing the blocks of a layer", errno);
        }
        if (whole == in_file) return {};
        const std::span<std::byte> rest(buffer.get(), static_cast<std::size_t>(in_file - whole));
        TRY(reader_.read(piece.layer, host + whole, rest));
        return write_all(target_, rest, target + whole);
    }

    void report(std::int64_t bytes) {
        const std::lock_guard lock(report_mutex_);
        done_ += bytes;
        reported_.notify_one();
    }

    const int target_;
    const ChainSource& source_;
    const CopyScan& scan_;
    const std::optional<Qcow2Backing>& backing_;
    const bool thick_;
    const bool share_;
    const CopyControl& control_;
    Qcow2Layout layout_;
    std::int64_t alignment_ = 1;
    UniqueFd direct_target_;

    std::mutex mutex_;  // guards what follows, up to the blank line
    ChainMap map_;
    LayerReader reader_;                // itself free of state that changes
    std::vector<std::int64_t> tables_;  // the region of each L2 table
    std::size_t next_table_ = 0;
    std::int64_t next_target_ = 0;
    std::shared_ptr<const RegionWork> region_;
    std::size_t next_span_ = 0;
    std::optional<Error> error_;

    std::mutex report_mutex_;  // guards what follows
    std::condition_variable reported_;
    std::int64_t working_ = 0;  // threads
    std::int64_t done_ = 0;     // bytes
    std::int64_t total_ = 0;
};

}  // namespace

Result<void> write_empty(int target, std::int64_t size_bytes, Provisioning provisioning) {
    if (provisioning == Provisioning::thin) return write_qcow2(target, size_bytes, std::nullopt);
    const ChainSource nothing;
    TRY_ASSIGN(const CopyScan scan, CopyScan::make(nothing, size_bytes, {}));
    return copy_disk(target, nothing, scan, {provisioning}, {CopyObserver{}, {}, nullptr});
}

Result<std::int64_t> share_alignment(int target) {
    struct stat status{};
    if (::fstat(target, &status) != 0) return io_error("looking at a new file", errno);
    return std::clamp<std::int64_t>(status.st_blksize, static_cast<std::int64_t>(kPageBytes), kClusterBytes);
}

Result<void> copy_disk(int target, const ChainSource& source, const CopyScan& scan, const CopyForm& form, const CopyControl& control) {
    if (control.stop.stop_requested()) return cancelled();
    if (scan.has_compressed()) return fail(ErrorCode::internal, "a disk with compressed clusters was to be copied without qemu-img");
    TRY_ASSIGN(const Qcow2Layout layout, scan.layout(form.provisioning));
    return DiskCopier(target, source, scan, form, control).run(layout);
}

}  // namespace ramet::storage
