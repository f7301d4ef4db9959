#include "hypervisor/qemu/qemu.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "contract/hypervisor_contract.hpp"
#include "hypervisor/qemu/kvm_probe.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/qemu_vms.hpp"

namespace ramet::test {
namespace {

using namespace std::chrono_literals;
using hypervisor::DomainSpec;
using hypervisor::DomainState;
using hypervisor::StopMode;

class FakeVms final : public HypervisorUnderTest {
public:
    hypervisor::Hypervisor& hypervisor() override { return fake_; }
    DomainSpec idle_vm() override {
        DomainSpec spec;
        spec.vm = VmId::random();
        spec.memory_bytes = limits::kGiB;
        spec.disks = {data_disk(0)};
        spec.nics = {{NicId::random(), 0, "fa:16:3e:00:00:01", "", "", "", "", "", "virtio", true, 1}};
        return spec;
    }
    hypervisor::DiskSpec data_disk(std::int64_t device_id) override {
        return {VolumeId::random(), device_id, {{"/fake", std::to_string(++files_), DiskFormat::qcow2}}};
    }
    storage::Place overlay_for(const hypervisor::DiskSpec&) override { return {"/fake", std::to_string(++files_), DiskFormat::qcow2}; }
    std::string state_path(const std::string& name) override { return "/fake/state/" + name; }
    hypervisor::MemoryPlace memory_place() override { return {"/fake/memory" + std::to_string(++files_)}; }
    void crash(const VmId& vm) override { fake_.crash(vm); }
    void restart_server() override {}

private:
    FakeHypervisor fake_;
    int files_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Real, HypervisorContract,
                         testing::Values(HypervisorSubject{"Qemu", [] { return std::make_unique<QemuVms>(); }},
                                         HypervisorSubject{"Fake", [] { return std::make_unique<FakeVms>(); }}),
                         hypervisor_subject_name);

TEST(FakeHypervisor, FailsTheCallThatItWasToldToBeforeOrAfterItsEffect) {
    FakeVms subject;
    auto& fake = static_cast<FakeHypervisor&>(subject.hypervisor());
    const DomainSpec spec = subject.idle_vm();
    fake.plant({"start", 2, ErrorCode::start_failed, true});
    ASSERT_TRUE(fake.start(subject.idle_vm()).has_value());
    ASSERT_FALSE(fake.start(spec).has_value());
    EXPECT_EQ(fake.state(spec.vm).value(), DomainState::running);
    fake.plant({"stop", 1, ErrorCode::stop_failed, false});
    ASSERT_FALSE(fake.stop(spec.vm, StopMode::cold, {}).has_value());
    EXPECT_EQ(fake.state(spec.vm).value(), DomainState::running);
    EXPECT_EQ(fake.calls().at(1), "start " + spec.vm.text());
}

class Qemu : public testing::Test {
protected:
    void SetUp() override {
        if (!vms_.why.empty()) GTEST_SKIP() << vms_.why;
    }
    hypervisor::Hypervisor& qemu() { return vms_.hypervisor(); }
    DomainSpec started(GuestMode mode) {
        DomainSpec spec = vms_.vm(mode);
        const Result<void> result = qemu().start(spec);
        if (!result.has_value()) ADD_FAILURE() << result.error().message << " | " << result.error().detail;
        return spec;
    }
    std::string status_line(const VmId& vm, const std::string& name) {
        const auto process = vms_.process_of(vm);
        const std::string text = process ? read_file("/proc/" + std::to_string(process->pid) + "/status") : "";
        const std::size_t place = text.find("\n" + name + ":");
        return place == std::string::npos ? "" : text.substr(place + 1, text.find('\n', place + 1) - place - 1);
    }
    QemuVms vms_;
};

TEST_F(Qemu, RunsWithoutRightsBelowADirectoryThatItCannotPass) {
    const DomainSpec spec = started(GuestMode::writer);
    ASSERT_TRUE(vms_.guest_runs(spec.vm)) << "the guest has written to its disk";
    EXPECT_EQ(status_line(spec.vm, "NoNewPrivs"), "NoNewPrivs:\t1");
    EXPECT_EQ(status_line(spec.vm, "Seccomp"), "Seccomp:\t2");
    EXPECT_EQ(status_line(spec.vm, "CapEff"), "CapEff:\t0000000000000000");
    const auto process = vms_.process_of(spec.vm);
    ASSERT_TRUE(process.has_value());
    EXPECT_EQ(::getsid(process->pid), process->pid);
    EXPECT_EQ(status_line(spec.vm, "Uid").find("\t0") == std::string::npos, ::geteuid() != 0 || qemu().capabilities().qemu_user != "root");
}

TEST_F(Qemu, HearsTheGuestsWritesAndKeepsThemOutOfWhatWasSealed) {
    const DomainSpec spec = started(GuestMode::writer);
    ASSERT_TRUE(vms_.guest_runs(spec.vm));
    EXPECT_FALSE(qemu().disks_untouched(spec.vm).value());
    const storage::Place sealed = spec.disks[0].chain_top_first[0];
    const storage::Place overlay = vms_.overlay_for(spec.disks[0]);
    const auto facts = qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_LT(facts->paused, 1s);
    const std::string at_the_cut = read_file(vms_.path_of(sealed));
    const std::uint32_t counted = vms_.counter(sealed);
    EXPECT_GE(counted, 1U);
    EXPECT_TRUE(eventually([&] { return !qemu().disks_untouched(spec.vm).value(); }));
    ASSERT_TRUE(qemu().stop(spec.vm, StopMode::cold, {}).has_value());
    EXPECT_GT(vms_.counter(overlay), counted);
    EXPECT_EQ(vms_.counter(sealed), counted);
    EXPECT_EQ(read_file(vms_.path_of(sealed)) == at_the_cut, true) << "not a byte of a sealed layer changes";
    EXPECT_EQ(run_command({"qemu-img", "check", "-q", "-f", "qcow2", vms_.path_of(overlay)}).exit_status, 0);
}

TEST_F(Qemu, HoldsNoSealedLayerOpenForWriting) {
    const DomainSpec spec = started(GuestMode::idle);
    storage::Place top = spec.disks[0].chain_top_first[0];
    std::vector<storage::Place> sealed;
    for (int i = 0; i < 3; ++i) {
        sealed.push_back(top);
        const storage::Place overlay = vms_.new_overlay(top);
        ASSERT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}).has_value());
        top = overlay;
        vms_.restart_server();  // files that were handed over must outlive the connection they came by
    }
    const auto process = vms_.process_of(spec.vm);
    ASSERT_TRUE(process.has_value());
    const std::filesystem::path table = "/proc/" + std::to_string(process->pid) + "/fd";
    int writable_tops = 0;
    for (const auto& entry : std::filesystem::directory_iterator(table)) {
        std::error_code gone;
        const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
        struct stat facts{};
        if (::lstat(entry.path().c_str(), &facts) != 0 || (facts.st_mode & 0200) == 0) continue;  // the link's mode is how it is open
        for (const storage::Place& place : sealed) EXPECT_NE(target, vms_.path_of(place));
        if (target == vms_.path_of(top)) ++writable_tops;
    }
    EXPECT_EQ(writable_tops, 1);
}

