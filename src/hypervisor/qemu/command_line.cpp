#include "hypervisor/qemu/command_line.hpp"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <set>

#include "base/limits.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

namespace {

constexpr std::int64_t kDisksMax = limits::kDataVolumesPerVmMax + 1;
constexpr std::int64_t kFirstDiskSlot = 1;
constexpr std::int64_t kFirstNicSlot = 26;
constexpr std::int64_t kNicsOfFirstBridge = 6;
constexpr std::int64_t kNicsOfSecondBridge = 31;
constexpr const char* kFirstBridge = "hot";
constexpr const char* kSecondBridge = "more";
constexpr const char* kSeedDevice = "virtio-blk-pci,id=seed,bus=pcie.0,addr=0xa,drive=seedq,serial=cidata";
constexpr const char* kReadyName = "guest=ready";

bool is_mac(const std::string& text) {
    if (text.size() != 17) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (i % 3 == 2 ? c != ':' : !hex) return false;
    }
    return true;
}

const char* nic_model(const std::string& driver) {
    if (driver.empty() || driver == "virtio") return "virtio-net-pci";
    if (driver == "e1000") return "e1000";
    if (driver == "rtl8139") return "rtl8139";
    return nullptr;
}

struct Arguments {
    std::vector<std::string> words;
    void add(std::string option) { words.push_back(std::move(option)); }
    void add(std::string option, std::string value) {
        words.push_back(std::move(option));
        words.push_back(std::move(value));
    }
};

std::int64_t translation_cache(const CommandLineInput& input) {
    if (input.tcg_tb_megabytes > 0) return input.tcg_tb_megabytes;
    // A cache that is too small is thrown away and refilled again and again; one that is too large is memory per VM.
    if (input.spec.memory_bytes <= 256 * limits::kMiB) return 64;
    return input.spec.memory_bytes <= limits::kGiB ? 128 : 256;
}

void add_machine(Arguments& arguments, const CommandLineInput& input) {
    const DomainSpec& spec = input.spec;
    const std::int64_t memory = memory_mebibytes(spec);
    const std::string uuid = dashed(spec.vm.text());
    arguments.add("-name", (input.ready ? kReadyName : "guest=" + uuid) + ",debug-threads=on");  // threads bear QEMU's names of them
    arguments.add("-nodefaults");
    arguments.add("-no-user-config");
    arguments.add("-display", "none");
    arguments.add("-S");  // links are set before the first instruction
    const std::string flash = input.firmware_code_file.empty() ? "" : ",pflash0=fwcodeq,pflash1=fwvarsq";
    // What no disk or NIC of ours uses is not there: less for a guest to attack, and less to make and to load at every start.
    arguments.add("-machine", std::string(kMachineType) + ",usb=off,vmport=off,sata=off,smbus=off,memory-backend=ram0" + flash);
    // The block's name in captured state is then "ram0", whatever backend it is loaded into.
    const std::string backend = input.memory_file.empty() ? "memory-backend-ram" : "memory-backend-file,share=off,mem-path=" + input.memory_file;
    arguments.add("-object", backend + ",id=" + kMemoryBlock + ",size=" + std::to_string(memory) + "M,x-use-canonical-path-for-ramblock-id=off");
    if (input.state_fd >= 0 || input.ready) {
        // One frame with the new MAC, and none after the links are down. With 0 QEMU 7.2 crashes when the guest resets its NIC.
        arguments.add("-global", "migration.announce-rounds=1");
        arguments.add("-incoming", input.ready ? "defer" : "fd:" + std::to_string(input.state_fd));
    }
    arguments.add("-m", std::to_string(memory) + "M");
    arguments.add("-accel", input.kvm ? "kvm" : "tcg,thread=multi,tb-size=" + std::to_string(translation_cache(input)));
    arguments.add("-cpu", input.kvm ? "host" : "qemu64");
    arguments.add("-smp", std::to_string(spec.cpu_num));
    arguments.add("-sandbox", std::string("on,obsolete=deny,resourcecontrol=deny") + (input.forks ? "" : ",elevateprivileges=deny,spawn=deny"));
    arguments.add("-rtc", "base=utc");
    arguments.add("-boot", "strict=on");
    arguments.add("-uuid", uuid);
    std::string identity = "type=1,manufacturer=ramet,product=ramet,uuid=" + uuid;
    if (!spec.machine_serial.empty()) identity += ",serial=" + escaped(spec.machine_serial);
    arguments.add("-smbios", identity);
    arguments.add("-device", "vmgenid,id=genid,guid=" + generation_id(spec.vm, spec.generation));
    arguments.add("-device", "VGA,id=vga,bus=pcie.0,addr=0x1");
    arguments.add("-device", "virtio-serial-pci,id=serialbus,bus=pcie.0,addr=0x2");
    arguments.add("-object", "rng-builtin,id=rng0");
    arguments.add("-device", "virtio-rng-pci,id=rng,rng=rng0,bus=pcie.0,addr=0x3");
}

