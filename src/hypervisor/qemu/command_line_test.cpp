#include "hypervisor/qemu/command_line.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "base/limits.hpp"

namespace ramet::hypervisor {
namespace {

DomainSpec small_spec() {
    DomainSpec spec;
    spec.vm = VmId::trusted("327b60d6b8cd41489ade6f4830bcec16");
    spec.cpu_num = 2;
    spec.memory_bytes = 128 * limits::kMiB;
    spec.disks = {
        {VolumeId::trusted("0123456789abcdef0123456789abcdef"), 0, {{"/p", "top.qcow2", DiskFormat::qcow2}, {"/p", "base.raw", DiskFormat::raw}}}};
    spec.nics = {{NicId::random(), 0, "fa:16:3e:00:00:01", "", "10.0.0.7", "255.255.255.0", "10.0.0.1", "web,01", "virtio", true, 1}};
    spec.machine_serial = "a,b";
    return spec;
}

CommandLineInput input_for(const DomainSpec& spec) {
    CommandLineInput input;
    input.spec = spec;
    for (const DiskSpec& disk : spec.disks) {
        DiskFiles names;
        for (std::size_t i = 0; i < disk.chain_top_first.size(); ++i) {
            names.names_top_first.push_back((i == 0 ? "/proc/self/fd/10" : "/dev/fdset/10") + std::to_string(i));
        }
        input.disks.push_back(names);
    }
    input.nic_fds.resize(spec.nics.size());
    input.monitor_fd = 101;
    return input;
}

std::vector<std::string> values_of(const std::vector<std::string>& words, const std::string& option) {
    std::vector<std::string> values;
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i] == option) values.push_back(words[i + 1]);
    }
    return values;
}

bool any_has(const std::vector<std::string>& values, const std::string& part) {
    return std::ranges::any_of(values, [&](const std::string& value) { return value.find(part) != std::string::npos; });
}

TEST(CommandLine, NamesEveryLayerAndEndsTheChainExplicitly) {
    const std::vector<std::string> blocks = values_of(command_line(input_for(small_spec())), "-blockdev");
    ASSERT_EQ(blocks.size(), 4U);
    EXPECT_EQ(blocks[0], R"({"driver":"file","node-name":"d0l0f","filename":"/dev/fdset/101","read-only":true,"auto-read-only":false,)"
                         R"("discard":"unmap","cache":{"direct":false}})");
    EXPECT_EQ(blocks[1], R"({"driver":"raw","node-name":"d0l0q","file":"d0l0f","read-only":true,"discard":"unmap"})");
    EXPECT_EQ(blocks[3], R"({"driver":"qcow2","node-name":"d0l1q","file":"d0l1f","read-only":false,"discard":"unmap","backing":"d0l0q"})");
}

TEST(CommandLine, NeverFollowsTheHeaderOfTheLowestQcow2Layer) {
    DomainSpec spec = small_spec();
    spec.disks[0].chain_top_first = {{"/p", "only.qcow2", DiskFormat::qcow2}};
    const std::vector<std::string> blocks = values_of(command_line(input_for(spec)), "-blockdev");
    ASSERT_EQ(blocks.size(), 2U);
    EXPECT_NE(blocks[1].find(R"("backing":null)"), std::string::npos);
}

TEST(CommandLine, HoldsNoPathOfTheStorage) {
    for (const std::string& word : command_line(input_for(small_spec()))) EXPECT_EQ(word.find("/p"), word.find("/proc/self/fd/")) << word;
}

TEST(CommandLine, WritesCommasTwice) {
    const std::vector<std::string> words = command_line(input_for(small_spec()));
    EXPECT_TRUE(any_has(values_of(words, "-smbios"), "serial=a,,b"));
    EXPECT_TRUE(any_has(values_of(words, "-netdev"), "hostname=web,,01"));
}

TEST(CommandLine, GivesUserNetworkingTheNicsAddress) {
    const std::vector<std::string> netdevs = values_of(command_line(input_for(small_spec())), "-netdev");
    ASSERT_EQ(netdevs.size(), 1U);
    EXPECT_EQ(netdevs[0], "user,id=net0,net=10.0.0.0/255.255.255.0,host=10.0.0.1,dhcpstart=10.0.0.7,dns=10.0.0.3,hostname=web,,01");
}

TEST(CommandLine, KeepsTheNameServerOffTheAddressesInUse) {
    DomainSpec spec = small_spec();
    spec.nics[0].ip = "10.0.0.3";
    spec.nics[0].gateway = "10.0.0.4";
    EXPECT_TRUE(any_has(values_of(command_line(input_for(spec)), "-netdev"), "dns=10.0.0.5"));
}

TEST(CommandLine, LeavesOutAddressesThatMakeNoNetwork) {
    DomainSpec spec = small_spec();
    spec.nics[0].ip = "10.0.1.7";
    spec.nics[0].host_name.clear();
    EXPECT_EQ(values_of(command_line(input_for(spec)), "-netdev").at(0), "user,id=net0");
}

