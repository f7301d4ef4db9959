// Host networking that only remembers what it was asked for, and what stands because of it. Thread-safe.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/plumbing.hpp"

namespace ramet::test {

class FakePlumbing final : public hypervisor::Plumbing {
public:
    std::vector<std::string> calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }  // "remove_network <uuid>"
    void fail_next(Error error) {
        const std::lock_guard lock(mutex_);
        next_ = std::move(error);
    }

    bool privileged() const override { return true; }
    Result<void> ensure_network(const hypervisor::NetworkSpec& network) override {
        return note("ensure_network " + network.l3.text(), [&] { networks_.insert(network.l3); });
    }
    Result<void> remove_network(const L3NetworkId& l3) override {
        return note("remove_network " + l3.text(), [&] { networks_.erase(l3); });
    }
    Result<void> plug(const hypervisor::PortSpec& port) override {
        return note("plug " + port.tap, [&] { taps_.insert(port.tap); });
    }
    Result<void> unplug(const hypervisor::PortSpec& port) override {
        return note("unplug " + port.tap, [&] { taps_.erase(port.tap); });
    }
    Result<void> set_port(const std::string& tap, bool enabled) override { return note((enabled ? "enable " : "disable ") + tap); }
    void set_answering(const std::string& ip) {
        const std::lock_guard lock(mutex_);
        answering_ = ip;
    }
    Result<bool> answers(const hypervisor::PortSpec& port) override {
        const std::lock_guard lock(mutex_);
        return !port.ip.empty() && port.ip == answering_;
    }
    // What somebody else left on this machine, until it is unplugged or removed.
    void leave_tap(const std::string& tap) {
        const std::lock_guard lock(mutex_);
        taps_.insert(tap);
    }
    void leave_network(const L3NetworkId& l3) {
        const std::lock_guard lock(mutex_);
        networks_.insert(l3);
    }
    Result<std::vector<std::string>> taps() override {
        const std::lock_guard lock(mutex_);
        return std::vector<std::string>(taps_.begin(), taps_.end());
    }
    Result<std::vector<std::string>> ports() override { return taps(); }
    Result<std::vector<L3NetworkId>> networks() override {
        const std::lock_guard lock(mutex_);
        return std::vector<L3NetworkId>(networks_.begin(), networks_.end());
    }
    Result<void> remove_all() override {
        return note("remove_all", [&] {
            taps_.clear();
            networks_.clear();
        });
    }
    // What stands on a machine whose server was killed. Takes no lock of `dead`: who held it is gone.
    void take_over(const FakePlumbing& dead) {
        const std::lock_guard lock(mutex_);
        taps_ = dead.taps_;
        networks_ = dead.networks_;
    }

private:
    Result<void> note(std::string call, const std::function<void()>& effect = [] {}) {
        const std::lock_guard lock(mutex_);
        calls_.push_back(std::move(call));
        if (!next_) {
            effect();
            return {};
        }
        Error error = std::move(*next_);
        next_.reset();
        return error;
    }
    mutable std::mutex mutex_;
    std::set<std::string> taps_;
    std::set<L3NetworkId> networks_;
    std::vector<std::string> calls_;
    std::string answering_;
    std::optional<Error> next_;
};

}  // namespace ramet::test
