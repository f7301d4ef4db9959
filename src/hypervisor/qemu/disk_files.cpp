#include "hypervisor/qemu/disk_files.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace ramet::hypervisor {
namespace {

std::unexpected<Error> unusable(const std::string& what, const std::string& path) {
    return fail(ErrorCode::operation_failed, what, path + ": " + std::strerror(errno));
}

// Beneath the storage's root, through no symlink: the path comes from a database, the directory may be shared.
Result<Fd> open_beneath(const storage::Place& place, std::uint64_t flags) {
    const Fd root(::open(place.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return unusable("A primary storage is not there; check that it is mounted", place.root);
    struct open_how how{};
    how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const long number = ::syscall(SYS_openat2, root.get(), place.path.c_str(), &how, sizeof how);
    if (number < 0) return unusable("A volume's file cannot be opened; check that its primary storage is whole", place.root + "/" + place.path);
    Fd file(static_cast<int>(number));
    struct stat facts{};
    if (::fstat(file.get(), &facts) < 0 || !S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::operation_failed, "A volume's file is not a regular file", place.root + "/" + place.path);
    }
    return file;
}

}  // namespace

Result<Fd> open_layer_read_only(const storage::Place& place) { return open_beneath(place, O_RDONLY); }

Result<Fd> open_layer_handle(const storage::Place& place, const std::optional<User>& user) {
    TRY_ASSIGN(Fd file, open_beneath(place, O_PATH));
    struct stat facts{};
    if (user && ::fstat(file.get(), &facts) == 0 && facts.st_uid != user->uid) {
        if (::fchownat(file.get(), "", user->uid, user->gid, AT_EMPTY_PATH) < 0) {
            return unusable("A volume's top layer cannot be given to the user that runs QEMU", place.root + "/" + place.path);
        }
    }
    return file;
}

Result<Fd> open_seed(const std::string& absolute_path) {
    Fd file(::open(absolute_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat facts{};
    if (!file.valid() || ::fstat(file.get(), &facts) < 0 || !S_ISREG(facts.st_mode)) {
        return unusable("The VM's seed image cannot be opened", absolute_path);
    }
    return file;
}

namespace {

// A tap that was just made can still be busy: a process that another thread starts holds every file of this one until its execve.
bool attach_to_tap(int file, ifreq& request) {
    constexpr auto kPatience = std::chrono::seconds(2);
    constexpr auto kPause = std::chrono::milliseconds(1);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (::ioctl(file, TUNSETIFF, &request) < 0) {
        if (errno != EBUSY || std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(kPause);
    }
    return true;
}

}  // namespace

Result<std::vector<Fd>> open_tap(const std::string& name, std::int64_t queues) {
    struct ifreq request{};
    if (name.size() >= sizeof request.ifr_name) return fail(ErrorCode::invalid_argument, "A tap's name has at most 15 characters", name);
    std::memcpy(request.ifr_name, name.data(), name.size());
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
    std::vector<Fd> files;
    for (std::int64_t queue = 0; queue < queues; ++queue) {
        Fd file(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
        if (!file.valid()) return unusable("A network device cannot be opened; the server needs the rights to use /dev/net/tun", name);
        if (!attach_to_tap(file.get(), request)) return unusable("A VM's network device is not there or in use", name);
        files.push_back(std::move(file));
    }
    return files;
}

}  // namespace ramet::hypervisor
