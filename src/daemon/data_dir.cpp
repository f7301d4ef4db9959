#include "daemon/data_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/id.hpp"

namespace ramet::daemon {

Result<void> open_data_dir(const std::string& data_dir) {
    std::error_code error;
    std::filesystem::create_directories(data_dir + "/seeds", error);
    if (!error) std::filesystem::create_directories(data_dir + "/firmware", error);
    if (error) return fail(ErrorCode::invalid_argument, "--data-dir " + data_dir + " cannot be made: " + error.message());
    // QEMU's user passes through to its run directory and disks; what is inside is protected by its own modes.
    ::chmod(data_dir.c_str(), 0711);
    ::chmod((data_dir + "/seeds").c_str(), 0711);
    ::chmod((data_dir + "/firmware").c_str(), 0700);
    const int fd = ::open((data_dir + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(ErrorCode::invalid_argument, "--data-dir " + data_dir + " cannot be written: " + std::strerror(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
        return fail(ErrorCode::conflict, "another rametd uses " + data_dir + "; stop it, or choose another --data-dir");
    return {};
}

Result<std::string> initial_admin_password(const std::string& data_dir) {
    if (const char* given = std::getenv("RAMET_ADMIN_PASSWORD"); given != nullptr && *given != '\0') return std::string(given);
    const std::string path = data_dir + "/admin-password";
    {
        std::ifstream file(path);
        std::string kept;
        if (std::getline(file, kept) && !kept.empty()) return kept;
    }
    std::string password = random_uuid_text();
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const std::string line = password + "\n";
    const bool written = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    if (!written)
        return fail(ErrorCode::internal, "the file admin-password in the data directory cannot be written", path + ": " + std::strerror(errno));
    return password;
}

}  // namespace ramet::daemon
