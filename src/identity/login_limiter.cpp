#include "identity/login_limiter.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace ramet::identity {
namespace {

constexpr std::size_t kWindowsMax = 10'000;  // about 2 MiB
constexpr std::int64_t kWindowMilliseconds = std::chrono::milliseconds(limits::kLoginWindow).count();

// A clock that was set back must not lock anybody out.
bool is_over(Timestamp begun, Timestamp now) { return now < begun || now.milliseconds - begun.milliseconds >= kWindowMilliseconds; }

std::string key_of(const std::string& account, const std::string& address) {
    std::string key = address + '\n' + account;  // an address holds no line feed
    for (char& character : key) {
        if (character >= 'A' && character <= 'Z') character = static_cast<char>(character + 32);  // names are compared ignoring case
    }
    return key;
}

}  // namespace

Result<void> LoginLimiter::check(const std::string& account, const std::string& address) {
    const Timestamp now = clock_.now();
    const std::lock_guard lock(mutex_);
    const auto window = windows_.find(key_of(account, address));
    if (window == windows_.end() || is_over(window->second.begun, now) || window->second.failures < limits::kLoginFailuresMax) return {};
    const std::int64_t left = kWindowMilliseconds - (now.milliseconds - window->second.begun.milliseconds);
    return fail(ErrorCode::rate_limited, "too many failed logins; wait " + std::to_string((left + 999) / 1000) + " seconds and try again");
}

void LoginLimiter::failed(const std::string& account, const std::string& address) {
    const Timestamp now = clock_.now();
    const std::lock_guard lock(mutex_);
    const std::string key = key_of(account, address);
    if (!windows_.contains(key)) make_room(now);
    Window& window = windows_[key];
    if (window.failures == 0 || is_over(window.begun, now)) window = Window{now, 0};
    ++window.failures;
}

void LoginLimiter::succeeded(const std::string& account, const std::string& address) {
    const std::lock_guard lock(mutex_);
    windows_.erase(key_of(account, address));
}

std::size_t LoginLimiter::size() const {
    const std::lock_guard lock(mutex_);
    return windows_.size();
}

void LoginLimiter::make_room(Timestamp now) {
    if (windows_.size() < kWindowsMax) return;
    std::erase_if(windows_, [&](const auto& entry) { return is_over(entry.second.begun, now); });
    if (windows_.size() < kWindowsMax) return;
    windows_.erase(std::min_element(windows_.begin(), windows_.end(), [](const auto& a, const auto& b) { return a.second.begun < b.second.begun; }));
}

}  // namespace ramet::identity
