// Counts failed logins per account and client address in a sliding window.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace ramet::identity {

class LoginLimiter {
public:
    // rate_limited with the seconds to wait when the window is full.
    Result<void> check(const std::string& account, const std::string& address, Timestamp now);
    void failed(const std::string& account, const std::string& address, Timestamp now);
    void succeeded(const std::string& account, const std::string& address);

private:
    using Key = std::pair<std::string, std::string>;
    void drop_old(std::deque<Timestamp>& failures, Timestamp now) const;
    std::mutex mutex_;
    std::map<Key, std::deque<Timestamp>> failures_;
};

}  // namespace ramet::identity
