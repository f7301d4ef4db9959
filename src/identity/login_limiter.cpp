#include "identity/login_limiter.hpp"

#include "base/limits.hpp"

namespace ramet::identity {
namespace {

constexpr std::size_t kKeysMax = 10'000;  // beyond it all are forgotten: memory is bounded, an attacker gains one window
constexpr std::int64_t kWindowMilliseconds = std::chrono::milliseconds(limits::kLoginWindow).count();

}  // namespace

void LoginLimiter::drop_old(std::deque<Timestamp>& failures, Timestamp now) const {
    while (!failures.empty() && now.milliseconds - failures.front().milliseconds >= kWindowMilliseconds) failures.pop_front();
}

Result<void> LoginLimiter::check(const std::string& account, const std::string& address, Timestamp now) {
    const std::lock_guard lock(mutex_);
    const auto found = failures_.find({account, address});
    if (found == failures_.end()) return {};
    drop_old(found->second, now);
    if (found->second.size() < static_cast<std::size_t>(limits::kLoginFailuresMax)) return {};
    const std::int64_t wait = (kWindowMilliseconds - (now.milliseconds - found->second.front().milliseconds)) / 1000 + 1;
    return fail(ErrorCode::rate_limited, "too many failed logins for this account from this address; try again in " + std::to_string(wait) + " seconds");
}

void LoginLimiter::failed(const std::string& account, const std::string& address, Timestamp now) {
    const std::lock_guard lock(mutex_);
    if (failures_.size() >= kKeysMax) failures_.clear();
    failures_[{account, address}].push_back(now);
}

void LoginLimiter::succeeded(const std::string& account, const std::string& address) {
    const std::lock_guard lock(mutex_);
    failures_.erase({account, address});
}

}  // namespace ramet::identity
