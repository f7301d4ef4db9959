// VMs that QEMU has stopped because a write of theirs failed: the storage is full, or broken. Nothing is lost then: the write is tried again
// when the VM is resumed. The rows follow: the VM is Paused, and the event "io-stop" says why.
#pragma once

#include <stop_token>
#include <thread>

#include "lifecycle/parts.hpp"

namespace ramet::lifecycle {

// Looks every limits::kIoStopLook.
class IoStopKeeper {
public:
    explicit IoStopKeeper(Parts& parts) : parts_(parts) {}
    ~IoStopKeeper() { stop(); }
    IoStopKeeper(const IoStopKeeper&) = delete;
    IoStopKeeper& operator=(const IoStopKeeper&) = delete;
    void start();  // after reconcile_at_start()
    void stop();
    // One look; what start() repeats. For tests too.
    Result<void> look();

private:
    Parts& parts_;
    std::jthread thread_;
};

}  // namespace ramet::lifecycle
