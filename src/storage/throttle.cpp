#include "storage/throttle.hpp"

#include <algorithm>

namespace ramet::storage {

bool Throttle::acquire(std::int64_t bytes, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [this] { return !taken_whole_; })) return false;
    const Clock::time_point begin = std::max(next_, Clock::now());
    next_ = begin + std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 * static_cast<double>(bytes) / static_cast<double>(bytes_per_second_)));
    // Waits out what was granted before, so that the first bytes go at once and the mean is kept from then on.
    changed_.wait_until(lock, stop, begin, [] { return false; });
    return !stop.stop_requested();
}

Throttle::Turn Throttle::whole(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [this] { return !taken_whole_; })) return {};
    taken_whole_ = true;
    return Turn(this);
}

Throttle::Turn::~Turn() {
    if (owner_ == nullptr) return;
    {
        const std::lock_guard lock(owner_->mutex_);
        owner_->taken_whole_ = false;
    }
    owner_->changed_.notify_all();
}

}  // namespace ramet::storage
