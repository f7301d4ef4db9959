// A QEMU process that is started in advance for memory that is kept: what the pool (ready_pool.hpp) keeps, and what templates (templates.hpp) are.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "hypervisor/qemu/run_directory.hpp"

namespace ramet::hypervisor {

struct Surroundings;

inline constexpr auto kDismissPatience = std::chrono::seconds(5);
inline constexpr const char* kReadyPrefix = "ready-";        // of the names of their run directories
inline constexpr const char* kTemplatePrefix = "template-";  // of those that fork

struct ReadyProcess {
    VmId machine;  // whose uuid it has until a VM takes it
    RunDirectory directory;
    Process process;
    std::unique_ptr<Qmp> qmp;
    bool loaded = false;            // with the captured state, and with what follows
    std::vector<DiskSpec> disks{};  // the captured layers
    std::vector<NicSpec> nics{};
    bool with_seed = false;
    Fd seed{};    // the seed disk's file, in memory; invalid: there is none yet
    Fd orders{};  // of one that forks: where it is told to
    std::optional<std::chrono::steady_clock::time_point> promised_until{};
};

enum class ReadyUse : std::uint8_t { one_vm, forks };

// The whole machine with the captured state where `memory` has no NICs but taps, else one without disks and NICs. unsupported: VMs of this memory
// start by themselves. One that forks has the state.
Result<ReadyProcess> make_ready(Surroundings& surroundings, const KeptMemory& memory, ReadyUse use);
void dismiss(ReadyProcess ready);                          // ends it; its run directory goes
void end_leftover_processes(const std::string& run_root);  // of an earlier server
// Whether it has been given just what a VM's disks stand on.
bool stands_on_layers_of(const ReadyProcess& ready, const DomainSpec& spec);

}  // namespace ramet::hypervisor