void add_channels(Arguments& arguments, const CommandLineInput& input) {
    arguments.add("-chardev", "socket,id=qmp,fd=" + std::to_string(input.monitor_fd) + ",server=on,wait=off");
    arguments.add("-mon", "chardev=qmp,mode=control");
    // Files handed over later are closed when the last monitor disconnects; this one never does.
    arguments.add("-chardev", "file,id=keep,path=/dev/null");
    arguments.add("-mon", "chardev=keep,mode=control");
    // The freeze guard's own: it has to reach QEMU when the server hangs or is gone.
    arguments.add("-chardev", "socket,id=guard,path=guard.sock,server=on,wait=off");
    arguments.add("-mon", "chardev=guard,mode=control");
    arguments.add("-chardev", "socket,id=agent,path=agent.sock,server=on,wait=off");
    arguments.add("-device", "virtserialport,id=agentport,bus=serialbus.0,nr=1,chardev=agent,name=org.qemu.guest_agent.0");
    arguments.add("-chardev", "file,id=console,path=serial.log,append=on");
    arguments.add("-serial", "chardev:console");
    arguments.add("-vnc", "unix:vnc.sock");
}

// Devices of the board itself: they take no slot, so the layout of all others is the same with and without them.
void add_firmware_and_tpm(Arguments& arguments, const CommandLineInput& input) {
    if (!input.firmware_code_file.empty()) {
        arguments.add("-blockdev", json::serialize(file_node_options("fwcodef", input.firmware_code_file, true)));
        arguments.add("-blockdev", json::serialize(format_node_options("fwcodeq", "fwcodef", DiskFormat::raw, "", true)));
        arguments.add("-blockdev", json::serialize(file_node_options("fwvarsf", input.firmware_vars_file, false)));
        arguments.add("-blockdev", json::serialize(format_node_options("fwvarsq", "fwvarsf", DiskFormat::raw, "", false)));
    }
    if (!input.spec.tpm_state.empty()) {
        arguments.add("-chardev", "socket,id=tpm,path=tpm.sock");
        arguments.add("-tpmdev", "emulator,id=tpm0,chardev=tpm");
        arguments.add("-device", "tpm-crb,tpmdev=tpm0");
    }
}

struct Slot {
    const char* bus;
    std::string address;
};

Slot slot(const char* bus, std::int64_t number) {
    char address[8];
    std::snprintf(address, sizeof address, "0x%x", static_cast<unsigned>(number) & 31U);
    return {bus, address};
}

Slot disk_slot(std::int64_t device_id) { return slot(kFirstBridge, kFirstDiskSlot + device_id); }

Slot nic_slot(std::int64_t port) {
    return port < kNicsOfFirstBridge ? slot(kFirstBridge, kFirstNicSlot + port) : slot(kSecondBridge, 1 + port - kNicsOfFirstBridge);
}

void add_bridges(Arguments& arguments, const DomainSpec& spec) {
    arguments.add("-device", std::string("pcie-pci-bridge,bus=pcie.0,addr=0x4,id=") + kFirstBridge);
    if (bridges_of(spec) > 1) arguments.add("-device", std::string("pcie-pci-bridge,bus=pcie.0,addr=0x5,id=") + kSecondBridge);
}

void add_disks(Arguments& arguments, const CommandLineInput& input) {
    for (const FileSet& set : input.file_sets) {
        arguments.add("-add-fd", "fd=" + std::to_string(set.number) + ",set=" + std::to_string(set.number) + ",opaque=" + set.purpose);
    }
    for (std::size_t i = 0; i < input.spec.disks.size(); ++i) {
        const DiskSpec& disk = input.spec.disks[i];
        const std::size_t levels = disk.chain_top_first.size();
        std::string below;
        for (std::size_t level = 0; level < levels; ++level) {
            const std::size_t from_top = levels - 1 - level;
            const std::string file = file_node(disk.device_id, level);
            const std::string node = format_node(disk.device_id, level);
            arguments.add("-blockdev", json::serialize(file_node_options(file, input.disks[i].names_top_first[from_top], from_top != 0)));
            arguments.add("-blockdev", json::serialize(format_node_options(node, file, disk.chain_top_first[from_top].format, below, from_top != 0)));
            below = node;
        }
        json::object device = disk_device_options(disk.device_id, disk.volume, below);
        if (i == 0) device["bootindex"] = 0;
        arguments.add("-device", json::serialize(device));
    }
    if (!input.seed_file.empty()) {
        arguments.add("-blockdev", json::serialize(file_node_options("seedf", input.seed_file, true)));
        arguments.add("-blockdev", json::serialize(format_node_options("seedq", "seedf", DiskFormat::raw, "", true)));
        arguments.add("-device", kSeedDevice);
    }
    if (input.ready && !input.spec.seed_image.empty()) {
        arguments.add("-blockdev", json::serialize(json::object{{"driver", "null-co"}, {"node-name", "noseed"}, {"read-only", true}}));
        arguments.add("-blockdev", json::serialize(format_node_options("seedq", "noseed", DiskFormat::raw, "", true)));
        arguments.add("-device", kSeedDevice);
    }
}

