#include "storage/dir/partial_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>

#include "base/crash_point.hpp"
#include "telemetry/log.hpp"

namespace ramet::storage {

namespace {

constexpr int kBeginAttempts = 8;  // a neighbour's removal may prune a directory between making and using it

}  // namespace

Result<PartialFile> PartialFile::begin(int root, const std::string& path, const std::optional<FileOwner>& owner) {
    const SplitPath split = split_path(path);
    const std::string partial = split.name + std::string(kPartialSuffix);
    for (int attempt = 1;; ++attempt) {
        Result<DirectoryPath> place = make_directories(root, split.directory);
        int error_number = ENOENT;
        if (place.has_value()) {
            ::unlinkat(place->directory.get(), partial.c_str(), 0);
            UniqueFd file(::openat(place->directory.get(), partial.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
            error_number = errno;
            if (file.valid()) {
                PartialFile made(root, path, std::move(*place), std::move(file));
                if (owner && ::fchown(made.fd(), owner->uid, owner->gid) != 0) return io_error("giving a new file to its user", errno, path);
                return made;
            }
        }
        if (attempt < kBeginAttempts && error_number == ENOENT) continue;
        if (!place.has_value()) return std::unexpected<Error>(std::move(place.error()));
        return io_error("making a file on the storage", error_number, path);
    }
}

PartialFile::PartialFile(int root, const std::string& path, DirectoryPath place, UniqueFd file)
    : root_(root),
      partial_path_(path + std::string(kPartialSuffix)),
      place_(std::move(place)),
      file_(std::move(file)) {
    SplitPath split = split_path(path);
    directory_path_ = std::move(split.directory);
    name_ = std::move(split.name);
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : root_(other.root_),
      directory_path_(std::move(other.directory_path_)),
      name_(std::move(other.name_)),
      partial_path_(std::move(other.partial_path_)),
      place_(std::move(other.place_)),
      file_(std::move(other.file_)),
      pending_(std::exchange(other.pending_, false)) {}

PartialFile::~PartialFile() {
    if (!pending_) return;
    ::unlinkat(place_.directory.get(), (name_ + std::string(kPartialSuffix)).c_str(), 0);
    if (const Result<void> pruned = prune_directories(root_, directory_path_); !pruned.has_value()) {
        telemetry::log_warning("an unfinished file was removed, its directory was not: {}", pruned.error().detail);
    }
}

Result<void> PartialFile::publish() {
    TRY(sync_file(file_.get()));
    crash_point("storage.partial-whole");
    const std::string partial = name_ + std::string(kPartialSuffix);
    if (::renameat(place_.directory.get(), partial.c_str(), place_.directory.get(), name_.c_str()) != 0) {
        return io_error("publishing a file on the storage", errno, name_);
    }
    pending_ = false;
    crash_point("storage.renamed");
    TRY(sync_directory(place_.directory.get()));
    for (auto changed = place_.changed.rbegin(); changed != place_.changed.rend(); ++changed) TRY(sync_directory(changed->get()));
    return {};
}

}  // namespace ramet::storage