TEST_F(Qemu, LetsAnotherVmReadALayerThatARunningOneStandsOn) {
    const DomainSpec source = started(GuestMode::writer);
    ASSERT_TRUE(vms_.guest_runs(source.vm));
    ASSERT_TRUE(qemu().snapshot_disks(source.vm, {{source.disks[0].volume, vms_.overlay_for(source.disks[0])}}).has_value());
    DomainSpec clone = source;
    clone.vm = VmId::random();
    clone.disks[0].volume = VolumeId::random();
    auto& chain = clone.disks[0].chain_top_first;
    chain.insert(chain.begin(), vms_.overlay_for(source.disks[0]));
    const Result<void> result = qemu().start(clone);
    ASSERT_TRUE(result.has_value()) << result.error().message << " | " << result.error().detail;
    EXPECT_TRUE(vms_.guest_runs(clone.vm));
}

TEST_F(Qemu, RefusesTwoVmsOnOneWritableFileAndLeavesNothing) {
    const DomainSpec spec = started(GuestMode::idle);
    DomainSpec thief = spec;
    thief.vm = VmId::random();
    const Result<void> result = qemu().start(thief);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::start_failed);
    EXPECT_NE(result.error().detail.find("lock"), std::string::npos) << result.error().detail;
    EXPECT_EQ(result.error().message.find('/'), std::string::npos) << result.error().message;
    EXPECT_EQ(qemu().running_domains().value(), std::vector<VmId>{spec.vm});
    EXPECT_TRUE(qemu().forget(thief.vm).has_value());
}

TEST_F(Qemu, SaysThatAFileIsMissing) {
    DomainSpec spec = vms_.vm(GuestMode::idle);
    spec.disks[0].chain_top_first[0].path = "gone.qcow2";
    const Result<void> result = qemu().start(spec);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::start_failed);
    EXPECT_NE(result.error().message.find("volume's file"), std::string::npos);
    spec.disks[0].chain_top_first[0].path = "../storage/../../run/x";
    EXPECT_FALSE(qemu().start(spec).has_value());
    EXPECT_TRUE(qemu().running_domains().value().empty());
}

