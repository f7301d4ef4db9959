// What QEMU is told: pure functions from a VM's description to arguments and block nodes. No file is opened here.
//
// The device layout is a promise: device state captured from one VM is loaded into another with the same spec.
//   pcie.0    slot 1 VGA · 2 virtio-serial · 3 random numbers · 4 bridge "hot" · 5 bridge "more" · 10 seed disk
//   bridge "hot"   slots 1-25 disks 0-24 · 26-31 NICs of the ports 0-5
//   bridge "more"  slots 1-31 NICs of the ports from 6 on; only where a VM has so many that no port below would be free
// All of a bridge's slots can be plugged into while the VM runs. A bridge costs what one PCIe port costs, half a megabyte and a millisecond.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/machine_identity.hpp"

namespace ramet::hypervisor {

// To be raised with every change of the command line that moves a device or changes what it saves: images of before are refused then.
inline constexpr std::int64_t kDeviceLayout = 2;
inline constexpr const char* kMachineType = "pc-q35-7.2";
inline constexpr const char* kScreenBlock = "0000:00:01.0/vga.vram";  // the memory of the VGA in slot 1, in captured state
inline constexpr const char* kMemoryBlock = "ram0";                   // the guest's memory, by this name in captured state too

// How QEMU reaches the files it needs: by numbers it inherited, never by a path of ours.
struct DiskFiles {
    std::vector<std::string> names_top_first;
};

// A read-only file that QEMU inherits under this number and opens as /dev/fdset/<number>.
struct FileSet {
    int number;
    std::string purpose;
};

struct CommandLineInput {
    DomainSpec spec;
    bool kvm = false;
    std::int64_t tcg_tb_megabytes = 0;      // 0: by the size of the guest
    std::vector<DiskFiles> disks;           // as spec.disks
    std::vector<std::vector<int>> nic_fds;  // as spec.nics: the tap, once per queue; empty: user networking
    std::vector<FileSet> file_sets;
    std::string seed_file;                               // empty: none
    std::string firmware_code_file, firmware_vars_file;  // empty: BIOS
    int monitor_fd = -1;                                 // a listening socket
    std::string memory_file;                             // mapped privately as the guest's memory; empty: fresh memory
    int state_fd = -1;                                   // with memory_file: the stream of all other state
    bool forks = false;                                  // of itself; the fork server's library denies what QEMU's sandbox then does not
    bool ready = false;                                  // with memory_file: disks, NICs, seed and state come later, and the VM's name
};

// invalid_argument for what no machine of ours can have: too many disks, unknown NIC models, a bad MAC.
Result<void> check_spec(const DomainSpec& spec);
std::vector<std::string> command_line(const CommandLineInput& input);
std::int64_t bridges_of(const DomainSpec& spec);        // chosen by its NICs where it has none yet
std::int64_t nic_ports(const DomainSpec& spec);         // the machine has slots for NICs of the ports below
std::int64_t memory_mebibytes(const DomainSpec& spec);  // what the guest is given
inline std::int64_t port_of(const NicSpec& nic) { return nic.port >= 0 ? nic.port : nic.device_id; }

// Whether a process with this command line can be the VM's: begun under its name, or in advance under none.
bool names_vm(const std::string& command_line, const VmId& vm);
std::string escaped(const std::string& text);  // for QEMU's key=value lists: a comma is written twice

// Names of devices and nodes. `level` counts from the bottom of the chain, so that the names below a new overlay stay.
std::string disk_device(std::int64_t device_id);
std::string nic_device(std::int64_t device_id);
std::string nic_backend(std::int64_t device_id);
std::string file_node(std::int64_t device_id, std::size_t level);
std::string format_node(std::int64_t device_id, std::size_t level);

boost::json::object file_node_options(const std::string& node, const std::string& file_name, bool read_only);
// `backing` is the node below; empty for none: what the file's header says is never followed.
boost::json::object format_node_options(const std::string& node, const std::string& file, DiskFormat format, const std::string& backing,
                                        bool read_only);
boost::json::object user_network_options(const NicSpec& nic);
boost::json::object nic_device_options(const NicSpec& nic);
boost::json::object disk_device_options(std::int64_t device_id, const VolumeId& volume, const std::string& node);

}  // namespace ramet::hypervisor
