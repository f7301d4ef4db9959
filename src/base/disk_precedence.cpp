#include "base/disk_precedence.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ramet {

namespace {

using std::chrono::steady_clock;

constexpr auto kMoment = std::chrono::milliseconds(5);
constexpr auto kPatience = std::chrono::milliseconds(60);
constexpr auto kLook = std::chrono::milliseconds(1);
constexpr auto kExpected = std::chrono::milliseconds(500);  // after the last sign of such calls

// As many keep a disk busy. Beside linked clones, five a second, a piece at a time with rests of 3 brought what a clone takes back to what it
// takes alone; without rests, or with rests of 1, it did not (`./dev bench concurrency`).
constexpr int kPiecesInFlight = 3;
constexpr int kRest = 3;  // times what the piece took

std::atomic<int> urgent_uses{0};
std::atomic<steady_clock::rep> last_end{0};  // steady_clock's; 0: none yet
std::atomic<steady_clock::rep> last_expected{0};

struct Turns {
    std::mutex mutex;
    std::condition_variable_any changed;
    int under_way = 0;
};
Turns turns;

bool is_within(const std::atomic<steady_clock::rep>& past, steady_clock::duration time) {
    return past.load() != 0 && steady_clock::now().time_since_epoch().count() - past.load() < time.count();
}

bool is_quiet() { return urgent_uses.load() == 0 && !is_within(last_end, kMoment); }

template <class Until>
void sleep_until(steady_clock::time_point end, const std::stop_token& stop, const Until& until) {
    for (auto now = steady_clock::now(); now < end && !until() && !stop.stop_requested(); now = steady_clock::now())
        std::this_thread::sleep_for(std::min<steady_clock::duration>(kLook, end - now));
}

}  // namespace

UrgentDiskUse::UrgentDiskUse() { ++urgent_uses; }

UrgentDiskUse::~UrgentDiskUse() {
    last_end = steady_clock::now().time_since_epoch().count();
    --urgent_uses;
}

void expect_urgent_disk_use() { last_expected = steady_clock::now().time_since_epoch().count(); }

CopyTurn::CopyTurn(const std::stop_token& stop) : stop_(stop) {
    {
        std::unique_lock lock(turns.mutex);
        turns.changed.wait(lock, stop_, [this] {
            rests_ = is_within(last_expected, kExpected);
            return turns.under_way < (rests_ ? 1 : kPiecesInFlight);
        });
        ++turns.under_way;
    }
    sleep_until(steady_clock::now() + kPatience, stop_, is_quiet);
    begun_ = steady_clock::now();
}

CopyTurn::~CopyTurn() {
    const auto now = steady_clock::now();
    if (rests_) sleep_until(now + std::min<steady_clock::duration>((now - begun_) * kRest, kPatience), stop_, [] { return false; });
    const std::lock_guard lock(turns.mutex);
    --turns.under_way;
    turns.changed.notify_all();
}

}  // namespace ramet
