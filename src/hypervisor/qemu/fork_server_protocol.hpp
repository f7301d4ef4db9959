// What the server and its fork server (fork_server.hpp) say to each other: one datagram per order on a SOCK_SEQPACKET socket, which the fork
// server has as kFirstInheritedFd, and one ForkReport per order on a pipe that comes with it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

// Followed by the arguments, argv[0] first, each ending in NUL. With it come files (SCM_RIGHTS): the pipe of the report, the working
// directory, the log, and then the inherited ones in order.
struct ForkOrder {
    std::uint32_t arguments = 0;
    std::uint32_t inherited = 0;
    std::uint32_t huge_pages = 1;  // 0: no transparent ones
    std::uint32_t laid_out_once = 0;
};

struct ForkReport {
    std::int32_t error = 0;  // errno of what failed; 0: the process is `pid` and a child of the server
    pid_t pid = -1;
};

inline constexpr std::size_t kForkOrderBytesMax = 128UL * 1024;  // below what a socket of an unprivileged process may hold
inline constexpr std::size_t kForkFilesMax = 253;                // the kernel's limit for one message
inline constexpr std::size_t kForkFilesBefore = 3;               // report, directory, log
inline constexpr int kForkSocket = kFirstInheritedFd;
inline constexpr int kForkLibrary = kFirstInheritedFd + 1;                   // ramet-fork-server.so
inline constexpr const char* kForkWarmVariable = "RAMET_FORK_SERVER_TYPES";  // set: QEMU's types are registered before the first order

}  // namespace ramet::hypervisor
