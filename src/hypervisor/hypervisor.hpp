// The hypervisor port: VMs as processes that outlive this one. Knows no database, no storage driver; gets absolute places of disk files.
// Every call may be repeated. Thread rules: all calls from any thread; calls on one VM are serialised inside.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "model/states.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::hypervisor {

struct DiskSpec {
    VolumeId volume;
    std::int64_t device_id = 0;                   // 0: the root disk
    std::vector<storage::Place> chain_top_first;  // every layer named with its format: nothing is probed, no header's path is followed
};

struct NicSpec {
    NicId nic;
    std::int64_t device_id = 0;
    std::string mac;
    std::string tap;                   // device name; empty: QEMU user networking
    std::string ip, netmask, gateway;  // for user networking's DHCP; may be empty
    std::string host_name;
    std::string driver = "virtio";  // virtio, e1000, rtl8139
    bool link_up = true;
    std::int64_t queues = 1;
    std::int64_t port = -1;  // the slot it sits in when that is not the one of its device id: after a swap
};

struct DomainSpec {
    VmId vm;
    std::int64_t cpu_num = 1;
    std::int64_t memory_bytes = 0;
    std::vector<DiskSpec> disks;  // disks[0] boots
    std::vector<NicSpec> nics;
    std::string seed_image;      // absolute path of the NoCloud ISO; empty: none
    std::string machine_serial;  // SMBIOS serial; the SMBIOS uuid is the VM's uuid
    std::string generation;      // another one makes another VM generation id; empty: the VM's first
    std::string uefi_vars;       // absolute path of its UEFI variables, made when absent; empty: it boots by BIOS
    std::string tpm_state;       // absolute path of the directory of its TPM 2.0, made when absent; empty: no TPM
    // The bridges with slots for disks and NICs that the machine was begun with; 0: chosen at the start. Device state loads only into a machine
    // with as many.
    std::int64_t bridges = 0;
};

enum class DomainState : std::uint8_t { running, paused, shut_off };
enum class StopMode : std::uint8_t { grace, cold };  // grace: ACPI power button, after kGracefulStopTimeout the plug

// One overlay of a capture: the file is made before, the chain below it is what the disk has now.
struct OverlaySpec {
    VolumeId volume;
    storage::Place overlay;
};

// The writable layer a disk of the VM uses, or used last when the VM is off.
struct DiskTop {
    VolumeId volume;
    storage::Place place;
    std::vector<storage::Place> chain_top_first;  // from `place` down; empty: not known
};

// Which layers a disk is to let go of: those between its top and `base`, or all below the top when there is no base.
struct ShortenSpec {
    VolumeId volume;
    std::optional<storage::Place> base;
    std::int64_t bytes_per_second_max = 0;  // 0: as fast as it goes
};

// Whether the guest's file systems are frozen for a capture. automatic: if its agent answers; required: else there is no capture.
enum class Quiesce : std::uint8_t { never, automatic, required };
inline constexpr std::array<std::string_view, 3> kQuiesceNames{"never", "auto", "require"};

// What a capture's disks are worth.
enum class Consistency : std::uint8_t {
    crash,       // as after a power cut at that instant
    filesystem,  // the guest's agent had written everything out and stopped all writing
    paused,      // the VM was paused: as `crash`, and what its memory held is not on the disks
    stopped,     // the VM was off; whether it was shut down cleanly is not known
    memory,      // the memory of the same instant goes with the disks: nothing is lost; the disks alone are as `crash`
};
inline constexpr std::array<std::string_view, 5> kConsistencyNames{"crash", "filesystem", "paused", "stopped", "memory"};

// How a capture was frozen, or why it was not.
struct FreezeFacts {
    Consistency consistency = Consistency::crash;
    std::string reason;                   // why not `filesystem`, for people; no word of the guest's in it
    std::int64_t file_systems = 0;        // frozen, as the agent says
    std::chrono::microseconds frozen{0};  // from the freeze being asked for to the thaw's answer
};

struct CaptureFacts {
    std::chrono::microseconds paused{0};  // between QEMU's STOP and RESUME events; 0 when the source was not running
    FreezeFacts freeze;
};

// A VM's whole state at one instant. Two files in a directory of their own: `ram`, flat and sparse, which clones map privately, and
// `state`, all the rest as a stream for QEMU.
struct MemoryPlace {
    std::string directory;   // absolute; made by capture_memory
    bool durable = false;    // capture_memory returns when the files are on the disk
    std::string checksum{};  // as capture_memory told it: what is opened later is held against it
};

