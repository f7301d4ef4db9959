#include "hypervisor/linux/daemon_process.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <csignal>
extern "C" {  // glibc 2.36 forgot it
#include <sys/pidfd.h>
}
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "hypervisor/linux/port_files.hpp"

namespace ramet::hypervisor {

namespace {

constexpr int kStartMilliseconds = 10'000;  // an overloaded machine; usual is 10
constexpr int kTermMilliseconds = 2'000;
constexpr int kKillMilliseconds = 5'000;

std::vector<std::string> arguments_of(pid_t pid) {
    const Result<std::optional<std::string>> text = read_file("/proc/" + std::to_string(pid) + "/cmdline");
    std::vector<std::string> arguments;
    if (!text.has_value() || !text->has_value()) return arguments;
    const std::string& all = **text;
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = std::min(all.find('\0', at), all.size());
        arguments.push_back(all.substr(at, end - at));
        at = end + 1;
    }
    return arguments;
}

std::optional<pid_t> number_in(std::string_view text) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || pid <= 1) return std::nullopt;
    return pid;
}

bool gone(int pidfd, int milliseconds) {
    pollfd waited{pidfd, POLLIN, 0};
    int result = -1;
    do { result = ::poll(&waited, 1, milliseconds); } while (result < 0 && errno == EINTR);
    return result > 0;
}

std::string text_of(int fd) {
    std::array<char, 2000> text{};
    const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
    return std::string(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
}

// Our own signal mask and ignored signals must not reach the daemon: it could not be ended.
Result<pid_t> spawn(const std::vector<std::string>& arguments, int errors) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    std::array<char*, 3> environment{const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), const_cast<char*>("LC_ALL=C"), nullptr};
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t every;
    sigemptyset(&none);
    sigfillset(&every);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &every);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, errors, 1);
    posix_spawn_file_actions_adddup2(&actions, errors, 2);
    pid_t pid = -1;
    const int result = ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (result != 0)
        return fail(ErrorCode::internal, "cannot start a network helper; see the server's log",
                    arguments[0] + ": " + std::generic_category().message(result));
    return pid;
}

}  // namespace

DaemonProcess::~DaemonProcess() {
    if (pidfd_ >= 0) ::close(pidfd_);
}

DaemonProcess::DaemonProcess(DaemonProcess&& other) noexcept : pidfd_(std::exchange(other.pidfd_, -1)), arguments_(std::move(other.arguments_)) {}

DaemonProcess& DaemonProcess::operator=(DaemonProcess&& other) noexcept {
    std::swap(pidfd_, other.pidfd_);
    std::swap(arguments_, other.arguments_);
    return *this;
}

std::optional<DaemonProcess> DaemonProcess::open(pid_t pid, const std::string& mark, bool prefix) {
    const int pidfd = ::pidfd_open(pid, 0);
    if (pidfd < 0) return std::nullopt;
    DaemonProcess process(pidfd, arguments_of(pid));
    const bool ours = std::any_of(process.arguments_.begin(), process.arguments_.end(),
                                  [&](const std::string& argument) { return prefix ? argument.starts_with(mark) : argument == mark; });
    if (!ours || gone(pidfd, 0)) return std::nullopt;
    return process;
}

std::optional<DaemonProcess> DaemonProcess::at(const std::string& pid_file, const std::string& mark) {
    const Result<std::optional<std::string>> text = read_file(pid_file);
    if (!text.has_value() || !text->has_value()) return std::nullopt;
    const std::optional<pid_t> pid = number_in(**text);
    if (!pid) return std::nullopt;
    return open(*pid, mark, false);
}

std::optional<DaemonProcess> DaemonProcess::find(const std::string& pid_file, const std::string& mark) {
    if (std::optional<DaemonProcess> process = at(pid_file, mark)) return process;
    std::vector<DaemonProcess> found = all(mark);
    for (DaemonProcess& process : found) {
        if (std::find(process.arguments_.begin(), process.arguments_.end(), mark) != process.arguments_.end()) return std::move(process);
    }
    return std::nullopt;
}

std::vector<DaemonProcess> DaemonProcess::all(const std::string& mark_prefix) {
    std::vector<DaemonProcess> found;
    std::error_code error;
    for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
        const std::optional<pid_t> pid = number_in(entry->path().filename().native());
        if (!pid || *pid == ::getpid()) continue;
        if (std::optional<DaemonProcess> process = open(*pid, mark_prefix, true)) found.push_back(std::move(*process));
    }
    return found;
}

Result<void> DaemonProcess::start(const std::vector<std::string>& arguments) {
    const int errors = ::memfd_create("errors", MFD_CLOEXEC);
    if (errors < 0) return fail(ErrorCode::internal, "cannot start a network helper", "memfd_create: " + std::generic_category().message(errno));
    const Result<pid_t> pid = spawn(arguments, errors);
    if (!pid.has_value()) {
        ::close(errors);
        return std::unexpected(pid.error());
    }
    const int pidfd = ::pidfd_open(*pid, 0);
    if (pidfd >= 0 && !gone(pidfd, kStartMilliseconds)) ::kill(*pid, SIGKILL);
    if (pidfd >= 0) ::close(pidfd);
    int status = 0;
    pid_t waited = -1;
    do { waited = ::waitpid(*pid, &status, 0); } while (waited < 0 && errno == EINTR);
    const std::string text = text_of(errors);
    ::close(errors);
    if (waited == *pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        return fail(ErrorCode::internal, "a network helper did not start; see the server's log", arguments[0] + ": " + text);
    }
    return {};
}

void DaemonProcess::hang_up() const { ::pidfd_send_signal(pidfd_, SIGHUP, nullptr, 0); }

bool DaemonProcess::gone_within(int milliseconds) const { return gone(pidfd_, milliseconds); }

Result<void> DaemonProcess::stop() {
    ::pidfd_send_signal(pidfd_, SIGTERM, nullptr, 0);
    if (gone_within(kTermMilliseconds)) return {};
    ::pidfd_send_signal(pidfd_, SIGKILL, nullptr, 0);
    if (gone_within(kKillMilliseconds)) return {};
    return fail(ErrorCode::internal, "a network helper cannot be ended; see the server's log", arguments_.empty() ? std::string() : arguments_[0]);
}

}  // namespace ramet::hypervisor
