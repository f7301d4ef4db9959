// A helper daemon that forks itself away and outlives us, known again by an argument that only ours bears. Signals go through a
// pidfd that was checked after it was opened: a reused pid is never hit.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace ramet::hypervisor {

class DaemonProcess {
public:
    // The process that the pid file names, if one of its arguments is `mark`.
    static std::optional<DaemonProcess> at(const std::string& pid_file, const std::string& mark);
    // As at(); when the pid file does not help, any process with that argument.
    static std::optional<DaemonProcess> find(const std::string& pid_file, const std::string& mark);
    static std::vector<DaemonProcess> all(const std::string& mark_prefix);  // every process with an argument that begins so
    // Runs the program and waits until its first process ends, which says whether the daemon is up. Blocks up to 10 s.
    static Result<void> start(const std::vector<std::string>& arguments);

    ~DaemonProcess();
    DaemonProcess(DaemonProcess&& other) noexcept;
    DaemonProcess& operator=(DaemonProcess&& other) noexcept;

    const std::vector<std::string>& arguments() const { return arguments_; }
    void hang_up() const;  // SIGHUP
    Result<void> stop();   // SIGTERM, after 2 s SIGKILL; returns when it is gone

private:
    DaemonProcess(int pidfd, std::vector<std::string> arguments) : pidfd_(pidfd), arguments_(std::move(arguments)) {}
    static std::optional<DaemonProcess> open(pid_t pid, const std::string& mark, bool prefix);
    bool gone_within(int milliseconds) const;
    int pidfd_ = -1;
    std::vector<std::string> arguments_;
};

}  // namespace ramet::hypervisor