struct MemoryFacts {
    CaptureFacts capture;
    bool live = false;   // the guest ran on while its memory was saved
    std::string reason;  // why so, or why not, for people
    std::chrono::microseconds taken{0};
    std::int64_t memory_bytes = 0, allocated_bytes = 0, state_bytes = 0;
    std::string checksum;  // of both files; the adapter's own text, to be handed back unchanged
    std::string layout;    // the devices the state belongs to; the adapter's own text, to be handed back unchanged
};

// Memory that is kept, and what processes that wait for a clone of it need to know.
struct KeptMemory {
    MemoryPlace place;
    std::string layout;
    std::vector<DiskSpec> disks;  // the captured layers, on which the clones' own stand; `volume` has no meaning
};

// What a process that waits was given already.
struct ReadyNic {
    std::int64_t device_id = 0;
    std::string mac, tap;
};
struct ReadyMachine {
    std::vector<ReadyNic> nics;
};
inline constexpr std::chrono::seconds kReadyPromise{60};

struct Capabilities {
    std::string accelerator;         // "kvm" or "tcg"
    std::string accelerator_reason;  // why, for people
    std::string version;             // "QEMU 7.2.22"
    std::string machine_type;        // versioned
    bool privileged_network = false;
    std::string qemu_user;                  // who QEMU runs as
    std::string uefi_missing, tpm_missing;  // why VMs here cannot have it, and what to do; empty: they can
    bool live_memory = false;               // memory can be captured while the guest runs on
    std::string live_memory_reason;         // why, or what to do about it, for people
};

struct ExecResult {
    int exit_code = -1;
    std::string out, err;
};

// The file of a TPM's directory that holds all that outlasts a power cycle.
inline constexpr const char* kTpmStateFile = "tpm2-00.permall";

// Called once between the stop of the vCPUs and the cut of the disks; its failure is the snapshot's.
using WhileStopped = std::function<Result<void>()>;

