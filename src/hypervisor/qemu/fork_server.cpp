#include "hypervisor/qemu/fork_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "hypervisor/qemu/files_message.hpp"
#include "hypervisor/qemu/fork_server_protocol.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

using namespace std::chrono_literals;

namespace {

constexpr auto kEndPatience = 2s;
constexpr auto kReportPatience = 10s;  // a fork takes some milliseconds; the fork server's own beginning some thirty
constexpr int kFailuresMax = 3;

std::unexpected<Error> cannot(const std::string& what) {
    return fail(ErrorCode::internal, "The fork server cannot be used", what + ": " + std::strerror(errno));
}

bool same_user(const std::optional<User>& a, const std::optional<User>& b) {
    return a.has_value() == b.has_value() && (!a || (a->uid == b->uid && a->gid == b->gid));
}

bool same_file(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
           a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

std::string datagram(const Launch& order) {
    const ForkOrder head{static_cast<std::uint32_t>(order.arguments.size() + 1), static_cast<std::uint32_t>(order.inherited.size()),
                         order.huge_pages ? 1U : 0U, order.laid_out_once ? 1U : 0U, order.template_orders};
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    bytes += order.program + '\0';
    for (const std::string& argument : order.arguments) bytes += argument + '\0';
    return bytes;
}

// Empty: the other side has let go of the pipe without a word, so that no process can come of the order any more.
Result<std::optional<ForkReport>> read_report(int fd) {
    pollfd waited{fd, POLLIN, 0};
    int ready;
    do ready = ::poll(&waited, 1, static_cast<int>(std::chrono::milliseconds(kReportPatience).count()));
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) return fail(ErrorCode::start_failed, "QEMU's process is not made in time; the machine is overloaded: try again later");
    ForkReport report;
    ssize_t count;
    do count = ::read(fd, &report, sizeof report);
    while (count < 0 && errno == EINTR);
    if (count != static_cast<ssize_t>(sizeof report)) return std::optional<ForkReport>();
    return std::optional(report);
}

}  // namespace

ForkServer::ForkServer(ForkServerOptions options) : options_(std::move(options)) {
    if (options_.library.empty()) return;
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // the processes' parent ends before they begin; we take its place
    const std::lock_guard lock(mutex_);
    if (const Result<void> begun = begin(); !begun.has_value())
        telemetry::log_warning("QEMU is executed anew for every VM: {} ({})", begun.error().message, begun.error().detail);
}

ForkServer::~ForkServer() {
    const std::lock_guard lock(mutex_);
    end();
}

bool ForkServer::fits(const Launch& order) const {
    std::size_t bytes = sizeof(ForkOrder) + order.program.size() + 1;
    for (const std::string& argument : order.arguments) bytes += argument.size() + 1;
    return !options_.library.empty() && order.program == options_.program && same_user(order.user, options_.user) && bytes <= kForkOrderBytesMax &&
           order.inherited.size() + kForkFilesBefore <= kForkFilesMax;
}

bool ForkServer::is_current() const {
    struct stat facts{};
    return socket_.valid() && !has_ended(process_) && ::stat(options_.program.c_str(), &facts) == 0 && same_file(facts, program_facts_);
}

Result<void> ForkServer::begin() {
    end();
    if (::stat(options_.program.c_str(), &program_facts_) < 0) return cannot("stat " + options_.program);
    // The preloaded file is named by number: QEMU's user need not be allowed to reach it by its path.
    const Fd library(::open(options_.library.c_str(), O_RDONLY | O_CLOEXEC));
    if (!library.valid()) return cannot("open " + options_.library);
    const Fd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd log(::open(options_.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!log.valid()) return cannot("open " + options_.log);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return cannot("socketpair");
    Fd ours(ends[0]);
    const Fd theirs(ends[1]);
    Launch order;
    order.program = options_.program;
    order.arguments = {"--version"};  // should the library not be loaded, QEMU says this and ends
    order.environment = {"LD_PRELOAD=/proc/self/fd/" + std::to_string(kForkLibrary)};
    if (options_.registers_types) order.environment.push_back(std::string(kForkWarmVariable) + "=1");
    order.directory = directory.get();
    order.log = log.get();
    order.inherited = {theirs.get(), library.get()};
    order.user = options_.user;
    TRY_ASSIGN(process_, hypervisor::launch(order));
    socket_ = std::move(ours);
    return {};
}

void ForkServer::end() {
    if (!socket_.valid()) return;
    socket_.reset();  // it ends when it hears nothing more
    if (!wait_for_end(process_, kEndPatience)) kill_process(process_);
    reap(process_, true);
}

Result<void> ForkServer::send(const Launch& order, int report) {
    std::vector<int> files{report, order.directory, order.log};
    files.insert(files.end(), order.inherited.begin(), order.inherited.end());
    errno = send_with_files(socket_.get(), datagram(order), files);
    if (errno != 0) return cannot("sendmsg");
    return {};
}

// not_found: no process can come of it, and another way may be taken.
Result<Process> ForkServer::fork_off(const Launch& order) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return cannot("pipe2");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    {
        const std::lock_guard lock(mutex_);
        if (failures_ >= kFailuresMax) return fail(ErrorCode::not_found, "");  // and the log knows
        Result<void> done = is_current() ? Result<void>() : begin();
        if (done.has_value()) done = send(order, writing.get());
        failures_ = done.has_value() ? failures_ : failures_ + 1;
        if (!done.has_value()) return fail(ErrorCode::not_found, done.error().message, done.error().detail);
    }
    writing.reset();
    TRY_ASSIGN(const std::optional<ForkReport> report, read_report(reading.get()));
    const std::lock_guard lock(mutex_);
    failures_ = report && report->error == 0 ? 0 : failures_ + 1;
    if (!report) return fail(ErrorCode::not_found, "The fork server ends without a word", "see " + options_.log);
    if (report->error != 0) return fail(ErrorCode::not_found, "The fork server makes no process", std::strerror(report->error));
    return adopt_child(report->pid);
}

Result<Process> ForkServer::launch(const Launch& order) {
    const bool is_template = order.template_orders >= 0;
    if (!fits(order) && !is_template) return hypervisor::launch(order);
    Result<Process> process = fits(order) ? fork_off(order) : fail(ErrorCode::not_found, "");
    if (is_template) return process;
    if (process.has_value() || process.error().code != ErrorCode::not_found) return process;
    if (!process.error().message.empty())
        telemetry::log_warning("QEMU is executed, not forked: {} ({})", process.error().message, process.error().detail);
    return hypervisor::launch(order);
}

}  // namespace ramet::hypervisor
