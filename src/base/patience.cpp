#include "base/patience.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace ramet {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

thread_local Patience* innermost = nullptr;

}  // namespace

Patience::Patience(std::stop_token stop) : Patience(std::move(stop), Moment::max(), milliseconds(0)) {}

Patience::Patience(std::stop_token stop, Moment latest, milliseconds grace)
    : around_(innermost),
      stop_(std::move(stop)),
      latest_(latest),
      grace_(grace) {
    innermost = this;
}

Patience::~Patience() { innermost = around_; }

Patience Patience::at_most(milliseconds longest) {
    const Moment latest = steady_clock::now() + longest;
    if (innermost == nullptr) return {{}, latest, milliseconds(0)};
    return {innermost->stop_, std::min(latest, innermost->latest_), innermost->grace_};
}

Patience Patience::to_tidy_up() {
    if (innermost == nullptr) return {{}, Moment::max(), milliseconds(0)};
    const Moment latest = innermost->latest_ == Moment::max() ? Moment::max() : std::max(innermost->latest_, steady_clock::now()) + kTidyUpMax;
    return {innermost->stop_, latest, innermost->grace_ + kTidyUpMax};
}

Patience Patience::to_tidy_up_after(const Result<void>& done) {
    const bool was_silent = !done.has_value() && done.error().code == ErrorCode::timeout;
    if (was_silent) return at_most(kTidyUpMax);
    return to_tidy_up();
}

Result<void> Patience::look() {
    const Moment now = steady_clock::now();
    const bool stopped = stop_.stop_requested();
    if (stopped) latest_ = std::min(latest_, now + grace_);
    if (now < latest_) return {};
    return stopped ? fail(ErrorCode::cancelled, "cancelled") : fail(ErrorCode::timeout, "No answer in time");
}

Result<void> still_patient() { return innermost == nullptr ? Result<void>() : innermost->look(); }

Result<std::unique_lock<std::timed_mutex>> lock_patiently(std::timed_mutex& mutex, steady_clock::time_point deadline) {
    std::unique_lock lock(mutex, std::try_to_lock);
    while (!lock.owns_lock()) {
        TRY(still_patient());
        const auto now = steady_clock::now();
        if (now >= deadline) return fail(ErrorCode::timeout, "Somebody else is using it");
        if (lock.try_lock_until(std::min(deadline, now + kPatienceLook))) break;
    }
    return lock;
}

Result<void> pause_patiently(milliseconds pause) {
    const auto end = steady_clock::now() + pause;
    while (true) {
        TRY(still_patient());
        const auto left = end - steady_clock::now();
        if (left <= left.zero()) return {};
        std::this_thread::sleep_for(std::min<steady_clock::duration>(left, kPatienceLook));
    }
}

}  // namespace ramet