TEST_F(Qemu, PressesThePowerButton) {
    const DomainSpec spec = started(GuestMode::idle);
    ASSERT_TRUE(vms_.guest_runs(spec.vm));
    std::atomic<int> told = 0;
    qemu().on_exit([&](const VmId&) { ++told; });
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(qemu().stop(spec.vm, StopMode::grace, {}).has_value());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 4s) << "the guest went by itself";
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::shut_off);
    EXPECT_EQ(told, 0);
}

TEST_F(Qemu, PullsThePlugOfAGuestThatDoesNotHear) {
    vms_.graceful_stop = 300ms;
    vms_.restart_server();
    const DomainSpec spec = started(GuestMode::deaf);
    ASSERT_TRUE(vms_.guest_runs(spec.vm));
    std::stop_source cancel;
    cancel.request_stop();
    const Result<void> cancelled = qemu().stop(spec.vm, StopMode::grace, cancel.get_token());
    ASSERT_FALSE(cancelled.has_value());
    EXPECT_EQ(cancelled.error().code, ErrorCode::cancelled);
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::running);
    ASSERT_TRUE(qemu().stop(spec.vm, StopMode::grace, {}).has_value());
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::shut_off);
}

TEST_F(Qemu, NoticesThatTheGuestPoweredItselfOff) {
    std::atomic<int> told = 0;
    qemu().on_exit([&](const VmId&) { ++told; });
    const DomainSpec spec = started(GuestMode::off);
    EXPECT_TRUE(eventually([&] { return told == 1; }));
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::shut_off);
    EXPECT_TRUE(qemu().forget(spec.vm).has_value());
    EXPECT_FALSE(std::filesystem::exists(vms_.run_file(spec.vm, "")));
}

TEST_F(Qemu, SaysSoWhenTheGuestHoldsADisk) {
    const DomainSpec spec = started(GuestMode::idle);
    ASSERT_TRUE(vms_.guest_runs(spec.vm));
    const hypervisor::DiskSpec disk = vms_.data_disk(3);
    ASSERT_TRUE(qemu().attach_disk(spec.vm, disk).has_value());
    for (int again = 0; again < 2; ++again) {
        const Result<void> result = qemu().detach_disk(spec.vm, disk.volume);
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code, ErrorCode::detach_volume_failed) << result.error().detail;
        EXPECT_NE(result.error().message.find("does not let go"), std::string::npos) << result.error().message;
    }
    EXPECT_EQ(qemu().disk_tops(spec.vm).value().size(), 2U);
}

TEST_F(Qemu, HasASlotForEveryDisk) {
    const DomainSpec spec = started(GuestMode::idle);
    for (std::int64_t id = 1; id <= limits::kDataVolumesPerVmMax; ++id) {
        const Result<void> attached = qemu().attach_disk(spec.vm, vms_.data_disk(id));
        ASSERT_TRUE(attached.has_value()) << id << ": " << attached.error().message << " | " << attached.error().detail;
    }
    EXPECT_EQ(qemu().disk_tops(spec.vm).value().size(), static_cast<std::size_t>(limits::kDataVolumesPerVmMax) + 1);
}

TEST_F(Qemu, LeavesNoNodeBehindWhenASnapshotFails) {
    const DomainSpec spec = started(GuestMode::idle);
    const hypervisor::DiskSpec data = vms_.data_disk(1);
    ASSERT_TRUE(qemu().attach_disk(spec.vm, data).has_value());
    const storage::Place good = vms_.overlay_for(spec.disks[0]);
    const storage::Place bad{vms_.root(), "bad.qcow2", DiskFormat::qcow2};
    write_file(vms_.path_of(bad), "this is no qcow2");
    ASSERT_FALSE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, good}, {data.volume, bad}}).has_value());
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::running);
    EXPECT_EQ(qemu().disk_tops(spec.vm).value().at(0).place.path, spec.disks[0].chain_top_first[0].path);
    const storage::Place other = vms_.overlay_for(data);
    const auto facts = qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, good}, {data.volume, other}});
    EXPECT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
}

TEST_F(Qemu, FindsAProcessWhoseNumberWasNeverWritten) {
    const DomainSpec spec = started(GuestMode::idle);
    std::filesystem::remove(vms_.run_file(spec.vm, "pid"));
    vms_.restart_server();
    EXPECT_EQ(qemu().running_domains().value(), std::vector<VmId>{spec.vm});
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::running);
    EXPECT_TRUE(qemu().start(spec).has_value());
    EXPECT_EQ(qemu().running_domains().value().size(), 1U);
    EXPECT_TRUE(qemu().stop(spec.vm, StopMode::cold, {}).has_value());
    EXPECT_TRUE(qemu().running_domains().value().empty());
}

TEST_F(Qemu, SeesAProcessWhoseDirectoryIsGone) {
    const DomainSpec spec = started(GuestMode::idle);
    const auto process = vms_.process_of(spec.vm);
    ASSERT_TRUE(process.has_value());
    std::filesystem::remove_all(vms_.options().run_root + "/" + spec.vm.text());
    EXPECT_EQ(qemu().running_domains().value(), std::vector<VmId>{spec.vm});
    hypervisor::kill_process(*process);
    EXPECT_TRUE(hypervisor::wait_for_end(*process, 5s));
}

