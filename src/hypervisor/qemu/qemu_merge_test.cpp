// Shortening the chains of real VMs: what the guest sees, what is left when something ends in the middle.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <fstream>
#include <thread>

#include "base/crash_point.hpp"
#include "hypervisor/qemu/run_directory.hpp"
#include "support/qemu_vms.hpp"

namespace ramet::test {
namespace {

using hypervisor::DomainSpec;
using hypervisor::DomainState;
using hypervisor::ShortenSpec;
using hypervisor::StopMode;

constexpr std::int64_t kMegabyte = 1024 * 1024;

class QemuMerge : public testing::Test {
protected:
    void SetUp() override {
        if (!vms_.why.empty()) GTEST_SKIP() << vms_.why;
    }
    hypervisor::Hypervisor& qemu() { return vms_.hypervisor(); }

    // A running guest whose data disk has a raw base of 8 MiB and `layers` overlays, each with a mebibyte of its own.
    DomainSpec started(GuestMode mode, int layers) {
        DomainSpec spec = vms_.vm(mode);
        storage::Place base{vms_.root(), "large.raw", DiskFormat::raw};
        write_file(vms_.path_of(base), std::string(8 * kMegabyte, 'b'));
        hypervisor::DiskSpec disk{VolumeId::random(), 1, {base}};
        for (int layer = 0; layer < layers; ++layer) {
            const storage::Place overlay = vms_.new_overlay(disk.chain_top_first.front());
            const auto written =
                run_command({"qemu-io", "-f", "qcow2", "-c", "write -P " + std::to_string(layer + 1) + " " + std::to_string(layer) + "M 1536k",
                             vms_.path_of(overlay)});
            EXPECT_EQ(written.exit_status, 0) << written.output;
            disk.chain_top_first.insert(disk.chain_top_first.begin(), overlay);
        }
        spec.disks.push_back(disk);
        before_ = vms_.contents(disk.chain_top_first.front());
        const Result<void> running = qemu().start(spec);
        EXPECT_TRUE(running.has_value()) << running.error().message << " | " << running.error().detail;
        return spec;
    }
    void expect_contents(const DomainSpec& spec) {
        EXPECT_TRUE(qemu().stop(spec.vm, StopMode::cold, {}).has_value());
        EXPECT_TRUE(vms_.contents(spec.disks[1].chain_top_first.front()) == before_) << "the disk reads otherwise than before";
        const auto checked = run_command({"qemu-img", "check", "-f", "qcow2", vms_.path_of(spec.disks[1].chain_top_first.front())});
        EXPECT_EQ(checked.exit_status, 0) << checked.output;
    }
    int backing_depth(const storage::Place& top) {
        const auto info = run_command({"qemu-img", "info", "-U", "--backing-chain", "-f", "qcow2", vms_.path_of(top)});
        int depth = 0;
        for (std::size_t at = 0; (at = info.output.find("virtual size:", at)) != std::string::npos; ++at) ++depth;
        return depth;
    }
    std::size_t open_layers(const VmId& vm) {
        std::size_t count = 0;
        const auto process = vms_.process_of(vm);
        for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process->pid) + "/fd")) {
            std::error_code gone;
            const std::string target = std::filesystem::read_symlink(entry, gone).string();
            if (target.find("/overlay") != std::string::npos || target.find("/large.raw") != std::string::npos) ++count;
        }
        return count;
    }

    QemuVms vms_;
    std::string before_;
};

TEST_F(QemuMerge, AWritingGuestKeepsWhatItWroteWhileItsRootDiskIsMadeToStandAlone) {
    const DomainSpec spec = vms_.vm(GuestMode::writer);
    ASSERT_TRUE(qemu().start(spec).has_value());
    ASSERT_TRUE(vms_.guest_runs(spec.vm));
    const storage::Place overlay = vms_.overlay_for(spec.disks[0]);
    ASSERT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}).has_value());
    const Result<void> alone = qemu().shorten_disk(spec.vm, {spec.disks[0].volume, std::nullopt, 0}, {}, {});
    ASSERT_TRUE(alone.has_value()) << alone.error().message << " | " << alone.error().detail;
    const storage::Place next = vms_.new_overlay(overlay);
    ASSERT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, next}}).has_value());
    const std::uint32_t at_the_cut = vms_.counter(overlay);
    EXPECT_GT(at_the_cut, 0U);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ASSERT_TRUE(qemu().stop(spec.vm, StopMode::cold, {}).has_value());
    EXPECT_GT(vms_.counter(next), at_the_cut) << "it went on writing";
    EXPECT_EQ(backing_depth(next), 2);
}

