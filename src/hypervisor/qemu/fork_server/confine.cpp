#include "hypervisor/qemu/fork_server/confine.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace ramet::hypervisor {

namespace {

// QEMU's own sandbox, which a template begins without these, would not let it fork. A template executes nothing and becomes nobody else; a fork does
// not fork either.
constexpr int kDeniedToTemplates[] = {SYS_execve,   SYS_execveat,  SYS_setuid,    SYS_setgid,   SYS_setreuid,
                                      SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid};
constexpr int kDeniedToForks[] = {SYS_fork, SYS_vfork, SYS_setpgid};

class Filter {
public:
    Filter() {
        add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
        kill_unless_equal(AUDIT_ARCH_X86_64);
        add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
        add(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));  // x32's numbers
        add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    }
    void deny(int call, unsigned action = SECCOMP_RET_KILL_PROCESS) {
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
        add(BPF_STMT(BPF_RET | BPF_K, action));
    }
    // Threads yes, processes no. The C library tries clone3(), whose flags cannot be seen, and takes clone() without it.
    void deny_processes() {
        deny(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
        add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
        add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0));
        add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    }
    int install() {
        add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        const sock_fprog program{count_, instructions_};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
        return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? errno : 0;
    }

private:
    void add(sock_filter instruction) { instructions_[count_++] = instruction; }
    void kill_unless_equal(unsigned value) {
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
        add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    }
    sock_filter instructions_[64];
    unsigned short count_ = 0;
};

}  // namespace

int confine_template() {
    Filter filter;
    for (const int call : kDeniedToTemplates) filter.deny(call);
    return filter.install();
}

int confine_fork() {
    Filter filter;
    for (const int call : kDeniedToForks) filter.deny(call);
    filter.deny_processes();
    return filter.install();
}

}  // namespace ramet::hypervisor
