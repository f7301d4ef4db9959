#include "hypervisor/qemu/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <csignal>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace ramet::hypervisor {
namespace {

constexpr int kAboveInherited = kFirstInheritedFd + kInheritedFdsMax;

struct ChildFailure {
    int stage;
    int error;
};
constexpr std::array<const char*, 8> kStages{"session", "files", "directory", "groups", "group", "user", "privileges", "execve"};

// Everything the child needs, made before fork(): after it only async-signal-safe calls are allowed, as other threads may hold any lock.
struct ChildPlan {
    const char* program;
    char* const* arguments;
    char* const* environment;
    int directory, log, null_device, report;
    const int* inherited;
    std::size_t inherited_count;
    bool huge_pages;
    const User* user;
};

[[noreturn]] void give_up(const ChildPlan& plan, int stage) {
    const ChildFailure failure{stage, errno};
    (void)!::write(plan.report, &failure, sizeof failure);
    ::_exit(127);
}

void become_default_process() {
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    for (int number = 1; number < 65; ++number) ::sigaction(number, &plain, nullptr);  // ignored signals would stay ignored across execve
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::umask(0077);
    const struct rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);  // a core holds the guest's memory
}

void take_files(const ChildPlan& plan) {
    if (::dup2(plan.null_device, 0) < 0 || ::dup2(plan.log, 1) < 0 || ::dup2(plan.log, 2) < 0) give_up(plan, 1);
    // All sources lie above the targets, so no dup2 can overwrite a source that is still needed.
    for (std::size_t i = 0; i < plan.inherited_count; ++i) {
        if (::dup2(plan.inherited[i], kFirstInheritedFd + static_cast<int>(i)) < 0) give_up(plan, 1);
    }
    const auto first_beyond = static_cast<unsigned>(kFirstInheritedFd) + static_cast<unsigned>(plan.inherited_count);
    if (::syscall(SYS_close_range, 3U, static_cast<unsigned>(kFirstInheritedFd) - 1, CLOSE_RANGE_CLOEXEC) < 0) give_up(plan, 1);
    if (::syscall(SYS_close_range, first_beyond, ~0U, CLOSE_RANGE_CLOEXEC) < 0) give_up(plan, 1);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
    become_default_process();
    if (::setsid() < 0) give_up(plan, 0);  // our SIGINT and SIGTERM must not reach it
    take_files(plan);
    if (::fchdir(plan.directory) < 0) give_up(plan, 2);
    if (plan.user != nullptr) {
        // Raw system calls: glibc's wrappers take locks to tell the other threads, of which a fresh child has none.
        if (::syscall(SYS_setgroups, plan.user->groups.size(), plan.user->groups.data()) < 0) give_up(plan, 3);
        if (::syscall(SYS_setresgid, plan.user->gid, plan.user->gid, plan.user->gid) < 0) give_up(plan, 4);
        if (::syscall(SYS_setresuid, plan.user->uid, plan.user->uid, plan.user->uid) < 0) give_up(plan, 5);
    }
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) give_up(plan, 6);
    if (!plan.huge_pages) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // a kernel without them has none to switch off
    ::execve(plan.program, plan.arguments, plan.environment);
    give_up(plan, 7);
}

// A copy of `fd` above the numbers the child uses.
Result<Fd> raised(int fd) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, kAboveInherited);
    if (copy < 0) return fail(ErrorCode::internal, "Too many open files", std::string("F_DUPFD: ") + std::strerror(errno));
    return Fd(copy);
}

// As execve() wants them; valid as long as `texts` is left alone.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace

Result<Process> launch(const Launch& launch) {
    if (launch.inherited.size() > static_cast<std::size_t>(kInheritedFdsMax)) {
        return fail(ErrorCode::start_failed, "The VM has too many disk layers for one process; flatten its volumes and start it again");
    }
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return fail(ErrorCode::internal, "Too many open files", std::string("pipe2: ") + std::strerror(errno));
    const Fd report_read(ends[0]);
    Fd report_low(ends[1]);
    const Fd null_low(::open("/dev/null", O_RDWR | O_CLOEXEC));
    TRY_ASSIGN(const Fd null_device, raised(null_low.get()));
    TRY_ASSIGN(const Fd log, raised(launch.log));
    TRY_ASSIGN(const Fd directory, raised(launch.directory));
    TRY_ASSIGN(Fd report, raised(report_low.get()));
    report_low.reset();
    std::vector<Fd> holders;
    std::vector<int> inherited;
    for (const int fd : launch.inherited) {
        TRY_ASSIGN(Fd copy, raised(fd));
        inherited.push_back(copy.get());
        holders.push_back(std::move(copy));
    }
    std::vector<std::string> words{launch.program};
    words.insert(words.end(), launch.arguments.begin(), launch.arguments.end());
    std::vector<char*> arguments = pointers_to(words);
    std::vector<std::string> variables{"PATH=/usr/bin:/bin"};
    variables.insert(variables.end(), launch.environment.begin(), launch.environment.end());
    std::vector<char*> environment = pointers_to(variables);
    const ChildPlan plan{launch.program.c_str(),
                         arguments.data(),
                         environment.data(),
                         directory.get(),
                         log.get(),
                         null_device.get(),
                         report.get(),
                         inherited.data(),
                         inherited.size(),
                         launch.huge_pages,
                         launch.user ? &*launch.user : nullptr};
    const pid_t pid = ::fork();
    if (pid < 0) return fail(ErrorCode::internal, "The machine cannot start another process", std::string("fork: ") + std::strerror(errno));
    if (pid == 0) run_child(plan);
    report.reset();
    ChildFailure failure{};
    ssize_t count;
    do count = ::read(report_read.get(), &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    if (count == static_cast<ssize_t>(sizeof failure)) {
        ::waitpid(pid, nullptr, 0);
        return fail(ErrorCode::start_failed, "QEMU cannot be started on this machine; check that it is installed",
                    launch.program + ": " + kStages[static_cast<std::size_t>(failure.stage) % kStages.size()] + ": " + std::strerror(failure.error));
    }
    return adopt_child(pid);
}

Result<Process> adopt_child(pid_t pid) {
    const long pidfd = ::syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        const int error = errno;
        ::kill(pid, SIGKILL);  // our own unreaped child: the pid cannot be another's
        ::waitpid(pid, nullptr, 0);
        return fail(ErrorCode::internal, "A started process cannot be watched", std::string("pidfd_open: ") + std::strerror(error));
    }
    Process process{pid, start_time_of(pid).value_or(0), Fd(static_cast<int>(pidfd))};
    return process;
}

