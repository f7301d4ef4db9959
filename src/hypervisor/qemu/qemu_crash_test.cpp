// The server is killed in the middle of a call; another one takes over. The killed server is a child of the test.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "base/crash_point.hpp"
#include "hypervisor/qemu/run_directory.hpp"
#include "support/qemu_vms.hpp"

namespace ramet::test {
namespace {

using hypervisor::DomainSpec;
using hypervisor::DomainState;

class QemuCrash : public testing::Test {
protected:
    void SetUp() override {
        if (!vms_.why.empty()) GTEST_SKIP() << vms_.why;
    }
    hypervisor::Hypervisor& qemu() { return vms_.hypervisor(); }

    // A server of its own starts the VM, cuts its disks if there is an overlay, and dies at `point`.
    void die_at(const std::string& point, const DomainSpec& spec, const std::optional<storage::Place>& overlay) {
        vms_.close_server();
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::setenv("RAMET_CRASH_POINT", point.c_str(), 1);
            arm_crash_points_from_environment();
            auto server = hypervisor::open_qemu(vms_.options());
            if (server.has_value() && (*server)->start(spec).has_value() && overlay) {
                (void)(*server)->snapshot_disks(spec.vm, {{spec.disks[0].volume, *overlay}});
            }
            ::_exit(7);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "it passed " << point << ": " << WEXITSTATUS(status);
        vms_.restart_server();
        ASSERT_TRUE(qemu().reattach().has_value());
    }
    std::string top(const DomainSpec& spec) { return qemu().disk_tops(spec.vm).value().at(0).place.path; }
    QemuVms vms_;
};

TEST_F(QemuCrash, AStartIsFinishedByTheNextStart) {
    for (const std::string point : {"qemu.recorded", "qemu.launched", "qemu.prelaunch"}) {
        const DomainSpec spec = vms_.vm(GuestMode::idle);
        die_at(point, spec, std::nullopt);
        const auto begun = qemu().running_domains();
        ASSERT_TRUE(begun.has_value());
        EXPECT_EQ(begun->size(), point == "qemu.recorded" ? 0U : 1U) << point << ": the process is found though its number was never written";
        const Result<void> started = qemu().start(spec);
        ASSERT_TRUE(started.has_value()) << point << ": " << started.error().message << " | " << started.error().detail;
        EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::running) << point;
        EXPECT_EQ(qemu().running_domains().value(), std::vector<VmId>{spec.vm}) << point;
        EXPECT_TRUE(vms_.guest_runs(spec.vm)) << point;
        ASSERT_TRUE(qemu().stop(spec.vm, hypervisor::StopMode::cold, {}).has_value());
    }
}

TEST_F(QemuCrash, AVmThatWasPausedForASnapshotGoesOnWithItsOldDisks) {
    const DomainSpec spec = vms_.vm(GuestMode::idle);
    const storage::Place overlay = vms_.overlay_for(spec.disks[0]);
    die_at("qemu.snapshot.stopped", spec, overlay);
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::running);
    EXPECT_EQ(top(spec), spec.disks[0].chain_top_first[0].path);
    EXPECT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}).has_value()) << "it can be done again";
    EXPECT_EQ(top(spec), overlay.path);
}

TEST_F(QemuCrash, ASnapshotThatHappenedIsKnownToHaveHappened) {
    const DomainSpec spec = vms_.vm(GuestMode::idle);
    const storage::Place overlay = vms_.overlay_for(spec.disks[0]);
    die_at("qemu.snapshot.cut", spec, overlay);
    EXPECT_EQ(qemu().state(spec.vm).value(), DomainState::running);
    EXPECT_EQ(top(spec), overlay.path);
    EXPECT_FALSE(qemu().disks_untouched(spec.vm).value()) << "nobody counted at the cut";
    EXPECT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}).has_value());
    EXPECT_TRUE(qemu().snapshot_disks(spec.vm, {{spec.disks[0].volume, vms_.new_overlay(overlay)}}).has_value());
}