TEST_F(Qemu, StartsWithASeedAndEveryKindOfNic) {
    DomainSpec spec = vms_.vm(GuestMode::idle);
    spec.seed_image = vms_.root() + "/seed.iso";
    write_file(spec.seed_image, std::string(64 * 1024, '\0'));
    ::chmod(spec.seed_image.c_str(), 0600);
    spec.nics.push_back(spec.nics[0]);
    spec.nics.push_back(spec.nics[0]);
    spec.nics[1] = {NicId::random(), 1, "fa:16:3e:00:00:02", "", "", "", "", "", "e1000", false, 1};
    spec.nics[2] = {NicId::random(), 5, "fa:16:3e:00:00:03", "", "", "", "", "a,b", "rtl8139", true, 1};
    const Result<void> result = qemu().start(spec);
    ASSERT_TRUE(result.has_value()) << result.error().message << " | " << result.error().detail;
    EXPECT_TRUE(vms_.guest_runs(spec.vm));
}

TEST_F(Qemu, StartsManyAtOnce) {
    std::vector<DomainSpec> specs;
    for (int i = 0; i < 6; ++i) specs.push_back(vms_.vm(GuestMode::idle));
    {
        std::vector<std::jthread> threads;
        for (const DomainSpec& spec : specs) {
            for (int twice = 0; twice < 2; ++twice) threads.emplace_back([&] { EXPECT_TRUE(qemu().start(spec).has_value()); });
        }
    }
    EXPECT_EQ(qemu().running_domains().value().size(), specs.size());
}

TEST(Probe, TheGuestOfTheProbeRunsUnderEmulation) {
    const hypervisor::QemuOptions options;
    if (::access(options.qemu_binary.c_str(), X_OK) != 0) GTEST_SKIP() << "qemu-system-x86 is not installed";
    const hypervisor::ProbeResult works = hypervisor::probe_accelerator(options.qemu_binary, "tcg", "qemu64", std::nullopt, 10s);
    EXPECT_TRUE(works.works) << works.reason;
    const hypervisor::ProbeResult late = hypervisor::probe_accelerator(options.qemu_binary, "tcg", "qemu64", std::nullopt, 1ms);
    EXPECT_FALSE(late.works);
    EXPECT_NE(late.reason.find("1 ms"), std::string::npos);
    const hypervisor::ProbeResult absent = hypervisor::probe_accelerator(options.qemu_binary, "hax", "qemu64", std::nullopt, 10s);
    EXPECT_FALSE(absent.works);
    EXPECT_NE(absent.reason.find("invalid accelerator hax"), std::string::npos) << absent.reason;
}

TEST(OpenQemu, SaysWhatIsMissing) {
    TempDir directory;
    hypervisor::QemuOptions options;
    options.run_root = directory.file("run");
    options.qemu_binary = directory.file("no-such-program");
    const auto opened = hypervisor::open_qemu(options);
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().message.find("check that it is installed"), std::string::npos);
    EXPECT_NE(opened.error().detail.find("execve"), std::string::npos);
}

TEST(QemuFirmware, SaysWhatToInstall) {
    QemuVms vms;
    if (!vms.why.empty()) GTEST_SKIP() << vms.why;
    hypervisor::QemuOptions options = vms.options();
    options.firmware = {"/nowhere/code.fd", "/nowhere/vars.fd"};
    options.swtpm_binary = "/nowhere/swtpm";
    const auto bare = hypervisor::open_qemu(options);
    ASSERT_TRUE(bare.has_value());
    EXPECT_NE((*bare)->capabilities().uefi_missing.find("apt-get install ovmf"), std::string::npos);
    EXPECT_NE((*bare)->capabilities().tpm_missing.find("apt-get install swtpm"), std::string::npos);
    DomainSpec spec = vms.idle_vm();
    spec.tpm_state = vms.state_path("tpm");
    Result<void> started = (*bare)->start(spec);
    ASSERT_FALSE(started.has_value());
    EXPECT_NE(started.error().message.find("apt-get install swtpm"), std::string::npos) << started.error().message;
    spec = vms.idle_vm();
    spec.memory_bytes = 256 * limits::kMiB;
    spec.uefi_vars = vms.state_path("vars") + "/vars.fd";
    started = (*bare)->start(spec);
    ASSERT_FALSE(started.has_value());
    EXPECT_NE(started.error().message.find("apt-get install ovmf"), std::string::npos) << started.error().message;
    EXPECT_TRUE((*bare)->running_domains().value().empty());
}

}  // namespace
}  // namespace ramet::test
