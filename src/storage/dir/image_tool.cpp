#include "storage/dir/image_tool.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>

namespace ramet::storage {

namespace {

// A copy lasts as long as there are bytes; requests, guests and short jobs go first.
constexpr int kNiceness = 10;
constexpr int kIoPriorityOfProcess = 1;                // IOPRIO_WHO_PROCESS
constexpr int kIoPriorityLowest = (2 << 13) | 7;       // best effort, the last of eight levels
constexpr rlim_t kAddressBytesMax = rlim_t{16} << 30;  // 64 worker threads reserve stacks and arenas; their use is far below
constexpr std::size_t kErrorBytesMax = 8 * 1024;       // of the child's standard error that we keep
constexpr int kPollMilliseconds = 100;                 // how late a cancel is seen
constexpr int kCannotStart = 127;
constexpr int kFirstInherited = STDERR_FILENO + 1;
constexpr std::size_t kInheritedMax = 64;

Result<std::string> find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    const char* path = std::getenv("PATH");
    const std::string folders = path != nullptr ? path : "/usr/bin:/bin";
    for (std::size_t begin = 0; begin <= folders.size();) {
        const std::size_t end = std::min(folders.find(':', begin), folders.size());
        std::string candidate = folders.substr(begin, end - begin) + "/" + name;
        if (candidate.front() == '/' && candidate[1] != '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
        begin = end + 1;
    }
    return fail(ErrorCode::operation_failed, name + " is not installed on this server; install the package qemu-utils");
}

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return io_error("making a pipe", errno);
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

struct ChildPlan {
    const char* program;
    char* const* arguments;
    char* const* environment;
    int null_fd;
    int output_fd;
    int error_fd;
    int* inherit;  // scratch space of the child
    int inherit_count;
    const FileOwner* run_as;
    rlim_t processor_seconds;
    pid_t parent;
};

// Out of the way first: a file's old number may be another one's new number.
void place_inherited(const ChildPlan& plan) {
    for (int i = 0; i < plan.inherit_count; ++i) plan.inherit[i] = ::fcntl(plan.inherit[i], F_DUPFD, kFirstInherited + plan.inherit_count);
    for (int i = 0; i < plan.inherit_count; ++i) {
        if (::dup2(plan.inherit[i], kFirstInherited + i) < 0) ::_exit(kCannotStart);
    }
    ::close_range(static_cast<unsigned>(kFirstInherited + plan.inherit_count), ~0U, 0);
}

// Between fork and exec: system calls only, for other threads may have held any lock.
[[noreturn]] void become_child(const ChildPlan& plan) {
    ::setpgid(0, 0);
    const rlimit address{kAddressBytesMax, kAddressBytesMax};
    const rlimit processor{plan.processor_seconds, plan.processor_seconds};
    const rlimit core{0, 0};
    ::setrlimit(RLIMIT_AS, &address);
    ::setrlimit(RLIMIT_CPU, &processor);
    ::setrlimit(RLIMIT_CORE, &core);
    ::setpriority(PRIO_PROCESS, 0, kNiceness);
    ::syscall(SYS_ioprio_set, kIoPriorityOfProcess, 0, kIoPriorityLowest);
    if (plan.run_as != nullptr) {
        if (::setgroups(0, nullptr) != 0 || ::setresgid(plan.run_as->gid, plan.run_as->gid, plan.run_as->gid) != 0 ||
            ::setresuid(plan.run_as->uid, plan.run_as->uid, plan.run_as->uid) != 0) {
            ::_exit(kCannotStart);
        }
    }
    // After the change of user, which resets it. A killed server must not leave a copy running that nobody owns.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != plan.parent) ::_exit(kCannotStart);
    ::dup2(plan.null_fd, STDIN_FILENO);
    ::dup2(plan.output_fd, STDOUT_FILENO);
    ::dup2(plan.error_fd, STDERR_FILENO);
    place_inherited(plan);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::execve(plan.program, plan.arguments, plan.environment);
    ::_exit(kCannotStart);
}

// "    (12.34/100%)" with a carriage return after each; only the newest counts.
void read_percent(std::string& text, const std::function<void(double)>& on_percent) {
    const std::size_t close = text.rfind("/100%)");
    if (close == std::string::npos) {
        if (text.size() > kErrorBytesMax) text.clear();
        return;
    }
    const std::size_t open = text.rfind('(', close);
    double percent = 0;
    if (open != std::string::npos && std::from_chars(text.data() + open + 1, text.data() + close, percent).ec == std::errc{} && on_percent)
        on_percent(percent);
    text.erase(0, close + 1);
}

class Child {
public:
    Child(pid_t pid, Pipe& output, Pipe& error) : pid_(pid), output_(std::move(output.read)), error_(std::move(error.read)) {}
    ~Child() { kill_group(); }