TEST_F(QemuMerge, TheLayersBetweenAreClosedAndTheHeaderNamesTheBase) {
    const DomainSpec spec = started(GuestMode::idle, 5);
    const auto& chain = spec.disks[1].chain_top_first;
    storage::CopyProgress last{0, 0};
    const std::size_t open_before = open_layers(spec.vm);
    ASSERT_TRUE(qemu().shorten_disk(spec.vm, {spec.disks[1].volume, chain[3], 0}, [&](storage::CopyProgress now) { last = now; }, {}).has_value());
    EXPECT_GT(last.total_bytes, 0);
    EXPECT_EQ(last.done_bytes, last.total_bytes);
    EXPECT_LE(open_layers(spec.vm) + 2, open_before);
    EXPECT_EQ(backing_depth(chain[0]), 4);  // top, two kept layers below it, base
    expect_contents(spec);
}

TEST_F(QemuMerge, AStoppedMergeIsHarmlessAndCanBeDoneAgain) {
    const DomainSpec spec = started(GuestMode::idle, 4);
    const auto& disk = spec.disks[1];
    std::stop_source stop;
    std::thread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        stop.request_stop();
    });
    const auto begun = std::chrono::steady_clock::now();
    const Result<void> stopped = qemu().shorten_disk(spec.vm, {disk.volume, std::nullopt, kMegabyte}, {}, stop.get_token());
    stopper.join();
    ASSERT_FALSE(stopped.has_value());
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
    EXPECT_EQ(backing_depth(disk.chain_top_first[0]), 5);
    const storage::Place overlay = vms_.overlay_for(disk);
    ASSERT_TRUE(qemu().snapshot_disks(spec.vm, {{disk.volume, overlay}}).has_value()) << "its nodes are as before";
    EXPECT_TRUE(qemu().shorten_disk(spec.vm, {disk.volume, std::nullopt, 0}, {}, {}).has_value());
    EXPECT_EQ(backing_depth(overlay), 1);
    expect_contents(spec);
}

TEST_F(QemuMerge, WhenQemuEndsInTheMiddleTheDiskIsAsItWas) {
    const DomainSpec spec = started(GuestMode::idle, 4);
    std::thread killer([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        vms_.crash(spec.vm);
    });
    const Result<void> ended = qemu().shorten_disk(spec.vm, {spec.disks[1].volume, std::nullopt, kMegabyte}, {}, {});
    killer.join();
    ASSERT_FALSE(ended.has_value());
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::shut_off);
    const auto repaired = run_command({"qemu-img", "check", "-r", "leaks", "-f", "qcow2", vms_.path_of(spec.disks[1].chain_top_first[0])});
    EXPECT_EQ(repaired.exit_status, 0) << repaired.output;  // a killed QEMU may leave clusters that nothing refers to
    EXPECT_EQ(backing_depth(spec.disks[1].chain_top_first[0]), 5);
    expect_contents(spec);
}

// The layers between are removed after a merge: by then what they held must be in the file, not in a process that can be killed.
TEST_F(QemuMerge, AKilledQemuLosesNothingOfWhatWasMerged) {
    for (const bool alone : {false, true}) {
        const DomainSpec spec = started(GuestMode::idle, 4);
        const auto& chain = spec.disks[1].chain_top_first;
        const std::optional<storage::Place> base = alone ? std::nullopt : std::optional(chain[3]);
        ASSERT_TRUE(qemu().shorten_disk(spec.vm, {spec.disks[1].volume, base, 0}, {}, {}).has_value());
        vms_.crash(spec.vm);
        EXPECT_EQ(backing_depth(chain[0]), alone ? 1 : 3);
        expect_contents(spec);
    }
}

class QemuMergeCrash : public QemuMerge, public testing::WithParamInterface<const char*> {};

// The server dies at a crash point; the next one takes the VM up and merges again.
TEST_P(QemuMergeCrash, TheNextServerFinishesWhatThisOneBegan) {
    const DomainSpec spec = started(GuestMode::idle, 4);
    const ShortenSpec order{spec.disks[1].volume, spec.disks[1].chain_top_first[3], 0};
    vms_.close_server();
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("RAMET_CRASH_POINT", GetParam(), 1);
        arm_crash_points_from_environment();
        auto server = hypervisor::open_qemu(vms_.options());
        if (server.has_value() && (*server)->reattach().has_value()) (void)(*server)->shorten_disk(spec.vm, order, {}, {});
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << GetParam() << " was not passed";
    vms_.restart_server();
    ASSERT_TRUE(qemu().reattach().has_value());
    ASSERT_TRUE(qemu().shorten_disk(spec.vm, order, {}, {}).has_value());
    EXPECT_EQ(backing_depth(spec.disks[1].chain_top_first[0]), 3);
    const storage::Place overlay = vms_.overlay_for(spec.disks[1]);
    ASSERT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[1].volume, overlay}}).has_value());
    EXPECT_TRUE(qemu().shorten_disk(spec.vm, {spec.disks[1].volume, std::nullopt, 0}, {}, {}).has_value());
    EXPECT_EQ(backing_depth(overlay), 1);
    expect_contents(spec);
}

INSTANTIATE_TEST_SUITE_P(Points, QemuMergeCrash, testing::Values("qemu.stream.recorded", "qemu.stream.begun", "qemu.stream.whole"),
                         [](const auto& point) { return std::string(point.param).substr(12); });

}  // namespace
}  // namespace ramet::test
