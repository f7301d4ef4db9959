#include "storage/dir/beneath.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>

namespace ramet::storage {

namespace {

constexpr mode_t kDirectoryMode = 0711;
constexpr int kOpenAttempts = 16;  // EAGAIN: a rename elsewhere raced with the resolution

int openat2_beneath(int root, const char* path, int flags) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (int attempt = 1;; ++attempt) {
        const long fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || attempt == kOpenAttempts || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
    }
}

Result<UniqueFd> open_directory(int parent, const std::string& name) {
    UniqueFd fd(openat2_beneath(parent, name.c_str(), O_RDONLY | O_DIRECTORY));
    if (!fd.valid()) return io_error("opening a directory of the storage", errno, name);
    return fd;
}

}  // namespace

Result<void> check_relative_path(const std::string& path) {
    const auto bad = [&path](const char* why) { return fail(ErrorCode::invalid_argument, std::string("a path inside the storage ") + why, path); };
    if (path.empty()) return bad("is empty");
    if (path.size() >= PATH_MAX) return bad("is too long");
    if (std::any_of(path.begin(), path.end(), [](char character) { return static_cast<unsigned char>(character) < ' '; }))
        return bad("has control characters");
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        if (part.empty()) return bad("is absolute or has an empty part");
        if (part == "." || part == "..") return bad("may not step upwards");
        if (part.size() > NAME_MAX - kPartialSuffix.size()) return bad("has a part that is too long");
        begin = end + 1;
    }
    return {};
}

SplitPath split_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

Result<UniqueFd> open_beneath(int root, const std::string& path, int flags) {
    UniqueFd fd(openat2_beneath(root, path.c_str(), flags));
    if (!fd.valid() && errno != ENOENT && errno != ENOTDIR) return io_error("opening a file of the storage", errno, path);
    return fd;
}

Result<DirectoryPath> make_directories(int root, const std::string& directory) {
    DirectoryPath made;
    TRY_ASSIGN(made.directory, open_directory(root, "."));
    if (directory == ".") return made;
    for (std::size_t begin = 0; begin <= directory.size();) {
        const std::size_t end = std::min(directory.find('/', begin), directory.size());
        const std::string part = directory.substr(begin, end - begin);
        const bool is_new = ::mkdirat(made.directory.get(), part.c_str(), kDirectoryMode) == 0;
        if (!is_new && errno != EEXIST) return io_error("making a directory of the storage", errno, directory);
        // The process's umask may have taken bits away that the QEMU user needs.
        if (is_new && ::fchmodat(made.directory.get(), part.c_str(), kDirectoryMode, 0) != 0)
            return io_error("opening a directory to its users", errno, directory);
        TRY_ASSIGN(UniqueFd next, open_directory(made.directory.get(), part));
        if (is_new) made.changed.push_back(std::move(made.directory));
        made.directory = std::move(next);
        begin = end + 1;
    }
    return made;
}

Result<void> prune_directories(int root, std::string directory) {
    while (directory != ".") {
        const SplitPath split = split_path(directory);
        TRY_ASSIGN(const UniqueFd parent, open_beneath(root, split.directory, O_RDONLY | O_DIRECTORY));
        // Absent parent or entry: another removal got there first.
        if (parent.valid() && ::unlinkat(parent.get(), split.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
            if (errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY)
                return io_error("removing an empty directory of the storage", errno, directory);
            break;
        }
        directory = split.directory;
    }
    TRY_ASSIGN(const UniqueFd stays, open_beneath(root, directory, O_RDONLY | O_DIRECTORY));
    return stays.valid() ? sync_directory(stays.get()) : Result<void>{};
}

}  // namespace ramet::storage
