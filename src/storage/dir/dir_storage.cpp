#include "storage/dir/dir_storage.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

#include "base/disk_precedence.hpp"
#include "storage/dir/copy_contents.hpp"
#include "storage/dir/disk_copier.hpp"
#include "storage/dir/image_tool.hpp"
#include "storage/dir/merge_layers.hpp"
#include "storage/qcow2_header.hpp"
#include "storage/qcow2_writer.hpp"

namespace ramet::storage {

namespace {

constexpr mode_t kSealedMode = 0444;
constexpr mode_t kOpenMode = 0600;
constexpr std::size_t kDepthMax = 16;  // of directories below the root; ours have four

// Some file systems have no flags (ENOTTY, EOPNOTSUPP), and without privileges they cannot be set (EPERM): the mode must do then.
bool flags_unavailable(int error_number) {
    return error_number == ENOTTY || error_number == EOPNOTSUPP || error_number == EPERM || error_number == ENOSYS || error_number == EINVAL ||
           error_number == EACCES;
}

enum class Immutable : std::uint8_t { no, yes };

Result<void> set_immutable(int fd, Immutable wanted) {
    int flags = 0;
    if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
        return flags_unavailable(errno) ? Result<void>{} : Result<void>(io_error("reading a file's flags", errno));
    const int changed = wanted == Immutable::yes ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    if (changed == flags || ::ioctl(fd, FS_IOC_SETFLAGS, &changed) == 0 || flags_unavailable(errno)) return {};
    return io_error("protecting a file", errno);
}

bool is_immutable(int fd) {
    int flags = 0;
    return ::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL) != 0;
}

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

struct Entry {
    std::string name;
    struct stat status;
};

Result<std::vector<Entry>> entries_of(UniqueFd directory) {
    const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(directory.get()));
    if (stream == nullptr) return io_error("listing the storage", errno);
    directory.release();
    std::vector<Entry> entries;
    errno = 0;
    while (const dirent* found = ::readdir(stream.get())) {
        Entry entry{found->d_name, {}};
        if (entry.name == "." || entry.name == "..") continue;
        if (::fstatat(::dirfd(stream.get()), found->d_name, &entry.status, AT_SYMLINK_NOFOLLOW) == 0) entries.push_back(std::move(entry));
        errno = 0;  // an entry that vanished meanwhile is no error
    }
    if (errno != 0) return io_error("listing the storage", errno);
    return entries;
}

std::int64_t allocated(const struct stat& status) { return static_cast<std::int64_t>(status.st_blocks) * 512; }

}  // namespace

DirStorage::DirStorage(std::string root, UniqueFd root_fd, std::optional<FileOwner> owner)
    : root_(std::move(root)),
      root_fd_(std::move(root_fd)),
      owner_(owner) {}

Result<Capacity> DirStorage::capacity() {
    struct statvfs system{};
    if (::fstatvfs(root_fd_.get(), &system) != 0) return io_error("measuring the storage", errno, root_);
    const auto block = static_cast<std::int64_t>(system.f_frsize);
    return Capacity{static_cast<std::int64_t>(system.f_blocks) * block, static_cast<std::int64_t>(system.f_bavail) * block};
}

Result<void> DirStorage::check_new_path(const std::string& path) const {
    TRY(check_relative_path(path));
    if (path.ends_with(kPartialSuffix)) return fail(ErrorCode::invalid_argument, "names ending in .partial are the storage's own", path);
    return {};
}

Result<void> DirStorage::create_empty(const std::string& path, std::int64_t size_bytes, Provisioning provisioning) {
    TRY(check_new_path(path));
    TRY_ASSIGN(const bool there, exists(path));
    if (there) return {};
    TRY_ASSIGN(PartialFile file, PartialFile::begin(root_fd_.get(), path, owner_));
    TRY(write_empty(file.fd(), size_bytes, provisioning));
    return file.publish();
}

