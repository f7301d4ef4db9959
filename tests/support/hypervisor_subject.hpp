// What the hypervisor contract is run against.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>

#include "hypervisor/hypervisor.hpp"

namespace ramet::test {

// A hypervisor ready for use, and the files its VMs stand on. A null hypervisor: this machine cannot have it, `why` says it.
struct HypervisorUnderTest {
    virtual ~HypervisorUnderTest() = default;
    virtual hypervisor::Hypervisor& hypervisor() = 0;
    virtual hypervisor::DomainSpec idle_vm() = 0;  // a new VM with one NIC, whose guest writes nothing and has no agent
    virtual hypervisor::DiskSpec data_disk(std::int64_t device_id) = 0;
    virtual storage::Place overlay_for(const hypervisor::DiskSpec& disk) = 0;
    virtual hypervisor::MemoryPlace memory_place() = 0;  // of a memory image yet to be made
    virtual void crash(const VmId& vm) = 0;              // its process ends, nobody having asked for it
    virtual void restart_server() = 0;                   // hypervisor() is another one afterwards
    std::string why;
};

struct HypervisorSubject {
    std::string name;
    std::function<std::unique_ptr<HypervisorUnderTest>()> make;
};

inline std::string hypervisor_subject_name(const testing::TestParamInfo<HypervisorSubject>& info) { return info.param.name; }
inline void PrintTo(const HypervisorSubject& subject, std::ostream* stream) { *stream << subject.name; }

// True as soon as `what` is; false after ten seconds.
inline bool eventually(const std::function<bool()>& what) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!what()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

}  // namespace ramet::test
