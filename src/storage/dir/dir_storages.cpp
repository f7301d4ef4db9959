#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "storage/dir/dir_storage.hpp"

namespace ramet::storage {

namespace {

constexpr std::size_t kRootCharactersMax = 700;  // a backing path may have 1023 bytes; our own part below the root stays under 300

std::unexpected<Error> unusable(const std::string& why, const std::string& root) {
    return fail(ErrorCode::invalid_argument, "the storage's directory cannot be used: " + why, root);
}

std::string reason(int error_number) {
    const char* text = ::strerrordesc_np(error_number);
    return text != nullptr ? text : "error " + std::to_string(error_number);
}

Result<void> make_missing(const std::string& root) {
    for (std::size_t end = 1; end <= root.size(); ++end) {
        if (end < root.size() && root[end] != '/') continue;
        const std::string prefix = root.substr(0, end);
        if (::mkdir(prefix.c_str(), 0711) == 0) {
            if (::chmod(prefix.c_str(), 0711) != 0) return unusable(reason(errno), root);
        } else if (errno != EEXIST && (errno != EROFS || ::access(prefix.c_str(), F_OK) != 0)) {
            return unusable("it cannot be made (" + reason(errno) + "); make it yourself or choose another", root);
        }
    }
    return {};
}

bool is_kernel_file_system(int fd) {
    struct statfs system{};
    if (::fstatfs(fd, &system) != 0) return true;
    constexpr std::array<std::uint32_t, 4> kinds{PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC};
    return std::find(kinds.begin(), kinds.end(), static_cast<std::uint32_t>(system.f_type)) != kinds.end();
}

// QEMU needs no way to the directory: it gets the directory itself, open.
Result<void> check_usable(const std::string& root, int fd) {
    if (is_kernel_file_system(fd)) return unusable("it belongs to the kernel's own file systems; choose another", root);
    if (root.size() > kRootCharactersMax) return unusable("its name is longer than 700 characters; choose a shorter one", root);
    // A nameless file shows better than permission bits that the directory can be written.
    const UniqueFd probe(::openat(fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!probe.valid() && errno != EOPNOTSUPP && errno != EISDIR) return unusable("it cannot be written (" + reason(errno) + ")", root);
    if (!probe.valid() && ::faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) return unusable("it cannot be written (" + reason(errno) + ")", root);
    return {};
}

}  // namespace

Result<std::shared_ptr<PrimaryStorage>> DirStorages::open(const std::string& root) {
    if (root.empty() || root.front() != '/') return unusable("its name must be absolute, such as /var/lib/ramet/primary", root);
    if (std::any_of(root.begin(), root.end(), [](char character) { return static_cast<unsigned char>(character) < ' '; })) {
        return unusable("its name has control characters; choose another", root);
    }
    TRY(make_missing(root));
    const std::unique_ptr<char, decltype(&std::free)> canonical(::realpath(root.c_str(), nullptr), &std::free);
    if (canonical == nullptr) return unusable(reason(errno), root);
    const std::string name = canonical.get();
    if (name == "/") return unusable("it is the root of the whole system; choose a directory of its own", root);
    const std::lock_guard lock(mutex_);
    UniqueFd fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status{};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return unusable(reason(errno), name);
    const auto known = open_.find(name);
    // Another directory under the same name, made anew or mounted over, is another storage.
    if (known != open_.end() && known->second.device == status.st_dev && known->second.inode == status.st_ino) return known->second.storage;
    TRY(check_usable(name, fd.get()));
    auto storage = std::make_shared<DirStorage>(name, std::move(fd), owner_);
    open_[name] = {storage, status.st_dev, status.st_ino};
    return std::shared_ptr<PrimaryStorage>(std::move(storage));
}

}  // namespace ramet::storage
