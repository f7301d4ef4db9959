#include "hypervisor/qemu/memory_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ramet::hypervisor {
namespace {

using testing::HasSubstr;

Capabilities here() {
    Capabilities capabilities;
    capabilities.accelerator = "tcg";
    capabilities.version = "QEMU 7.2.22";
    capabilities.machine_type = "pc-q35-7.2";
    return capabilities;
}

DomainSpec machine() {
    DomainSpec spec;
    spec.vm = VmId::random();
    spec.cpu_num = 2;
    spec.memory_bytes = 64 << 20;
    spec.disks.push_back({VolumeId::random(), 0, {{"/pool", "root.qcow2", DiskFormat::qcow2}}});
    NicSpec nic;
    nic.nic = NicId::random();
    nic.mac = "fa:16:3e:00:00:01";
    nic.port = 3;
    spec.nics.push_back(nic);
    spec.bridges = 2;
    return spec;
}

std::string reason(const Result<void>& result) { return result.has_value() ? "fits" : result.error().message; }

TEST(MemoryLayout, FitsTheHostThatCapturedItAndLaterReleasesOfItsSeries) {
    const std::string layout = layout_text(machine(), here());
    EXPECT_EQ(reason(check_layout(layout, here())), "fits");
    Capabilities updated = here();
    updated.version = "QEMU 7.2.23";
    EXPECT_EQ(reason(check_layout(layout, updated)), "fits");
}

TEST(MemoryLayout, SaysWhatHasChangedSince) {
    const std::string layout = layout_text(machine(), here());
    Capabilities other = here();
    other.version = "QEMU 8.0.1";
    EXPECT_THAT(reason(check_layout(layout, other)), HasSubstr("the QEMU version was QEMU 7.2 and is QEMU 8.0"));
    other = here();
    other.machine_type = "pc-q35-8.0";
    EXPECT_THAT(reason(check_layout(layout, other)), HasSubstr("the machine type was pc-q35-7.2"));
    other = here();
    other.accelerator = "kvm";
    EXPECT_THAT(reason(check_layout(layout, other)), HasSubstr("the accelerator was tcg and is kvm"));
    EXPECT_FALSE(check_layout("{}", here()).has_value());
    EXPECT_FALSE(check_layout("not JSON", here()).has_value());
}

TEST(MemoryLayout, GivesASpecTheCapturedSlotsAndNamesWhatDiffers) {
    const DomainSpec captured = machine();
    const std::string layout = layout_text(captured, here());
    DomainSpec clone = machine();
    clone.bridges = 0;
    clone.nics[0].port = -1;
    ASSERT_EQ(reason(adopt_layout(clone, layout)), "fits");
    EXPECT_EQ(clone.bridges, 2);
    EXPECT_EQ(clone.nics[0].port, 3);
    const auto refused = [&](const auto& change) {
        DomainSpec changed = machine();
        change(changed);
        return reason(adopt_layout(changed, layout));
    };
    EXPECT_THAT(refused([](DomainSpec& spec) { spec.cpu_num = 1; }), HasSubstr("CPUs"));
    EXPECT_THAT(refused([](DomainSpec& spec) { spec.uefi_vars = "/vars"; }), HasSubstr("the firmware"));
    EXPECT_THAT(refused([](DomainSpec& spec) { spec.tpm_state = "/tpm"; }), HasSubstr("the TPM"));
    EXPECT_THAT(refused([](DomainSpec& spec) { spec.nics[0].driver = "e1000"; }), HasSubstr("a NIC's model"));
    EXPECT_THAT(refused([](DomainSpec& spec) { spec.disks.clear(); }), HasSubstr("the number of disks"));
}

}  // namespace
}  // namespace ramet::hypervisor
