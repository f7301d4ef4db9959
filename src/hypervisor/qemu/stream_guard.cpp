#include "hypervisor/qemu/stream_guard.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <cerrno>
#include <cstring>
#include <utility>

namespace ramet::hypervisor {
namespace {

constexpr int kLifeLine = 3, kStream = 4;

// Between fork() and here other threads may have held any lock: system calls only.
[[noreturn]] void stand_by(int life_line, int stream) {
    ::setsid();  // our terminal's signals are not meant for it
    if (::dup2(life_line, 1000) < 0 || ::dup2(stream, 1001) < 0 || ::dup2(1000, kLifeLine) < 0 || ::dup2(1001, kStream) < 0) ::_exit(1);
    ::syscall(SYS_close_range, static_cast<unsigned>(kStream) + 1, ~0U, 0U);  // no lock, socket or database of the server's lives on in it
    char buffer[4096];
    ssize_t count;
    do count = ::read(kLifeLine, buffer, 1);
    while (count < 0 && errno == EINTR);
    if (count == 1) ::_exit(0);  // all is well
    do count = ::read(kStream, buffer, sizeof buffer);
    while (count > 0 || (count < 0 && errno == EINTR));
    ::_exit(0);
}

}  // namespace

Result<StreamGuard> StreamGuard::start(int stream) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return fail(ErrorCode::internal, "Too many open files", std::string("pipe2: ") + std::strerror(errno));
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return fail(ErrorCode::internal, "The machine cannot start another process", std::string("fork: ") + std::strerror(errno));
    if (child == 0) stand_by(reading.get(), stream);
    return StreamGuard(std::move(writing), child);
}

StreamGuard::StreamGuard(StreamGuard&& other) noexcept : life_line_(std::move(other.life_line_)), child_(std::exchange(other.child_, -1)) {}

pid_t StreamGuard::leave_the_rest() {
    life_line_.reset();
    return std::exchange(child_, -1);
}

StreamGuard::~StreamGuard() {
    if (child_ < 0) return;
    (void)!::write(life_line_.get(), "d", 1);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {}
}

}  // namespace ramet::hypervisor