class Hypervisor {
public:
    virtual ~Hypervisor() = default;
    virtual const Capabilities& capabilities() const = 0;
    virtual Result<void> start(const DomainSpec& spec) = 0;                              // already running: success
    virtual Result<void> stop(const VmId& vm, StopMode mode, std::stop_token stop) = 0;  // already off: success
    virtual Result<void> pause(const VmId& vm) = 0;
    virtual Result<void> resume(const VmId& vm) = 0;
    virtual Result<void> reset(const VmId& vm) = 0;
    virtual Result<DomainState> state(const VmId& vm) = 0;
    // Whether it stands because a write failed, for want of room or otherwise. resume() tries the write again. state() says paused of it.
    virtual Result<bool> is_stopped_by_io(const VmId& vm) = 0;
    // The VM generation id that the guest's hardware shows: not always made from the VM's uuid (machine_identity.hpp).
    virtual Result<std::string> generation_id(const VmId& vm) = 0;
    virtual Result<std::vector<VmId>> running_domains() = 0;  // every process of ours on this machine, known or not
    virtual Result<std::vector<VmId>> running_tpms() = 0;     // the same for the processes behind the VMs' TPMs
    // True when no guest write has reached any of the VM's disks since their top layers were opened or made by snapshot_disks.
    virtual Result<bool> disks_untouched(const VmId& vm) = 0;
    // All disks at one instant. The overlays are opened before the pause; a paused VM stays paused. Repeating it after success is success.
    // The guest is frozen before it, for kFreezeBudget at most, and thawed after it, even if this process ends in between. Quiesce::required
    // fails with nothing touched when there is no freeze; when a freeze did not hold until the cut it fails after it (see disk_tops).
    virtual Result<CaptureFacts> snapshot_disks(const VmId& vm, const std::vector<OverlaySpec>& overlays, Quiesce quiesce = Quiesce::never,
                                                const WhileStopped& while_stopped = nullptr) = 0;
    // Disks as snapshot_disks, and memory, at that very instant. Unlike it this cannot be repeated: what is cut already is wrong_state, since
    // the guest's memory has moved on. When it fails the source runs on (or stays paused), with or without the overlays; nothing is left
    // in `place`.
    virtual Result<MemoryFacts> capture_memory(const VmId& vm, const std::vector<OverlaySpec>& overlays, const MemoryPlace& place,
                                               std::stop_token stop, const WhileStopped& while_stopped = nullptr) = 0;
    // Whether VMs can go on here from memory with that layout, which may have been captured long ago; operation_failed says what has changed.
    virtual Result<void> memory_fits(const std::string& layout) = 0;
    // Like start(), from a captured instant: every link is down whatever `spec` says, then the guest goes on. The VM's devices must be the
    // captured ones (invalid_argument names what differs), and the device state what the place's checksum says; the memory is too large to be
    // read for every VM (verify_memory). The files must stay as they are for as long as the process lives. `together`: of how many
    // VMs that go on from this memory at about the same time it is one; what many can share is then made once.
    virtual Result<void> start_from_memory(const DomainSpec& spec, const MemoryPlace& place, const std::string& layout, std::size_t together) = 0;
    // While `wanted`, whatever else the machine has to do goes before this guest; it runs on what is left over. A VM that is off is so
    // from its first instruction when it goes on from memory next. Where a priority cannot be given back (a server that is not root) none is taken.
    virtual void in_background(const VmId& vm, bool wanted) = 0;
    // Keeps `count` processes ready that need no more than a VM's own disks (and its NICs, where these have no taps) to go on from this memory:
    // start_from_memory takes one where there is one. They are made in the background and end with this server; 0: those that there are end
    // now, and `memory` needs no more than its place.
    virtual void keep_ready(const KeptMemory& memory, std::size_t count) = 0;
    // What up to `count` of those that wait have been given already, for this caller alone: a VM with just these NICs goes on in one of them. One
    // that is not taken within kReadyPromise ends.
    virtual std::vector<ReadyMachine> promise_ready(const MemoryPlace& place, std::size_t count) = 0;
    // Reads all that a memory image holds: what is damaged, for people, or nothing when both files are as they were captured. An error: it could
    // not be found out.
    virtual Result<std::optional<std::string>> verify_memory(const MemoryPlace& place, std::stop_token stop) = 0;
    // Removes the files of a memory image that no process uses. Absent: success.
    virtual Result<void> remove_memory(const MemoryPlace& place) = 0;
    // Takes the NIC out and puts one with another MAC in, link up or down as `nic` says: a new identity on the wire without the guest's
    // help beyond letting go. attach/detach rules apply: waits for the guest, then fails saying so.
    virtual Result<void> swap_nic(const VmId& vm, const NicSpec& nic) = 0;
    // What the disks really stand on: for undo and recovery, which must not trust the rows. Empty for a VM without a run directory.
    virtual Result<std::vector<DiskTop>> disk_tops(const VmId& vm) = 0;
    // Copies what the layers between hold into the disk's top layer while the guest goes on, then lets go of their files. Stopping half way
    // is harmless: what was copied is in the top layer as it is below. cancelled when `stop` is requested; with `stop` requested before the
    // call it only ends what an earlier server had begun. Repeating it after success is success.
    virtual Result<void> shorten_disk(const VmId& vm, const ShortenSpec& spec, const storage::CopyObserver& observer, std::stop_token stop) = 0;
    virtual Result<void> attach_disk(const VmId& vm, const DiskSpec& disk) = 0;
    virtual Result<void> detach_disk(const VmId& vm, const VolumeId& volume) = 0;  // waits for the guest to let go, then fails saying so
    virtual Result<void> set_link(const VmId& vm, const NicId& nic, bool up) = 0;
    // Whether the guest's agent answers now: kAgentProbe at most, and a silent one is not asked again for kAgentSilenceKept. The error says why.
    virtual Result<void> agent_answers(const VmId& vm) = 0;
    // Guest agent. `timeout` error when it does not answer.
    virtual Result<void> agent_ping(const VmId& vm, std::chrono::milliseconds patience) = 0;
    // Every IPv4 address that the guest says it has.
    virtual Result<std::vector<std::string>> agent_addresses(const VmId& vm, std::chrono::milliseconds patience) = 0;
    // cancelled when `stop` is requested: the command may go on in the guest.
    virtual Result<ExecResult> agent_exec(const VmId& vm, const std::string& program, const std::vector<std::string>& arguments,
                                          const std::string& input, std::chrono::milliseconds patience, const std::stop_token& stop = {}) = 0;
    // The guest's clock becomes the host's, and is read back: within 0.1 s.
    virtual Result<void> agent_set_clock(const VmId& vm, std::chrono::milliseconds patience) = 0;
    virtual Result<void> agent_write_file(const VmId& vm, const std::string& path, const std::string& content) = 0;
    virtual Result<std::string> agent_read_file(const VmId& vm, const std::string& path, std::size_t bytes_max) = 0;
    virtual Result<std::string> console_socket(const VmId& vm) = 0;  // absolute path of the VNC unix socket
    // Called from a thread of the adapter when a VM's process ends without stop() having been asked.
    virtual void on_exit(std::function<void(const VmId&)> listener) = 0;
    // Takes up the VMs that outlived the last server; returns those that run.
    virtual Result<std::vector<VmId>> reattach() = 0;
    virtual Result<void> forget(const VmId& vm) = 0;  // removes the run directory of a VM that is off
};

}  // namespace ramet::hypervisor

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<hypervisor::Quiesce>{hypervisor::kQuiesceNames};
template <> inline constexpr std::span<const std::string_view> enum_names<hypervisor::Consistency>{hypervisor::kConsistencyNames};
}  // namespace ramet