TEST(RunDirectory, ARecordComesBackAsItWas) {
    hypervisor::DomainRecord record;
    record.spec.vm = VmId::random();
    record.spec.memory_bytes = 5;
    record.spec.seed_image = "/a \"b\"";
    record.spec.disks = {{VolumeId::random(), 3, {{"/r", "p", DiskFormat::qcow2}, {"/r", "q", DiskFormat::raw}}}};
    record.spec.nics = {{NicId::random(), 1, "m", "t", "i", "n", "g", "h", "e1000", false, 2}};
    record.pending = hypervisor::PendingSnapshot{{{record.spec.disks[0].volume, {"/r", "o", DiskFormat::qcow2}}}, true};
    record.writes_at_opening["x"] = -1;
    record.machine = VmId::random();
    const std::string text = hypervisor::record_text(record);
    const auto back = hypervisor::read_record_text(text);
    ASSERT_TRUE(back.has_value()) << back.error().detail;
    EXPECT_EQ(hypervisor::record_text(*back), text);
    EXPECT_EQ(back->spec.disks[0].chain_top_first[1].format, DiskFormat::raw);
    EXPECT_FALSE(back->spec.nics[0].link_up);
    for (std::size_t length = 0; length < text.size(); length += 7) EXPECT_FALSE(hypervisor::read_record_text(text.substr(0, length)).has_value());
    EXPECT_FALSE(hypervisor::read_record_text("{\"vm\": 7}").has_value());
    std::string of_before = text;
    const std::string layout = ",\"deviceLayout\":" + std::to_string(hypervisor::kDeviceLayout);
    of_before.erase(of_before.find(layout), layout.size());
    EXPECT_EQ(hypervisor::read_record_text(of_before).value().device_layout, 1);
}

TEST(RunDirectory, FollowsNoLinkThatQemuMayHaveLeft) {
    TempDir directory;
    const VmId vm = VmId::random();
    write_file(directory.file("precious"), "keep me");
    auto run = hypervisor::RunDirectory::make(directory.path(), vm.text(), std::nullopt);
    ASSERT_TRUE(run.has_value());
    for (const char* name : {"spec.json", "spec.json.partial", "qemu.log", "lock", "pid"}) {
        std::filesystem::create_symlink(directory.file("precious"), run->path() + "/" + name);
    }
    EXPECT_FALSE(run->read_record().has_value());
    EXPECT_FALSE(run->open_log().has_value());
    EXPECT_FALSE(run->lock().has_value());
    EXPECT_FALSE(run->read_pid().has_value());
    EXPECT_TRUE(run->write_record({}).has_value());
    EXPECT_EQ(read_file(directory.file("precious")), "keep me");
    EXPECT_TRUE(run->remove().has_value());
    EXPECT_TRUE(std::filesystem::exists(directory.file("precious")));
}

// A VM whose directory cannot be opened may run: it is not taken for one that does not.
TEST(RunDirectory, ThatCannotBeOpenedIsNoneOnlyIfThereIsNone) {
    TempDir directory;
    const VmId vm = VmId::random(), other = VmId::random();
    EXPECT_FALSE(hypervisor::RunDirectory::find(directory.path(), vm).value().has_value());
    write_file(directory.file(vm.text()), "no directory");
    EXPECT_FALSE(hypervisor::RunDirectory::find(directory.path(), vm).has_value());
    auto run = hypervisor::RunDirectory::make(directory.path(), other.text(), std::nullopt);
    ASSERT_TRUE(run.has_value());
    std::filesystem::create_symlink("nowhere", run->path() + "/lock");
    EXPECT_FALSE(run->locked().has_value());
}

TEST(RunDirectory, OnlyOneHoldsTheLock) {
    TempDir directory;
    auto run = hypervisor::RunDirectory::make(directory.path(), VmId::random().text(), std::nullopt);
    ASSERT_TRUE(run.has_value());
    EXPECT_FALSE(run->locked().value());
    auto held = run->lock();
    ASSERT_TRUE(held.has_value());
    EXPECT_TRUE(run->locked().value());
    EXPECT_EQ(run->lock().error().code, ErrorCode::conflict);
    held->reset();
    EXPECT_FALSE(run->locked().value());
}

}  // namespace
}  // namespace ramet::test
