#include "hypervisor/qemu/stream_pipe.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

namespace ramet::hypervisor {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kDamStep = 64 << 10;  // whole pages, so that no room is left in the last one
constexpr auto kStreamLook = 50ms;

}  // namespace

Result<void> StreamPipe::make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return fail(ErrorCode::internal, "Too many open files");
    read_end_ = Fd(ends[0]);
    write_end_ = Fd(ends[1]);
    (void)::fcntl(ends[0], F_SETPIPE_SZ, kPipeBytes);
    return {};
}

void StreamPipe::dam() {
    const std::vector<std::byte> water(kDamStep);
    const int flags = ::fcntl(write_end_.get(), F_GETFL);
    ::fcntl(write_end_.get(), F_SETFL, flags | O_NONBLOCK);
    for (ssize_t count = 0; (count = ::write(write_end_.get(), water.data(), water.size())) > 0;) dam_bytes_ += static_cast<std::size_t>(count);
    ::fcntl(write_end_.get(), F_SETFL, flags);
}

// /proc/<pid>/task/<tid>/syscall: the number of the system call that the thread is in, then its arguments (proc(5)).
std::optional<bool> StreamPipe::holds_back(pid_t process) const {
    struct stat mine{};
    const std::string root = "/proc/" + std::to_string(process);
    const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir((root + "/task").c_str()), ::closedir);
    if (!threads || ::fstat(read_end_.get(), &mine) != 0) return std::nullopt;
    while (const dirent* thread = ::readdir(threads.get())) {
        if (thread->d_name[0] == '.') continue;
        const Fd file(::open((root + "/task/" + thread->d_name + "/syscall").c_str(), O_RDONLY | O_CLOEXEC));
        std::array<char, 128> text{};
        if (!file.valid() || ::read(file.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
        long call = 0;
        unsigned long descriptor = 0;
        if (std::sscanf(text.data(), "%ld %lx", &call, &descriptor) != 2) continue;  // "running"
        if (call != SYS_write && call != SYS_writev) continue;
        struct stat theirs{};
        const std::string path = root + "/fd/" + std::to_string(descriptor);
        if (::stat(path.c_str(), &theirs) == 0 && theirs.st_ino == mine.st_ino && theirs.st_dev == mine.st_dev) return true;
    }
    return false;
}

void StreamPipe::open() {
    open_ = true;
    open_.notify_all();
}

void StreamPipe::abandon() {
    abandoned_ = true;
    open();
}

Result<std::size_t> StreamPipe::read(std::span<std::byte> buffer) {
    open_.wait(false);
    while (dam_bytes_ > 0) {
        TRY_ASSIGN(const std::size_t count, read_some(buffer.first(std::min(buffer.size(), dam_bytes_))));
        if (count == 0) return std::size_t{0};
        dam_bytes_ -= count;
    }
    return read_some(buffer);
}

Result<std::size_t> StreamPipe::read_some(std::span<std::byte> buffer) {
    const auto deadline = steady_clock::now() + stall_max_;
    while (true) {
        if (abandoned_) return fail(ErrorCode::cancelled, "cancelled");
        pollfd waited{read_end_.get(), POLLIN, 0};
        if (::poll(&waited, 1, static_cast<int>(kStreamLook.count())) > 0) {
            const ssize_t count = ::read(read_end_.get(), buffer.data(), buffer.size());
            ended_ = count == 0;
            if (count >= 0) return static_cast<std::size_t>(count);
            if (errno != EINTR && errno != EAGAIN) return storage::io_error("reading the VM's state", errno);
        }
        if (steady_clock::now() > deadline)
            return fail(ErrorCode::timeout, "QEMU stopped sending the VM's state; `ramet doctor` says whether it hangs");
    }
}

void StreamPipe::drain() {
    std::vector<std::byte> buffer(kPipeBytes);
    while (read(buffer).value_or(0) > 0) {}
}

}  // namespace ramet::hypervisor