Result<void> DirStorage::create_overlay(const std::string& path, const Place& backing, std::int64_t size_bytes) {
    TRY(check_new_path(path));
    TRY(check_relative_path(backing.path));
    const Qcow2Backing below{backing.root + "/" + backing.path, backing.format};
    TRY_ASSIGN(const std::optional<FoundOverlay> there, find_overlay(path));
    if (there && there->backing == below.absolute_path) return {};
    const UrgentDiskUse urgent;
    struct stat status{};
    if (::lstat(below.absolute_path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(ErrorCode::operation_failed, "the layer that the new disk builds on is not there", below.absolute_path);
    }
    TRY_ASSIGN(PartialFile file, PartialFile::begin(root_fd_.get(), path, owner_));
    TRY(write_qcow2(file.fd(), size_bytes, below));
    if (there) {
        if (::fstat(file.fd(), &status) != 0) return io_error("looking at a new disk", errno, path);
        if (there->file_bytes > status.st_size)
            return fail(ErrorCode::operation_failed, "there is a disk with data already where a new one is to be",
                        path + " stands on " + there->backing);
    }
    return file.publish();
}

Result<std::optional<DirStorage::FoundOverlay>> DirStorage::find_overlay(const std::string& path) {
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_RDONLY | O_NONBLOCK));
    if (!file.valid()) return std::optional<FoundOverlay>();
    TRY_ASSIGN(FoundOverlay found, look_at_overlay(file.get(), path));
    return std::optional(std::move(found));
}

Result<DirStorage::FoundOverlay> DirStorage::look_at_overlay(int file, const std::string& path) {
    struct stat status{};
    if (::fstat(file, &status) != 0) return io_error("looking at a disk", errno, path);
    TRY_ASSIGN(const Qcow2Header header, read_qcow2_header(file, status.st_size));
    TRY(check_qcow2_layer(header, status.st_size));
    TRY_ASSIGN(std::string name, read_backing_name(file, header));
    return FoundOverlay{std::move(name), status.st_size};
}

Result<void> DirStorage::set_backing(const std::string& path, const std::optional<Place>& backing) {
    TRY(check_relative_path(path));
    if (backing) TRY(check_relative_path(backing->path));
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_RDONLY | O_NONBLOCK));  // it may be sealed, and right as it is
    if (!file.valid()) return fail(ErrorCode::operation_failed, "the disk is not there", path);
    TRY_ASSIGN(const FoundOverlay present, look_at_overlay(file.get(), path));
    const std::string wanted = backing ? backing->root + "/" + backing->path : "";
    if (present.backing == wanted) return {};
    ToolRun run;
    run.arguments = {"rebase", "-u", "-f", "qcow2", "-b", wanted};
    if (backing) run.arguments.insert(run.arguments.end(), {"-F", std::string(name_of(backing->format))});
    run.arguments.push_back(inherited_name(0));
    run.inherit = {file.get()};
    run.run_as = owner_;
    return run_image_tool(run, {});
}

Result<void> DirStorage::merge_layers(const MergeSpec& spec, const CopyObserver& observer, std::stop_token stop) {
    TRY(check_new_path(spec.path));
    TRY(check_relative_path(spec.base.path));
    for (const Place& layer : spec.upper_top_first) TRY(check_relative_path(layer.path));
    TRY_ASSIGN(const bool there, exists(spec.path));
    if (there) return {};
    TRY_ASSIGN(PartialFile file, PartialFile::begin(root_fd_.get(), spec.path, owner_));
    TRY(write_merged_layer(root_fd_.get(), file.fd(), spec, observer, stop));
    return file.publish();
}

Result<void> DirStorage::import_file(const std::string& absolute_source, const std::string& path, const CopyObserver& observer,
                                     std::stop_token stop) {
    TRY(check_new_path(path));
    TRY_ASSIGN(const bool there, exists(path));
    if (there) return {};
    const UniqueFd source(::open(absolute_source.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!source.valid()) return io_error("opening the file to bring in", errno, absolute_source);
    struct stat status{};
    if (::fstat(source.get(), &status) != 0) return io_error("looking at the file to bring in", errno, absolute_source);
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::operation_failed, "what is to be brought in is not an ordinary file", absolute_source);
    TRY_ASSIGN(PartialFile file, PartialFile::begin(root_fd_.get(), path, owner_));
    TRY(copy_contents(source.get(), file.fd(), observer, stop));
    return file.publish();
}

Result<void> DirStorage::seal(const std::string& path) {
    TRY(check_relative_path(path));
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_RDONLY | O_NONBLOCK));
    if (!file.valid()) return fail(ErrorCode::operation_failed, "the file to protect is not there", path);
    if (is_immutable(file.get())) return {};  // nothing more can be changed on it
    if (::fchmod(file.get(), kSealedMode) != 0) return io_error("protecting a file", errno, path);
    return set_immutable(file.get(), Immutable::yes);
}

Result<void> DirStorage::unseal(const std::string& path) {
    TRY(check_relative_path(path));
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_RDONLY | O_NONBLOCK));
    if (!file.valid()) return fail(ErrorCode::operation_failed, "the file to open for writing is not there", path);
    TRY(set_immutable(file.get(), Immutable::no));
    if (::fchmod(file.get(), kOpenMode) != 0) return io_error("opening a file for writing", errno, path);
    return {};
}

