#include "base/crash_point.hpp"

#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

namespace ramet {
namespace crash_detail {

std::atomic<bool> armed{false};

namespace {
std::string wanted_name;
std::atomic<int> passages_left{1};
int wanted_signal = SIGKILL;
CrashHook told = nullptr;
}  // namespace

void pass(const char* name) {
    if (told != nullptr) return told(name);
    if (wanted_name != name) return;
    if (passages_left.fetch_sub(1) == 1) ::kill(::getpid(), wanted_signal);  // the process, not the thread alone
}

}  // namespace crash_detail

void arm_crash_points_from_environment() {
    const char* setting = std::getenv("RAMET_CRASH_POINT");
    if (setting == nullptr) {
        setting = std::getenv("RAMET_STOP_POINT");
        crash_detail::wanted_signal = SIGSTOP;
    }
    if (setting == nullptr || *setting == '\0') return;
    const std::string_view text(setting);
    const std::size_t mark = text.find('#');  // names may have colons
    crash_detail::wanted_name = std::string(text.substr(0, mark));
    if (mark != std::string_view::npos) crash_detail::passages_left = std::atoi(setting + mark + 1);
    crash_detail::armed.store(true);
}

void hook_crash_points(CrashHook hook) {
    crash_detail::told = hook;
    crash_detail::armed.store(hook != nullptr);
}

}  // namespace ramet
