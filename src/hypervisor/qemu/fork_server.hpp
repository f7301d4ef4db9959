// New QEMU processes as forks of one that waits at its main().
//
//   rametd ── order: arguments, files ──► fork server ── fork ──► (between) ── fork ──► VM's process: main(arguments)
//      ▲                                                             ends at once              │
//      └──────────────── report: pid, or what failed ──────────────────────────────────────────┘
//
// Before its first line QEMU 7.2 spends some 15 ms of processor time in the dynamic linker (236 000 relocations) and then some 5 ms in
// registering its types. The fork server has done that once: an unmodified QEMU into which ramet-fork-server.so is preloaded. What it wrote
// meanwhile, some 5 MiB, is shared by all VMs until one writes to it. The process between makes the VM's process the server's own child, as
// if the server had forked it. docs/decisions/0018 says what this costs.
#pragma once

#include <sys/stat.h>

#include <mutex>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

struct ForkServerOptions {
    std::string program;           // absolute path of QEMU
    std::string library;           // absolute path of ramet-fork-server.so; empty: every process is executed
    std::string log;               // where the fork server's last words go; absolute path
    std::optional<User> user;      // as Launch::user
    bool registers_types = false;  // the program is QEMU of the series 7.2, whose entry points are known
};

// Thread rules: launch() from any thread; orders wait for each other only while they are sent. Ends with the object or the server's process;
// the processes it made go on.
class ForkServer {
public:
    explicit ForkServer(ForkServerOptions options);
    ~ForkServer();
    ForkServer(const ForkServer&) = delete;
    ForkServer& operator=(const ForkServer&) = delete;

    bool forks() const { return !options_.library.empty(); }
    // As hypervisor::launch(), which does it where the fork server cannot: another program or user, too many files, no library, or it is gone. A
    // template is a fork or nothing: not_found.
    Result<Process> launch(const Launch& order);

private:
    bool fits(const Launch& order) const;
    bool is_current() const;  // runs, and QEMU's file is the one it was made of
    Result<void> begin();
    void end();
    Result<Process> fork_off(const Launch& order);
    Result<void> send(const Launch& order, int report);

    const ForkServerOptions options_;
    std::mutex mutex_;
    Process process_;
    Fd socket_;
    struct stat program_facts_{};
    int failures_ = 0;  // in a row
};

}  // namespace ramet::hypervisor
