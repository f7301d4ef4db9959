#include "base/disk_precedence.hpp"

#include <atomic>
#include <chrono>
#include <thread>

namespace ramet {

namespace {

using std::chrono::steady_clock;

constexpr auto kMoment = std::chrono::milliseconds(5);
constexpr auto kPatience = std::chrono::milliseconds(60);
constexpr auto kLook = std::chrono::milliseconds(1);

std::atomic<int> urgent_uses{0};
std::atomic<steady_clock::rep> last_end{0};  // steady_clock's; 0: none yet

bool is_quiet() {
    if (urgent_uses.load() > 0) return false;
    return steady_clock::now().time_since_epoch().count() - last_end.load() >= steady_clock::duration(kMoment).count();
}

}  // namespace

UrgentDiskUse::UrgentDiskUse() { ++urgent_uses; }

UrgentDiskUse::~UrgentDiskUse() {
    last_end = steady_clock::now().time_since_epoch().count();
    --urgent_uses;
}

void give_precedence(const std::stop_token& stop) {
    const auto deadline = steady_clock::now() + kPatience;
    while (!is_quiet() && steady_clock::now() < deadline && !stop.stop_requested()) std::this_thread::sleep_for(kLook);
}

}  // namespace ramet
