// Makes the rows of VMs follow what their processes do by themselves.
//
// A write that fails: the storage is full, or broken. QEMU stops the VM and nothing is lost: the write is tried again when the VM is resumed. The VM
// becomes Paused, and the event "io-stop" says why.
// An end that nobody could note when it came (the database was full): a job notes it.
#pragma once

#include <stop_token>
#include <thread>

#include "lifecycle/parts.hpp"

namespace ramet::lifecycle {

// Looks every limits::kProcessLook.
class ProcessKeeper {
public:
    explicit ProcessKeeper(Parts& parts) : parts_(parts) {}
    ~ProcessKeeper() { stop(); }
    ProcessKeeper(const ProcessKeeper&) = delete;
    ProcessKeeper& operator=(const ProcessKeeper&) = delete;
    void start();  // after reconcile_at_start()
    void stop();
    // One look; what start() repeats. For tests too.
    Result<void> look();

private:
    Parts& parts_;
    std::jthread thread_;
};

}  // namespace ramet::lifecycle
