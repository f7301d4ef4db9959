// Starting, finding, watching and ending QEMU processes. Nothing here knows what QEMU is told.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/qemu/fd.hpp"

namespace ramet::hypervisor {

struct User {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  // supplementary
};

inline constexpr int kFirstInheritedFd = 100;  // the child sees its files from this number on
inline constexpr int kInheritedFdsMax = 300;   // 25 disks of 10 layers, NICs and the rest

struct Launch {
    std::string program;                        // absolute path
    std::vector<std::string> arguments;         // without argv[0]
    std::vector<std::string> environment = {};  // NAME=value, beside PATH
    int directory = -1;                         // becomes the working directory
    int log = -1;                               // standard output and error
    std::vector<int> inherited;                 // the n-th becomes kFirstInheritedFd + n in the child; stay ours
    bool huge_pages = true;                     // false: no transparent ones; of each that is touched all 2 MiB are its own
    // QEMU lays the guest's memory out when the machine is complete and not again for every device (0018). Right for a machine that
    // begins with captured state, as nothing is written to its memory before. At rest it gives back what TCG translated (0020). Only the fork server can; another process does the same more slowly.
    bool laid_out_once = false;
    int template_orders = -1;  // not -1: the number in the child of the socket from which it takes orders as a template (templates.hpp)
    std::optional<User> user;  // set when we are root: who the child becomes
};

// A process by pidfd, so that a reused pid can never be meant.
struct Process {
    pid_t pid = -1;
    std::uint64_t start_time = 0;  // field 22 of /proc/<pid>/stat, in clock ticks since boot
    Fd pidfd;
};

// Forks and executes. Returns after execve() has happened; a failure before or in it is the error. The child is in a session of its own.
Result<Process> launch(const Launch& launch);
Result<Process> adopt_child(pid_t pid);  // a child of this process that nobody has waited for
// A process that is not our child, or was that of an earlier server. not_found when there is none with this start time.
Result<Process> open_process(pid_t pid, std::uint64_t start_time);
std::optional<std::uint64_t> start_time_of(pid_t pid);
std::string command_line_of(pid_t pid);  // NUL-separated as in /proc; empty when there is none
std::vector<pid_t> all_processes();
bool has_ended(const Process& process);
// True when it has ended within `patience`. Reaps it when it is our child.
bool wait_for_end(const Process& process, std::chrono::milliseconds patience);
void kill_process(const Process& process);                    // SIGKILL
std::optional<int> reap(const Process& process, bool block);  // exit code, or 128 + signal; empty when not ours or not ended
std::string beside_this_program(const std::string& name);     // the path of a file in the directory of the program that runs
std::string end_text(std::optional<int> code);                // "was ended by signal 11 (Segmentation fault)", for what reap() found

// One thread that calls back when a watched process ends; reaps our children. watch() from any thread.
class ExitWatch {
public:
    ExitWatch();
    ~ExitWatch();
    ExitWatch(const ExitWatch&) = delete;
    ExitWatch& operator=(const ExitWatch&) = delete;
    // Keeps a pidfd of its own. The callback is given what reap() found.
    using Ended = std::function<void(std::optional<int> code)>;
    Result<void> watch(const Process& process, Ended ended);

private:
    struct Watched {
        Fd pidfd;
        Ended ended;
    };
    void work(const std::stop_token& stop);
    Fd epoll_;
    Fd wake_;
    std::mutex mutex_;
    std::uint64_t next_ = 1;
    std::map<std::uint64_t, Watched> watched_;
    std::jthread thread_;
};

}  // namespace ramet::hypervisor