TEST(CommandLine, TakesATapByItsNumber) {
    CommandLineInput input = input_for(small_spec());
    input.nic_fds[0] = {107};
    EXPECT_EQ(values_of(command_line(input), "-netdev").at(0), "tap,id=net0,fd=107");
}

TEST(CommandLine, GivesATapOfSeveralQueuesADescriptorAndTwoInterruptsForEach) {
    CommandLineInput input = input_for(small_spec());
    input.spec.nics[0].tap = "rt0";
    input.spec.nics[0].queues = 3;
    input.nic_fds[0] = {107, 108, 109};
    EXPECT_EQ(values_of(command_line(input), "-netdev").at(0), "tap,id=net0,fds=107:108:109");
    EXPECT_TRUE(any_has(values_of(command_line(input), "-device"), R"("mq":true,"vectors":8)"));
}

TEST(CommandLine, PutsDisksAndNicsIntoTheSlotsOfABridge) {
    DomainSpec spec = small_spec();
    spec.disks.push_back({VolumeId::random(), 24, {{"/p", "d.qcow2", DiskFormat::qcow2}}});
    const std::vector<std::string> devices = values_of(command_line(input_for(spec)), "-device");
    EXPECT_EQ(std::ranges::count_if(devices, [](const std::string& device) { return device.starts_with("pcie-pci-bridge"); }), 1);
    EXPECT_TRUE(any_has(devices, "pcie-pci-bridge,bus=pcie.0,addr=0x4,id=hot"));
    EXPECT_TRUE(any_has(devices, R"("id":"disk0","bus":"hot","addr":"0x1")"));
    EXPECT_TRUE(any_has(devices, R"("id":"disk24","bus":"hot","addr":"0x19")"));
    EXPECT_TRUE(any_has(devices, R"("id":"nic0","netdev":"net0","bus":"hot","addr":"0x1a")"));
}

TEST(CommandLine, HasASecondBridgeWhereNoPortWouldBeFreeForANic) {
    DomainSpec spec = small_spec();
    for (std::int64_t id = 1; id < 16; ++id) {
        spec.nics.push_back(spec.nics[0]);
        spec.nics.back().device_id = id;
        const std::vector<std::string> devices = values_of(command_line(input_for(spec)), "-device");
        EXPECT_EQ(any_has(devices, "pcie-pci-bridge,bus=pcie.0,addr=0x5,id=more"), id >= 5) << id;
    }
    const std::vector<std::string> devices = values_of(command_line(input_for(spec)), "-device");
    EXPECT_TRUE(any_has(devices, R"("id":"nic5","netdev":"net5","bus":"hot","addr":"0x1f")"));
    EXPECT_TRUE(any_has(devices, R"("id":"nic6","netdev":"net6","bus":"more","addr":"0x1")"));
    EXPECT_TRUE(any_has(devices, R"("id":"nic15","netdev":"net15","bus":"more","addr":"0xa")"));
}

TEST(CommandLine, BootsFromTheFirstDiskAlone) {
    DomainSpec spec = small_spec();
    spec.disks.push_back({VolumeId::random(), 1, {{"/p", "d.qcow2", DiskFormat::qcow2}}});
    const std::vector<std::string> devices = values_of(command_line(input_for(spec)), "-device");
    EXPECT_TRUE(any_has(
        devices,
        R"({"driver":"virtio-blk-pci","id":"disk0","bus":"hot","addr":"0x1","disable-legacy":"on","drive":"d0l1q","serial":"0123456789abcdef0123","bootindex":0})"));
    EXPECT_EQ(std::ranges::count_if(devices, [](const std::string& device) { return device.find("bootindex") != std::string::npos; }), 1);
}

TEST(CommandLine, GivesBigGuestsABiggerTranslationCache) {
    DomainSpec spec = small_spec();
    EXPECT_EQ(values_of(command_line(input_for(spec)), "-accel").at(0), "tcg,thread=multi,tb-size=64");
    spec.memory_bytes = 512 * limits::kMiB;
    EXPECT_EQ(values_of(command_line(input_for(spec)), "-accel").at(0), "tcg,thread=multi,tb-size=128");
    CommandLineInput input = input_for(spec);
    input.tcg_tb_megabytes = 32;
    EXPECT_EQ(values_of(command_line(input), "-accel").at(0), "tcg,thread=multi,tb-size=32");
}

TEST(CommandLine, GenerationIdsDifferFromUuidsAndFromEachOther) {
    const VmId one = VmId::random(), other = VmId::random();
    EXPECT_NE(generation_id(one), generation_id(other));
    EXPECT_NE(generation_id(one), dashed(one.text()));
    EXPECT_EQ(generation_id(one), generation_id(one));
    EXPECT_NE(generation_id(one), generation_id(one, "taken back"));
    DomainSpec spec = small_spec();
    spec.generation = "taken back";
    EXPECT_THAT(values_of(command_line(input_for(spec)), "-device"),
                testing::Contains("vmgenid,id=genid,guid=" + generation_id(spec.vm, "taken back")));
}