std::optional<std::uint32_t> ipv4(const std::string& text) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    char rest = 0;
    if (std::sscanf(text.c_str(), "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) != 4 || std::max({a, b, c, d}) > 255) return std::nullopt;
    return a << 24 | b << 16 | c << 8 | d;
}

std::string ipv4_text(std::uint32_t address) {
    return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." + std::to_string(address >> 8 & 255) + "." +
           std::to_string(address & 255);
}

std::string user_network(const NicSpec& nic) {
    std::string text = "user";
    for (const auto& [name, value] : user_network_options(nic)) {
        if (name != "type") text += "," + std::string(name) + "=" + escaped(std::string(value.as_string()));
    }
    return text;
}

std::string tap_network(const std::string& backend, const std::vector<int>& queues) {
    std::string numbers;
    for (const int fd : queues) numbers += (numbers.empty() ? "" : ":") + std::to_string(fd);
    return "tap,id=" + backend + (queues.size() == 1 ? ",fd=" : ",fds=") + numbers;
}

void add_nics(Arguments& arguments, const CommandLineInput& input) {
    for (std::size_t i = 0; i < input.spec.nics.size(); ++i) {
        const NicSpec& nic = input.spec.nics[i];
        const std::string backend = nic_backend(nic.device_id);
        const std::vector<int>& queues = input.nic_fds[i];
        arguments.add("-netdev", queues.empty() ? user_network(nic) : tap_network(backend, queues));
        arguments.add("-device", json::serialize(nic_device_options(nic)));
    }
}

}  // namespace

json::object user_network_options(const NicSpec& nic) {
    json::object options{{"type", "user"}, {"id", nic_backend(nic.device_id)}};
    const auto ip = ipv4(nic.ip), mask = ipv4(nic.netmask), gateway = ipv4(nic.gateway);
    if (ip && mask && gateway && (*gateway & *mask) == (*ip & *mask)) {
        const std::uint32_t network = *ip & *mask;
        std::uint32_t dns = network + 3;  // QEMU's name server needs an address of its own in the network
        while (dns == *ip || dns == *gateway) ++dns;
        options["net"] = ipv4_text(network) + "/" + nic.netmask;
        options["host"] = ipv4_text(*gateway);
        options["dhcpstart"] = ipv4_text(*ip);
        options["dns"] = ipv4_text(dns);
    }
    if (!nic.host_name.empty()) options["hostname"] = nic.host_name;
    return options;
}

bool names_vm(const std::string& command_line, const VmId& vm) {
    return command_line.find("guest=" + dashed(vm.text())) != std::string::npos || command_line.find(kReadyName) != std::string::npos;
}

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) out.append(c == ',' ? 2 : 1, c);
    return out;
}

std::string disk_device(std::int64_t device_id) { return "disk" + std::to_string(device_id); }
std::string nic_device(std::int64_t device_id) { return "nic" + std::to_string(device_id); }
std::string nic_backend(std::int64_t device_id) { return "net" + std::to_string(device_id); }
std::string file_node(std::int64_t device_id, std::size_t level) { return "d" + std::to_string(device_id) + "l" + std::to_string(level) + "f"; }
std::string format_node(std::int64_t device_id, std::size_t level) { return "d" + std::to_string(device_id) + "l" + std::to_string(level) + "q"; }

json::object file_node_options(const std::string& node, const std::string& file_name, bool read_only) {
    return {{"driver", "file"},
            {"node-name", node},
            {"filename", file_name},
            {"read-only", read_only},
            {"auto-read-only", false},
            {"discard", "unmap"},
            {"cache", json::object{{"direct", false}}}};
}

json::object format_node_options(const std::string& node, const std::string& file, DiskFormat format, const std::string& backing, bool read_only) {
    json::object options{{"driver", name_of(format)}, {"node-name", node}, {"file", file}, {"read-only", read_only}, {"discard", "unmap"}};
    if (format == DiskFormat::qcow2) options["backing"] = backing.empty() ? json::value(nullptr) : json::value(backing);
    return options;
}