Result<void> DirStorage::remove_name(const std::string& path) {
    const SplitPath split = split_path(path);
    TRY_ASSIGN(const UniqueFd directory, open_beneath(root_fd_.get(), split.directory, O_RDONLY | O_DIRECTORY));
    if (!directory.valid() || ::unlinkat(directory.get(), split.name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno == EISDIR) return {};  // never made by us: our file is not there
    if (errno != EPERM) return io_error("removing a file of the storage", errno, path);
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_RDONLY | O_NONBLOCK));  // EPERM: sealed, most likely
    if (file.valid()) TRY(set_immutable(file.get(), Immutable::no));
    if (::unlinkat(directory.get(), split.name.c_str(), 0) != 0 && errno != ENOENT) return io_error("removing a file of the storage", errno, path);
    return {};
}

Result<void> DirStorage::remove(const std::string& path) {
    TRY(check_relative_path(path));
    TRY(remove_name(path));
    if (!path.ends_with(kPartialSuffix)) TRY(remove_name(path + std::string(kPartialSuffix)));
    return prune_directories(root_fd_.get(), split_path(path).directory);
}

Result<void> DirStorage::move(const std::string& from, const std::string& to) {
    TRY(check_relative_path(from));
    TRY(check_relative_path(to));
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), from, O_RDONLY | O_NONBLOCK));
    if (!file.valid()) {
        TRY_ASSIGN(const bool done, exists(to));
        if (done) return {};
        return fail(ErrorCode::not_found, "the file to be moved is not there", from);
    }
    TRY(set_immutable(file.get(), Immutable::no));
    const SplitPath source = split_path(from);
    const SplitPath target = split_path(to);
    TRY_ASSIGN(const UniqueFd directory, open_beneath(root_fd_.get(), source.directory, O_RDONLY | O_DIRECTORY));
    TRY_ASSIGN(const DirectoryPath place, make_directories(root_fd_.get(), target.directory));
    if (::renameat2(directory.get(), source.name.c_str(), place.directory.get(), target.name.c_str(), RENAME_NOREPLACE) != 0)
        return io_error("moving a file of the storage", errno, from + " to " + to);
    TRY(sync_directory(place.directory.get()));
    for (auto changed = place.changed.rbegin(); changed != place.changed.rend(); ++changed) TRY(sync_directory(changed->get()));
    return prune_directories(root_fd_.get(), source.directory);
}

Result<std::int64_t> DirStorage::allocated_bytes(const std::string& path) {
    TRY(check_relative_path(path));
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_PATH));
    if (!file.valid()) return 0;
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return io_error("measuring a file of the storage", errno, path);
    return S_ISREG(status.st_mode) ? allocated(status) : 0;
}

Result<bool> DirStorage::exists(const std::string& path) {
    TRY(check_relative_path(path));
    TRY_ASSIGN(const UniqueFd file, open_beneath(root_fd_.get(), path, O_PATH));
    if (!file.valid()) return false;
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return io_error("looking for a file of the storage", errno, path);
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::operation_failed, "something that is no file has the name of a disk", path);
    return true;
}

Result<std::vector<StoredFile>> DirStorage::list() {
    std::vector<StoredFile> files;
    struct Pending {
        std::string path;
        std::size_t depth;
    };
    std::vector<Pending> pending{{".", 0}};
    while (!pending.empty()) {
        const Pending here = std::move(pending.back());
        pending.pop_back();
        TRY_ASSIGN(UniqueFd directory, open_beneath(root_fd_.get(), here.path, O_RDONLY | O_DIRECTORY));
        if (!directory.valid()) continue;  // removed meanwhile
        TRY_ASSIGN(const std::vector<Entry> entries, entries_of(std::move(directory)));
        for (const Entry& entry : entries) {
            const std::string path = here.path == "." ? entry.name : here.path + "/" + entry.name;
            if (S_ISREG(entry.status.st_mode)) files.push_back({path, allocated(entry.status), path.ends_with(kPartialSuffix)});
            const bool is_mkfs_folder = here.depth == 0 && entry.name == "lost+found";
            if (S_ISDIR(entry.status.st_mode) && here.depth < kDepthMax && !is_mkfs_folder) pending.push_back({path, here.depth + 1});
        }
    }
    return files;
}

}  // namespace ramet::storage
