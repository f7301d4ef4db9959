#include "hypervisor/qemu/memory_layout.hpp"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fstream>

#include "hypervisor/qemu/command_line.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "hypervisor/qemu/run_directory.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

namespace {

// "QEMU 7.2" of "QEMU 7.2.22": stable releases of one series read each other's state.
std::string series_of(const std::string& version) {
    const std::size_t first = version.find('.');
    return version.substr(0, first == std::string::npos ? first : version.find('.', first + 1));
}

// What the guest's CPU is. With KVM it is the host's, and state moves only between equal ones.
std::string cpu_of(const Capabilities& capabilities) {
    if (capabilities.accelerator != "kvm") return "qemu64";
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
    }
    return "host";
}

struct Trait {
    const char* name;  // in the text
    const char* what;  // for people
    std::string here;
};

std::array<Trait, 5> traits_of(const Capabilities& capabilities) {
    return {{{"qemu", "the QEMU version", series_of(capabilities.version)},
             {"machine", "the machine type", capabilities.machine_type},
             {"accelerator", "the accelerator", capabilities.accelerator},
             {"cpu", "the CPU", cpu_of(capabilities)},
             {"devices", "the device layout", std::to_string(kDeviceLayout)}}};
}

Result<std::string> member(const json::value& layout, const char* name) {
    const json::value* found = layout.is_object() ? layout.as_object().if_contains(name) : nullptr;
    if (found == nullptr || !found->is_string())
        return fail(ErrorCode::operation_failed, "What the memory belongs to is not readable; capture again");
    return std::string(found->as_string());
}

}  // namespace

std::string layout_text(const DomainSpec& captured, const Capabilities& capabilities) {
    json::object text;
    for (const Trait& trait : traits_of(capabilities)) text[trait.name] = trait.here;
    text["record"] = record_text(DomainRecord{.spec = captured});
    return json::serialize(text);
}

Result<void> check_layout(const std::string& layout, const Capabilities& capabilities) {
    TRY_ASSIGN(const json::value text, parse_bounded(layout));
    for (const Trait& trait : traits_of(capabilities)) {
        TRY_ASSIGN(const std::string captured, member(text, trait.name));
        if (captured == trait.here) continue;
        return fail(ErrorCode::operation_failed, std::string("The memory does not fit this host any more: ") + trait.what + " was " + captured +
                                                     " and is " + trait.here + "; do without the memory, or capture again");
    }
    return {};
}

Result<DomainSpec> captured_spec(const std::string& layout) {
    TRY_ASSIGN(const json::value text, parse_bounded(layout));
    TRY_ASSIGN(const std::string record, member(text, "record"));
    TRY_ASSIGN(DomainRecord read, read_record_text(record));
    return std::move(read.spec);
}

Result<void> adopt_layout(DomainSpec& spec, const std::string& layout) {
    TRY_ASSIGN(const DomainSpec captured, captured_spec(layout));
    const auto differs = [](const std::string& what) {
        return fail(ErrorCode::invalid_argument, "A VM that goes on from another's memory needs the same devices; " + what + " differs");
    };
    if (spec.cpu_num != captured.cpu_num) return differs("the number of CPUs");
    if (memory_mebibytes(spec) != memory_mebibytes(captured)) return differs("the size of the memory");
    if (spec.uefi_vars.empty() != captured.uefi_vars.empty()) return differs("the firmware");
    if (spec.tpm_state.empty() != captured.tpm_state.empty()) return differs("the TPM");
    if (spec.seed_image.empty() != captured.seed_image.empty()) return differs("the seed disk");
    if (spec.disks.size() != captured.disks.size()) return differs("the number of disks");
    for (const DiskSpec& disk : captured.disks) {
        if (std::ranges::find(spec.disks, disk.device_id, &DiskSpec::device_id) == spec.disks.end()) return differs("a disk's place");
    }
    if (spec.nics.size() != captured.nics.size()) return differs("the number of NICs");
    for (const NicSpec& nic : captured.nics) {
        const auto same = std::ranges::find(spec.nics, nic.device_id, &NicSpec::device_id);
        if (same == spec.nics.end()) return differs("a NIC's place");
        if (same->driver != nic.driver) return differs("a NIC's model");
        if (same->tap.empty() != nic.tap.empty() || (!nic.tap.empty() && same->queues != nic.queues)) return differs("a NIC's number of queues");
        same->port = nic.port;
    }
    spec.bridges = captured.bridges;
    return {};
}

}  // namespace ramet::hypervisor