    // Returns the wait status, or `cancelled`.
    Result<int> follow(const std::function<void(double)>& on_percent, const std::stop_token& stop) {
        std::string progress;
        while (output_.valid() || error_.valid()) {
            if (stop.stop_requested()) {
                kill_group();
                return fail(ErrorCode::cancelled, "the copy was cancelled");
            }
            std::array<pollfd, 2> waits{pollfd{output_.get(), POLLIN, 0}, pollfd{error_.get(), POLLIN, 0}};
            if (::poll(waits.data(), waits.size(), kPollMilliseconds) < 0 && errno != EINTR) return io_error("waiting for a child process", errno);
            if (waits[0].revents != 0) take(output_, progress, 64 * 1024);
            if (waits[1].revents != 0) take(error_, error_text_, kErrorBytesMax);
            read_percent(progress, on_percent);
        }
        return reap();
    }

    const std::string& error_text() const { return error_text_; }

private:
    static void take(UniqueFd& fd, std::string& text, std::size_t keep) {
        std::array<char, 4096> buffer{};
        const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) return;
        if (got <= 0) fd.reset();
        if (got > 0 && text.size() < keep) text.append(buffer.data(), static_cast<std::size_t>(got));
    }

    int reap() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
        pid_ = -1;
        return status;
    }

    void kill_group() {
        if (pid_ <= 0) return;
        ::kill(-pid_, SIGKILL);
        ::kill(pid_, SIGKILL);  // should it not yet lead its group
        reap();
    }

    pid_t pid_;
    UniqueFd output_;
    UniqueFd error_;
    std::string error_text_;
};

Result<void> judge(int status, const std::string& error_text) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    if (error_text.find("No space left on device") != std::string::npos || error_text.find("Disk quota exceeded") != std::string::npos) {
        return fail(ErrorCode::storage_full, "the storage is full; free some space or use another storage", error_text);
    }
    const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "exit status " + std::to_string(WEXITSTATUS(status));
    return fail(ErrorCode::operation_failed, "the disk could not be written; see the server's log", how + ": " + error_text);
}

}  // namespace

std::string inherited_name(std::size_t index) { return "/proc/self/fd/" + std::to_string(static_cast<std::size_t>(kFirstInherited) + index); }

Result<void> run_image_tool(const ToolRun& run, const std::stop_token& stop) {
    if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the copy was cancelled");
    if (run.inherit.size() > kInheritedMax) return fail(ErrorCode::unsupported, "the disk has more than 60 layers; flatten it first");
    TRY_ASSIGN(std::string program, find_program(run.program));
    TRY_ASSIGN(Pipe output, make_pipe());
    TRY_ASSIGN(Pipe error, make_pipe());
    const UniqueFd null_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    std::vector<std::string> words{run.program};
    words.insert(words.end(), run.arguments.begin(), run.arguments.end());
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string locale = "LC_ALL=C";
    std::string arenas = "MALLOC_ARENA_MAX=2";
    std::array<char*, 3> environment{locale.data(), arenas.data(), nullptr};
    std::vector<int> inherit = run.inherit;
    const bool change_user = run.run_as && ::geteuid() == 0 && run.run_as->uid != 0;
    const ChildPlan plan{program.c_str(),
                         arguments.data(),
                         environment.data(),
                         null_fd.get(),
                         output.write.get(),
                         error.write.get(),
                         inherit.data(),
                         static_cast<int>(inherit.size()),
                         change_user ? &*run.run_as : nullptr,
                         static_cast<rlim_t>(run.processor_time_max.count()),
                         ::getpid()};
    // fork, not posix_spawn: limits, user and the parent-death signal must be in force before the tool reads its first byte.
    const pid_t pid = ::fork();
    if (pid < 0) return io_error("starting a child process", errno);
    if (pid == 0) become_child(plan);
    ::setpgid(pid, pid);  // both sides do it, so that the group exists whichever runs first
    output.write.reset();
    error.write.reset();
    Child child(pid, output, error);
    TRY_ASSIGN(const int status, child.follow(run.on_percent, stop));
    return judge(status, child.error_text());
}

}  // namespace ramet::storage