std::optional<std::uint64_t> start_time_of(pid_t pid) {
    const Fd file(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return std::nullopt;
    std::array<char, 1024> text{};
    const ssize_t count = ::read(file.get(), text.data(), text.size() - 1);
    if (count <= 0) return std::nullopt;
    const char* place = std::strrchr(text.data(), ')');  // the name in field 2 may hold spaces and brackets
    for (int field = 2; place != nullptr && field < 22; ++field) {
        place = std::strchr(place, ' ');
        if (place != nullptr) ++place;
    }
    if (place == nullptr) return std::nullopt;
    return std::strtoull(place, nullptr, 10);
}

std::string command_line_of(pid_t pid) {
    const Fd file(::open(("/proc/" + std::to_string(pid) + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    std::array<char, 4096> part;
    while (file.valid() && text.size() < 256 * 1024) {
        const ssize_t count = ::read(file.get(), part.data(), part.size());
        if (count <= 0) break;
        text.append(part.data(), static_cast<std::size_t>(count));
    }
    return text;
}

std::vector<pid_t> all_processes() {
    std::vector<pid_t> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), ::closedir);
    if (!directory) return found;
    while (const dirent* entry = ::readdir(directory.get())) {
        char* end = nullptr;
        const long pid = std::strtol(entry->d_name, &end, 10);
        if (pid > 0 && *end == '\0') found.push_back(static_cast<pid_t>(pid));
    }
    return found;
}

Result<Process> open_process(pid_t pid, std::uint64_t start_time) {
    const long pidfd = ::syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) return fail(ErrorCode::not_found, "No such process");
    Process process{pid, start_time, Fd(static_cast<int>(pidfd))};
    // Checked after the pidfd is open: from now on the number cannot come to mean another process unnoticed.
    if (start_time_of(pid) != start_time || has_ended(process)) return fail(ErrorCode::not_found, "No such process");
    return process;
}

bool has_ended(const Process& process) {
    pollfd waited{process.pidfd.get(), POLLIN, 0};
    return ::poll(&waited, 1, 0) > 0;
}

std::optional<int> reap(const Process& process, bool block) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &info, WEXITED | (block ? 0 : WNOHANG)) < 0 || info.si_pid == 0)
        return std::nullopt;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

std::string beside_this_program(const std::string& name) {
    std::array<char, PATH_MAX> path;
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    const std::string program(path.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    return program.substr(0, program.rfind('/') + 1) + name;
}

std::string end_text(std::optional<int> code) {
    if (!code) return "has ended";
    if (*code <= 128) return "has ended with code " + std::to_string(*code);
    const char* const signal = ::sigdescr_np(*code - 128);
    return "was ended by signal " + std::to_string(*code - 128) + " (" + (signal == nullptr ? "unknown" : signal) + ")";
}

bool wait_for_end(const Process& process, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd waited{process.pidfd.get(), POLLIN, 0};
        const int ready = ::poll(&waited, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

void kill_process(const Process& process) { ::syscall(SYS_pidfd_send_signal, process.pidfd.get(), SIGKILL, nullptr, 0); }

ExitWatch::ExitWatch()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this](const std::stop_token& stop) { work(stop); }) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = 0;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
}

ExitWatch::~ExitWatch() {
    thread_.request_stop();
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    thread_.join();
}

Result<void> ExitWatch::watch(const Process& process, Ended ended) {
    const int copy = ::fcntl(process.pidfd.get(), F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return fail(ErrorCode::internal, "Too many open files", std::string("dup: ") + std::strerror(errno));
    const std::lock_guard lock(mutex_);
    const std::uint64_t key = next_++;
    watched_[key] = Watched{Fd(copy), std::move(ended)};
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = key;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, copy, &event) < 0) {
        watched_.erase(key);
        return fail(ErrorCode::internal, "A process cannot be watched", std::string("epoll_ctl: ") + std::strerror(errno));
    }
    return {};
}

void ExitWatch::work(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        epoll_event event{};
        if (::epoll_wait(epoll_.get(), &event, 1, -1) <= 0) continue;
        const std::uint64_t key = event.data.u64;  // a copy: the kernel's struct is packed
        if (key == 0) continue;
        Watched watched;
        {
            const std::lock_guard lock(mutex_);
            const auto found = watched_.find(key);
            if (found == watched_.end()) continue;
            watched = std::move(found->second);
            watched_.erase(found);
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watched.pidfd.get(), nullptr);
        }
        const Process ended{-1, 0, std::move(watched.pidfd)};
        watched.ended(reap(ended, false));
    }
}

}  // namespace ramet::hypervisor
