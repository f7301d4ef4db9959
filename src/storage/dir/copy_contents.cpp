#include "storage/dir/copy_contents.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <vector>

#include "storage/file.hpp"

namespace ramet::storage {

namespace {

constexpr std::int64_t kPieceBytes = 8 << 20;  // of copy_file_range: a cancel is seen between two pieces
constexpr std::size_t kBufferBytes = 1 << 20;

std::unexpected<Error> cancelled() { return fail(ErrorCode::cancelled, "the copy was cancelled"); }

struct Range {
    std::int64_t begin;
    std::int64_t end;
};

class Copier {
public:
    Copier(int source, int target, std::int64_t total, const CopyObserver& observer, const std::stop_token& stop)
        : source_(source),
          target_(target),
          total_(total),
          observer_(observer),
          stop_(stop) {}

    Result<void> run() {
        for (std::int64_t at = 0; at < total_;) {
            TRY_ASSIGN(const Range data, next_data(at));
            TRY(copy(data));
            at = std::max(data.end, at + 1);
            report(data.end);
        }
        if (::ftruncate(target_, total_) != 0) return io_error("sizing the copy", errno);
        return {};
    }

private:
    Result<Range> next_data(std::int64_t at) const {
        const off_t begin = ::lseek(source_, at, SEEK_DATA);
        if (begin < 0 && errno == ENXIO) return Range{total_, total_};  // nothing but a hole until the end
        if (begin < 0 && errno == EINVAL) return Range{at, total_};     // the file system does not know holes
        if (begin < 0) return io_error("looking for data to copy", errno);
        const off_t end = ::lseek(source_, begin, SEEK_HOLE);
        if (end < 0) return io_error("looking for holes to skip", errno);
        return Range{std::min<std::int64_t>(begin, total_), std::min<std::int64_t>(end, total_)};
    }

    Result<void> copy(Range range) {
        while (range.begin < range.end) {
            if (stop_.stop_requested()) return cancelled();
            std::int64_t done = 0;
            if (in_kernel_) {
                off_t from = range.begin;
                off_t to = range.begin;
                done = ::copy_file_range(source_, &from, target_, &to, static_cast<std::size_t>(std::min(kPieceBytes, range.end - range.begin)), 0);
                if (done < 0 && errno == EINTR) continue;
                if (done < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)) return io_error("copying a file", errno);
                if (done <= 0) in_kernel_ = false;  // other file systems, or one that cannot: by hand
            }
            if (!in_kernel_) { TRY_ASSIGN(done, copy_by_hand(range)); }
            range.begin += done;
            report(range.begin);
        }
        return {};
    }

    Result<std::int64_t> copy_by_hand(Range range) {
        buffer_.resize(kBufferBytes);
        const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(range.end - range.begin, static_cast<std::int64_t>(kBufferBytes)));
        TRY_ASSIGN(const std::size_t got, read_at(source_, std::span(buffer_).first(wanted), range.begin));
        if (got == 0) return fail(ErrorCode::operation_failed, "the file became shorter while it was copied; do not change it meanwhile");
        TRY(write_all(target_, std::span(buffer_).first(got), range.begin));
        return static_cast<std::int64_t>(got);
    }

    void report(std::int64_t done) const {
        if (observer_) observer_(CopyProgress{done, total_});
    }

    int source_;
    int target_;
    std::int64_t total_;
    const CopyObserver& observer_;
    const std::stop_token& stop_;
    bool in_kernel_ = true;
    std::vector<std::byte> buffer_;
};

bool same_contents_time(const struct stat& a, const struct stat& b) {
    return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

Result<void> copy_contents(int source, int target, const CopyObserver& observer, const std::stop_token& stop) {
    if (stop.stop_requested()) return cancelled();
    // Extent maps of some file systems leave out what is only in the page cache; a copy made by them would hold zeros there.
    if (::fdatasync(source) != 0 && errno != EINVAL && errno != EROFS) return io_error("bringing the source of a copy to disk", errno);
    struct stat before{};
    if (::fstat(source, &before) != 0) return io_error("looking at the source of a copy", errno);
    if (::ioctl(target, FICLONE, source) == 0) {
        if (observer) observer(CopyProgress{before.st_size, before.st_size});
    } else if (errno == ENOSPC || errno == EDQUOT) {
        return io_error("sharing the blocks of a file", errno);
    } else {  // whatever the reason, an ordinary copy is right too
        TRY(Copier(source, target, before.st_size, observer, stop).run());
    }
    struct stat after{};
    if (::fstat(source, &after) != 0) return io_error("looking at the source of a copy", errno);
    if (!same_contents_time(before, after))
        return fail(ErrorCode::operation_failed, "the file was changed while it was copied; do not change it meanwhile");
    return {};
}

}  // namespace ramet::storage
