#include "hypervisor/qemu/firmware.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "hypervisor/qemu/disk_files.hpp"

namespace ramet::hypervisor {
namespace {

std::unexpected<Error> unusable(const std::string& path) {
    return fail(ErrorCode::operation_failed, "The VM's firmware variables cannot be used; check the data directory's disk",
                path + ": " + std::strerror(errno));
}

Result<void> copy_file(const std::string& from, const std::string& to) {
    const Fd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source.valid()) return unusable(from);
    const std::string partial = to + ".partial";
    const Fd target(::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!target.valid()) return unusable(partial);
    std::array<char, 64 * 1024> part;
    while (true) {
        const ssize_t count = ::read(source.get(), part.data(), part.size());
        if (count < 0) return unusable(from);
        if (count == 0) break;
        if (::write(target.get(), part.data(), static_cast<std::size_t>(count)) != count) return unusable(partial);
    }
    if (::fsync(target.get()) < 0 || ::rename(partial.c_str(), to.c_str()) < 0) return unusable(to);
    return {};
}

}  // namespace

std::string uefi_missing(const FirmwareFiles& files) {
    for (const std::string& file : {files.code, files.vars_template}) {
        if (::access(file.c_str(), R_OK) != 0) return "UEFI firmware is not installed on this host; install it with: apt-get install ovmf";
    }
    return {};
}

Result<OpenedFirmware> open_firmware(const FirmwareFiles& files, const std::string& vars_path, const std::optional<User>& user) {
    if (const std::string missing = uefi_missing(files); !missing.empty()) return fail(ErrorCode::start_failed, missing);
    OpenedFirmware opened;
    opened.code = Fd(::open(files.code.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened.code.valid()) return unusable(files.code);
    const std::size_t slash = vars_path.rfind('/');
    const std::string directory = vars_path.substr(0, slash);
    if (::mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST) return unusable(directory);
    if (::access(vars_path.c_str(), F_OK) != 0) TRY(copy_file(files.vars_template, vars_path));
    TRY_ASSIGN(opened.vars, open_layer_handle({directory, vars_path.substr(slash + 1), DiskFormat::raw}, user));
    return opened;
}

}  // namespace ramet::hypervisor
