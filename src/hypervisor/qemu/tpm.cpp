#include "hypervisor/qemu/tpm.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "telemetry/log.hpp"

namespace ramet::hypervisor {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSocket = "tpm.sock";  // there from before the process until it was seen to have ended
constexpr auto kEndPatience = 2s;            // usual is a millisecond after QEMU's end

Result<Fd> open_state(const std::string& path, const std::optional<User>& user) {
    const std::string parent = path.substr(0, path.rfind('/'));
    for (const std::string& directory : {parent, path}) {
        if (::mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST)
            return fail(ErrorCode::operation_failed, "The VM's TPM state cannot be made; check the data directory's disk",
                        directory + ": " + std::strerror(errno));
    }
    Fd state(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!state.valid() || (user && ::fchown(state.get(), user->uid, user->gid) < 0))
        return fail(ErrorCode::operation_failed, "The VM's TPM state cannot be used; check the data directory's disk",
                    path + ": " + std::strerror(errno));
    // Files that we copied are ours until here.
    for (const char* file : {kTpmStateFile, ".lock"}) {
        if (user && ::fchownat(state.get(), file, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return fail(ErrorCode::operation_failed, "The VM's TPM state cannot be given to the user that runs it", path + "/" + file);
    }
    return state;
}

}  // namespace

std::string tpm_missing(const std::string& swtpm_binary) {
    if (::access(swtpm_binary.c_str(), X_OK) == 0) return {};
    return "a TPM emulator is not installed on this host; install it with: apt-get install swtpm";
}

bool is_tpm(pid_t pid) {
    const std::string line = command_line_of(pid);
    return line.substr(0, line.find('\0')).ends_with("swtpm");
}

Result<Process> launch_tpm(const std::string& swtpm_binary, const std::string& state_directory, const RunDirectory& directory,
                           const std::optional<User>& user) {
    if (const std::string missing = tpm_missing(swtpm_binary); !missing.empty()) return fail(ErrorCode::start_failed, missing);
    TRY_ASSIGN(const Fd state, open_state(state_directory, user));
    TRY_ASSIGN(const Fd listener, directory.listen(kSocket, user));
    TRY_ASSIGN(const Fd log, directory.open_log("tpm.log"));
    Launch order;
    order.program = swtpm_binary;
    order.arguments = {"socket",     "--tpm2",
                       "--tpmstate", "dir=/proc/self/fd/" + std::to_string(kFirstInheritedFd) + ",mode=0600",
                       "--ctrl",     "type=unixio,fd=" + std::to_string(kFirstInheritedFd + 1),
                       "--terminate"};
    order.directory = directory.fd();
    order.log = log.get();
    order.inherited = {state.get(), listener.get()};
    order.user = user;
    TRY_ASSIGN(Process process, launch(order));
    const Result<void> written = directory.write_pid(process, "tpm.pid");
    if (!written.has_value()) telemetry::log_warning("{}", written.error().detail);  // the scan finds it all the same
    return process;
}

std::optional<Process> find_tpm(const RunDirectory& directory) {
    if (::faccessat(directory.fd(), kSocket, F_OK, AT_SYMLINK_NOFOLLOW) < 0) return std::nullopt;  // no VM without a TPM pays for the scan below
    const auto is_ours = [&](pid_t pid) {
        std::array<char, PATH_MAX> path;
        const ssize_t size = ::readlink(("/proc/" + std::to_string(pid) + "/cwd").c_str(), path.data(), path.size());
        return size > 0 && std::string(path.data(), static_cast<std::size_t>(size)) == directory.path() && is_tpm(pid);
    };
    if (const auto known = directory.read_pid("tpm.pid")) {
        Result<Process> process = open_process(known->first, known->second);
        if (process.has_value() && is_ours(process->pid)) return std::move(*process);
    }
    for (const pid_t pid : all_processes()) {
        const std::optional<std::uint64_t> start_time = start_time_of(pid);
        if (!start_time || !is_ours(pid)) continue;
        Result<Process> process = open_process(pid, *start_time);
        if (process.has_value()) return std::move(*process);
    }
    return std::nullopt;
}

void end_tpm(const RunDirectory& directory) {
    const std::optional<Process> process = find_tpm(directory);
    if (!process || wait_for_end(*process, kEndPatience)) return;
    kill_process(*process);
    if (!wait_for_end(*process, kEndPatience)) telemetry::log_error("{}: its TPM's process {} does not end", directory.path(), process->pid);
}

}  // namespace ramet::hypervisor
