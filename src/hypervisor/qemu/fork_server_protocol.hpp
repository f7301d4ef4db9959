// What the server and its fork server (fork_server.hpp) say to each other: one datagram per order on a SOCK_SEQPACKET socket, which the fork
// server has as kFirstInheritedFd, and one ForkReport per order on a pipe that comes with it.
#pragma once

#include <sys/types.h>

#include <csignal>
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
    std::int32_t template_orders = -1;  // not -1: the process becomes a template machine, which has its orders from this file of its own
};

struct ForkReport {
    std::int32_t error = 0;  // errno of what failed, or one of those below; 0: the process is `pid` and a child of the server
    pid_t pid = -1;
};

inline constexpr std::size_t kForkOrderBytesMax = 128UL * 1024;  // below what a socket of an unprivileged process may hold
inline constexpr std::size_t kForkFilesMax = 253;                // the kernel's limit for one message
inline constexpr std::size_t kForkFilesBefore = 3;               // report, directory, log
inline constexpr int kForkSocket = kFirstInheritedFd;
inline constexpr int kForkLibrary = kFirstInheritedFd + 1;                   // ramet-fork-server.so
inline constexpr const char* kForkWarmVariable = "RAMET_FORK_SERVER_TYPES";  // set: QEMU's types are registered before the first order

// A fork begins in its template's session. Told so, it takes one of its own.
inline constexpr int kOwnSessionSignal = SIGUSR2;

inline constexpr int kForkOtherUuid = 1001, kForkOtherGeneration = 1002, kForkOtherMac = 1003;  // of a template's fork

// What a template machine (fork_server/template_machine.hpp) is told by its server, for one fork. With it come files: those named below, the
// seed, if there is one, and each NIC's queues.
inline constexpr std::size_t kTemplateNicsMax = 6;
struct TemplateOrder {
    std::uint32_t files = 0;
    std::uint32_t has_seed = 0;
    std::uint32_t nics = 0;
    unsigned char old_uuid[16] = {}, uuid[16] = {};              // the machine's
    unsigned char old_generation[16] = {}, generation[16] = {};  // VM generation id
    char old_serial[40] = {}, serial[40] = {};                   // as long as the old one
    struct Nic {
        char device[16] = {}, backend[16] = {};  // QEMU's names
        char old_tap[16] = {};
        unsigned char old_mac[6] = {}, mac[6] = {};
        std::uint32_t queues = 0;
    } nic[kTemplateNicsMax];
};
inline constexpr std::size_t kTemplateReport = 0, kTemplateDirectory = 1, kTemplateLog = 2, kTemplateLock = 3, kTemplateListener = 4,
                             kTemplateConnection = 5, kTemplateFilesBefore = 6;

}  // namespace ramet::hypervisor
