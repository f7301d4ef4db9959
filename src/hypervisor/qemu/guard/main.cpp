// ramet-freeze-guard UID GID FREEZE_MS: started by rametd for one freeze, in the VM's run directory, with the socket pair to the server and
// the agent's socket inherited. Started as rametd's user, so that it may lie below a private directory; becomes UID and GID at once.
#include <fcntl.h>
#include <grp.h>
#include <unistd.h>
#include <csignal>

#include <array>
#include <charconv>
#include <string_view>

#include "hypervisor/qemu/freeze_guard.hpp"
#include "hypervisor/qemu/process.hpp"

namespace {

std::int64_t number(const char* text) {
    std::int64_t value = -1;
    const std::string_view all(text);
    const auto [rest, error] = std::from_chars(all.data(), all.data() + all.size(), value);
    return error == std::errc{} && rest == all.data() + all.size() ? value : -1;
}

bool become(uid_t uid, gid_t gid) {
    if (::geteuid() == uid) return true;
    return ::setgroups(0, nullptr) == 0 && ::setresgid(gid, gid, gid) == 0 && ::setresuid(uid, uid, uid) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace ramet::hypervisor;
    if (argc != 4 || number(argv[1]) < 0 || number(argv[2]) < 0 || number(argv[3]) < 0) return 2;
    // A thaw is owed: whoever ends the server politely, with all its processes, must not end this one before that.
    for (const int ignored : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(ignored, SIG_IGN);
    if (!become(static_cast<uid_t>(number(argv[1])), static_cast<gid_t>(number(argv[2])))) return 3;
    Fd server(kFirstInheritedFd), agent(kFirstInheritedFd + 1), directory(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    FreezeGuard::Times times;
    times.freeze = std::chrono::milliseconds(number(argv[3]));
    FreezeGuard(std::move(server), std::move(agent), std::move(directory), times).run();
    return 0;
}
