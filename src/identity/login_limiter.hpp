// Counts failed logins per account name and client address. In memory, bounded: a restart forgets, a flood of made-up names
// pushes out the oldest windows only.
// Thread rules: any thread.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace ramet::identity {

class LoginLimiter {
public:
    explicit LoginLimiter(Clock& clock) : clock_(clock) {}
    // rate_limited, with the seconds to wait, after limits::kLoginFailuresMax failures within limits::kLoginWindow.
    Result<void> check(const std::string& account, const std::string& address);
    void failed(const std::string& account, const std::string& address);
    void succeeded(const std::string& account, const std::string& address);
    std::size_t size() const;

private:
    struct Window {
        Timestamp begun;
        int failures = 0;
    };
    void make_room(Timestamp now);

    Clock& clock_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, Window> windows_;
};

}  // namespace ramet::identity