TEST(CheckSpec, RefusesWhatNoMachineCanHave) {
    EXPECT_TRUE(check_spec(small_spec()).has_value());
    struct Case {
        const char* what;
        void (*spoil)(DomainSpec&);
    };
    const Case cases[] = {
        {"no uuid", [](DomainSpec& spec) { spec.vm = VmId(); }},
        {"no disk", [](DomainSpec& spec) { spec.disks.clear(); }},
        {"no layer", [](DomainSpec& spec) { spec.disks[0].chain_top_first.clear(); }},
        {"raw over something", [](DomainSpec& spec) { spec.disks[0].chain_top_first[0].format = DiskFormat::raw; }},
        {"twice the same place", [](DomainSpec& spec) { spec.disks.push_back(spec.disks[0]); }},
        {"disk 25", [](DomainSpec& spec) { spec.disks[0].device_id = 25; }},
        {"no CPU", [](DomainSpec& spec) { spec.cpu_num = 0; }},
        {"no memory", [](DomainSpec& spec) { spec.memory_bytes = 1; }},
        {"unknown NIC", [](DomainSpec& spec) { spec.nics[0].driver = "virtio,mac=x"; }},
        {"bad MAC", [](DomainSpec& spec) { spec.nics[0].mac = "fa:16:3e:00:00:0g"; }},
        {"MAC with options", [](DomainSpec& spec) { spec.nics[0].mac = "fa:16:3e:00:00:01,x=y"; }},
    };
    for (const Case& entry : cases) {
        DomainSpec spec = small_spec();
        entry.spoil(spec);
        const Result<void> result = check_spec(spec);
        ASSERT_FALSE(result.has_value()) << entry.what;
        EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << entry.what;
    }
}

TEST(CommandLine, GivesUefiCodeThatCannotBeWrittenAndVariablesThatCan) {
    CommandLineInput input = input_for(small_spec());
    EXPECT_FALSE(any_has(values_of(command_line(input), "-machine"), "pflash"));
    input.firmware_code_file = "/dev/fdset/120";
    input.firmware_vars_file = "/proc/self/fd/121";
    const std::vector<std::string> words = command_line(input);
    EXPECT_TRUE(any_has(values_of(words, "-machine"), "pflash0=fwcodeq,pflash1=fwvarsq"));
    const std::vector<std::string> blocks = values_of(words, "-blockdev");
    EXPECT_TRUE(any_has(blocks, R"("node-name":"fwcodef","filename":"/dev/fdset/120","read-only":true)"));
    EXPECT_TRUE(any_has(blocks, R"({"driver":"raw","node-name":"fwvarsq","file":"fwvarsf","read-only":false)")) << "the format is named, not probed";
}

TEST(CommandLine, ATpmTakesNoSlotFromTheOtherDevices) {
    CommandLineInput input = input_for(small_spec());
    const std::vector<std::string> without = values_of(command_line(input), "-device");
    input.spec.tpm_state = "/d/firmware/x/tpm";
    std::vector<std::string> with = values_of(command_line(input), "-device");
    EXPECT_EQ(std::erase(with, "tpm-crb,tpmdev=tpm0"), 1U);
    EXPECT_EQ(with, without);
}

TEST(CheckSpec, RefusesUefiInTooLittleMemory) {
    DomainSpec spec = small_spec();
    spec.uefi_vars = "/d/vars.fd";
    EXPECT_FALSE(check_spec(spec).has_value());
    spec.memory_bytes = 256 * limits::kMiB;
    EXPECT_TRUE(check_spec(spec).has_value());
}

TEST(CommandLine, MapsACapturedMemoryPrivately) {
    CommandLineInput input = input_for(small_spec());
    input.memory_file = "/proc/self/fd/110";
    input.state_fd = 111;
    const std::vector<std::string> words = command_line(input);
    EXPECT_TRUE(any_has(values_of(words, "-object"), "memory-backend-file,share=off,mem-path=/proc/self/fd/110,id=ram0"));
    EXPECT_EQ(values_of(words, "-incoming").at(0), "fd:111");
    EXPECT_TRUE(any_has(values_of(words, "-global"), "migration.announce-rounds=1"));
}

TEST(CommandLine, KeepsTheBridgesOfTheMachineItGoesOnFrom) {
    hypervisor::DomainSpec spec = small_spec();
    spec.bridges = 2;
    spec.nics[0].port = 7;
    EXPECT_EQ(bridges_of(spec), 2);
    spec.nics[0].port = 1;
    const std::vector<std::string> devices = values_of(command_line(input_for(spec)), "-device");
    EXPECT_TRUE(any_has(devices, "id=more"));
    EXPECT_TRUE(any_has(devices, R"("bus":"hot","addr":"0x1b","mac")"));
}

}  // namespace
}  // namespace ramet::hypervisor