json::object nic_device_options(const NicSpec& nic) {
    const Slot place = nic_slot(port_of(nic));
    json::object options{{"driver", nic_model(nic.driver)},
                         {"id", nic_device(nic.device_id)},
                         {"netdev", nic_backend(nic.device_id)},
                         {"bus", place.bus},
                         {"addr", place.address},
                         {"mac", nic.mac},
                         {"romfile", ""}};
    if (options["driver"] == "virtio-net-pci") options["disable-legacy"] = "on";
    // An interrupt per queue and direction, one for the control queue, one for changes of the configuration.
    if (!nic.tap.empty() && nic.queues > 1) {
        options["mq"] = true;
        options["vectors"] = 2 * nic.queues + 2;
    }
    return options;
}

json::object disk_device_options(std::int64_t device_id, const VolumeId& volume, const std::string& node) {
    const Slot place = disk_slot(device_id);
    return {{"driver", "virtio-blk-pci"},
            {"id", disk_device(device_id)},
            {"bus", place.bus},
            {"addr", place.address},
            {"disable-legacy", "on"},  // as on PCIe
            {"drive", node},
            {"serial", volume.text().substr(0, 20)}};  // virtio carries 20 characters
}

Result<void> check_spec(const DomainSpec& spec) {
    if (spec.vm.empty() || !is_uuid_text(spec.vm.text())) return fail(ErrorCode::invalid_argument, "A VM needs a uuid to be started");
    if (spec.disks.empty()) return fail(ErrorCode::invalid_argument, "A VM needs a root disk to be started");
    if (spec.cpu_num < 1 || spec.cpu_num > limits::kCpuMax) return fail(ErrorCode::invalid_argument, "A VM has between 1 and 64 CPUs");
    if (spec.memory_bytes < limits::kMemoryBytesMin || spec.memory_bytes > limits::kMemoryBytesMax) {
        return fail(ErrorCode::invalid_argument, "A VM has between 16 MiB and 4 TiB of memory");
    }
    if (!spec.uefi_vars.empty() && spec.memory_bytes < limits::kUefiMemoryBytesMin) {
        return fail(ErrorCode::invalid_argument, "A VM that boots by UEFI needs at least 256 MiB of memory");
    }
    std::set<std::int64_t> disks, nics;
    for (const DiskSpec& disk : spec.disks) {
        if (disk.device_id < 0 || disk.device_id >= kDisksMax || !disks.insert(disk.device_id).second) {
            return fail(ErrorCode::invalid_argument, "A VM has at most 24 data volumes, each with a device id of its own");
        }
        if (disk.chain_top_first.empty()) return fail(ErrorCode::invalid_argument, "A volume without a file cannot be attached");
        for (std::size_t i = 0; i + 1 < disk.chain_top_first.size(); ++i) {
            if (disk.chain_top_first[i].format != DiskFormat::qcow2)
                return fail(ErrorCode::invalid_argument, "Only a qcow2 layer can have another below it");
        }
    }
    for (const NicSpec& nic : spec.nics) {
        if (nic.device_id < 0 || nic.device_id >= limits::kNicsPerVmMax || !nics.insert(nic.device_id).second) {
            return fail(ErrorCode::invalid_argument, "A VM has at most 16 NICs, each with a device id of its own");
        }
        if (nic_model(nic.driver) == nullptr) return fail(ErrorCode::invalid_argument, "A NIC's driver is virtio, e1000 or rtl8139");
        if (!is_mac(nic.mac)) return fail(ErrorCode::invalid_argument, "'" + nic.mac.substr(0, 32) + "' is not a MAC address");
    }
    return {};
}

std::int64_t memory_mebibytes(const DomainSpec& spec) {
    return (spec.memory_bytes + limits::kMiB - 1) / limits::kMiB;  // QEMU wants whole pages; we give whole MiB
}

std::int64_t bridges_of(const DomainSpec& spec) {
    if (spec.bridges > 0) return spec.bridges;
    const bool is_beyond = std::ranges::any_of(spec.nics, [](const NicSpec& nic) { return port_of(nic) >= kNicsOfFirstBridge; });
    const bool is_full = static_cast<std::int64_t>(spec.nics.size()) >= kNicsOfFirstBridge;  // a NIC is exchanged by way of a free port
    return is_beyond || is_full ? 2 : 1;
}

std::int64_t nic_ports(const DomainSpec& spec) { return kNicsOfFirstBridge + (spec.bridges > 1 ? kNicsOfSecondBridge : 0); }

std::vector<std::string> command_line(const CommandLineInput& input) {
    Arguments arguments;
    add_machine(arguments, input);
    add_channels(arguments, input);
    add_bridges(arguments, input.spec);
    add_disks(arguments, input);
    add_firmware_and_tpm(arguments, input);
    add_nics(arguments, input);
    return std::move(arguments.words);
}

}  // namespace ramet::hypervisor
