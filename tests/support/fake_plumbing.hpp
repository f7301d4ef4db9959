// Host networking that only remembers what it was asked for. Thread-safe.
#pragma once

#include <mutex>
#include <optional>
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
    Result<void> ensure_network(const hypervisor::NetworkSpec& network) override { return note("ensure_network " + network.l3.text()); }
    Result<void> remove_network(const L3NetworkId& l3) override {
        TRY(note("remove_network " + l3.text()));
        const std::lock_guard lock(mutex_);
        std::erase(networks_, l3);
        return {};
    }
    Result<void> plug(const hypervisor::PortSpec& port) override { return note("plug " + port.tap); }
    Result<void> unplug(const hypervisor::PortSpec& port) override {
        TRY(note("unplug " + port.tap));
        const std::lock_guard lock(mutex_);
        std::erase(taps_, port.tap);
        return {};
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
        taps_.push_back(tap);
    }
    void leave_network(const L3NetworkId& l3) {
        const std::lock_guard lock(mutex_);
        networks_.push_back(l3);
    }
    Result<std::vector<std::string>> taps() override {
        const std::lock_guard lock(mutex_);
        return taps_;
    }
    Result<std::vector<std::string>> ports() override { return taps(); }
    Result<std::vector<L3NetworkId>> networks() override {
        const std::lock_guard lock(mutex_);
        return networks_;
    }
    Result<void> remove_all() override { return note("remove_all"); }

private:
    Result<void> note(std::string call) {
        const std::lock_guard lock(mutex_);
        calls_.push_back(std::move(call));
        if (!next_) return {};
        Error error = std::move(*next_);
        next_.reset();
        return error;
    }
    mutable std::mutex mutex_;
    std::vector<std::string> calls_, taps_;
    std::vector<L3NetworkId> networks_;
    std::string answering_;
    std::optional<Error> next_;
};

}  // namespace ramet::test
