// A guest to which all else on the machine is preferred.
//
// Its threads run when no other wants a processor (SCHED_IDLE). Linux may share its processors out among sessions first (sched_autogroup_enabled),
// and then a thread's priority counts within its session only: a VM with a session of its own gets the least that a session can, and forks of a
// template stay in its session, all of them together, until they are let out of the background.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "hypervisor/qemu/fork_server_protocol.hpp"
#include "hypervisor/qemu/machine.hpp"

namespace ramet::hypervisor {

namespace {

constexpr int kLeastOfSessions = 19;  // a nice value; a seventieth of what others get

constexpr std::string_view kVirtualProcessors = "CPU ";  // what QEMU's names of their threads begin with

void schedule(pid_t thread, bool idle) {
    const sched_param none{};
    (void)::sched_setscheduler(thread, idle ? SCHED_IDLE : SCHED_OTHER, &none);  // it may have ended meanwhile
}

template <typename Use>
void for_each_thread(pid_t process, const Use& use) {
    std::error_code gone;
    for (std::filesystem::directory_iterator thread("/proc/" + std::to_string(process) + "/task", gone), end; thread != end && !gone;
         thread.increment(gone))
        use(static_cast<pid_t>(std::stoi(thread->path().filename())));
}

}  // namespace

void Machine::in_background(bool wanted) {
    const Result<std::unique_lock<std::timed_mutex>> lock = hold();
    if (!lock.has_value() || ::geteuid() != 0) return;
    const bool is_alive = alive().value_or(false);
    begins_in_background_ = wanted && !is_alive;
    if (is_alive) put_in_background(wanted);
}

// QEMU itself has to hear the order and come as far as the guest's first instruction.
void Machine::put_guest_in_background() {
    for_each_thread(run_->process.pid, [this](pid_t thread) {
        std::string name;
        std::getline(std::ifstream("/proc/" + std::to_string(run_->process.pid) + "/task/" + std::to_string(thread) + "/comm"), name);
        if (name.starts_with(kVirtualProcessors)) schedule(thread, true);
    });
}

void Machine::put_in_background(bool wanted) {
    const pid_t process = run_->process.pid;
    if (::geteuid() == 0) {
        for_each_thread(process, [&](pid_t thread) { schedule(thread, wanted); });
        if (::getsid(process) == process) std::ofstream("/proc/" + std::to_string(process) + "/autogroup") << (wanted ? kLeastOfSessions : 0);
    }
    if (!wanted) leave_shared_session();
}

// Only forks of templates begin in one.
void Machine::leave_shared_session() {
    if (::getsid(run_->process.pid) == run_->process.pid) return;
    (void)::syscall(SYS_pidfd_send_signal, run_->process.pidfd.get(), kOwnSessionSignal, nullptr, 0);
}

}  // namespace ramet::hypervisor
