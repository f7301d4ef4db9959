// Keeps a capture's pipe alive beyond this server. QEMU 7.2 holds its guest still for ever when the reader of a background snapshot goes away:
// the thread that would lift the write protection waits for the lock of a thread that waits for a protected page. So the stream must always be
// read to its end, whatever becomes of what is read; and when this process dies meanwhile, a child that did nothing so far reads the rest.
#pragma once

#include <sys/types.h>

#include "base/result.hpp"
#include "hypervisor/qemu/fd.hpp"

namespace ramet::hypervisor {

class StreamGuard {
public:
    static Result<StreamGuard> start(int stream);  // a pipe's read end; stays the caller's
    StreamGuard(StreamGuard&& other) noexcept;
    StreamGuard& operator=(StreamGuard&&) = delete;
    ~StreamGuard();  // the stream has been read to its end: the child goes
    // The stream has not been read to its end, and will not be: the child reads what is left. It has to be reaped some day.
    pid_t leave_the_rest();

private:
    StreamGuard(Fd life_line, pid_t child) : life_line_(std::move(life_line)), child_(child) {}
    Fd life_line_;
    pid_t child_;
};

}  // namespace ramet::hypervisor
