// VMs that go on from the same memory together, with real QEMU: each is a fork of one machine, and none shares what has to be its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/machine_identity.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "support/qemu_vms.hpp"

namespace ramet::test {
namespace {

using hypervisor::DomainSpec;
using hypervisor::DomainState;
using namespace std::chrono_literals;

constexpr std::size_t kTogether = 5;

class TemplatesTest : public testing::Test {
protected:
    void SetUp() override {
        if (!vms_.why.empty()) GTEST_SKIP() << vms_.why;
        source_ = vms_.vm(GuestMode::writer);
        source_.nics.clear();  // QEMU's user networking is not for forks; taps are in the tests of the whole
        source_.cpu_num = 2;
        source_.machine_serial = source_.vm.text();
        ASSERT_TRUE(vms_.hypervisor().start(source_).has_value());
        ASSERT_TRUE(vms_.guest_runs(source_.vm));
        place_ = vms_.memory_place();
        const hypervisor::OverlaySpec overlay{source_.disks[0].volume, vms_.overlay_for(source_.disks[0])};
        captured_ = source_.disks[0];
        const auto facts = vms_.hypervisor().capture_memory(source_.vm, {overlay}, place_, {});
        ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
        layout_ = facts->layout;
    }
    DomainSpec clone_spec() {
        DomainSpec clone = source_;
        clone.vm = VmId::random();
        clone.machine_serial = clone.vm.text();
        clone.disks[0].volume = VolumeId::random();
        clone.disks[0].chain_top_first = captured_.chain_top_first;
        clone.disks[0].chain_top_first.insert(clone.disks[0].chain_top_first.begin(), vms_.overlay_for(captured_));
        return clone;
    }
    Result<void> go_on(const DomainSpec& clone) { return vms_.hypervisor().start_from_memory(clone, place_, layout_, kTogether); }
    // Through the freeze guard's monitor: the other one is the hypervisor's.
    boost::json::value ask(const VmId& vm, const char* command, boost::json::object arguments = {}) {
        const hypervisor::Fd directory(::open(std::filesystem::path(vms_.run_file(vm, "")).parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        const hypervisor::Deadline deadline = hypervisor::after(10s);
        auto socket = hypervisor::connect_unix(directory.get(), "guard.sock", deadline);
        if (!socket.has_value()) return {};
        auto qmp = hypervisor::Qmp::open(std::move(*socket), deadline);
        if (!qmp.has_value()) return {};
        return (*qmp)->run(command, std::move(arguments)).value_or(nullptr);
    }
    std::vector<std::string> templates() const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(vms_.options().run_root)) {
            if (entry.path().filename().string().starts_with("template-")) found.push_back(entry.path());
        }
        return found;
    }
    std::uint32_t count_of(const DomainSpec& vm) { return vms_.counter(vm.disks[0].chain_top_first[0]); }
    // Its guest counts on the VM's own disk, from where the source was.
    bool counts_on(const DomainSpec& vm) {
        const std::uint32_t before = vms_.counter(captured_.chain_top_first[0]);
        return eventually([&] { return count_of(vm) > before; });
    }
    bool is_fork(const VmId& vm) {
        const auto process = vms_.process_of(vm);
        return process && hypervisor::command_line_of(process->pid).find("guest=ready") != std::string::npos;
    }
    QemuVms vms_;
    DomainSpec source_;
    hypervisor::DiskSpec captured_;
    hypervisor::MemoryPlace place_;
    std::string layout_;
};

TEST_F(TemplatesTest, EachForkIsAMachineOfItsOwn) {
    std::vector<DomainSpec> clones;
    for (std::size_t i = 0; i < kTogether; ++i) {
        clones.push_back(clone_spec());
        const Result<void> gone_on = go_on(clones.back());
        ASSERT_TRUE(gone_on.has_value()) << gone_on.error().message << " | " << gone_on.error().detail;
        ASSERT_TRUE(is_fork(clones.back().vm));
    }
    EXPECT_EQ(templates().size(), 1U);
    std::set<std::string> threads;
    for (const DomainSpec& clone : clones) {
        EXPECT_TRUE(counts_on(clone));
        EXPECT_EQ(vms_.hypervisor().state(clone.vm).value(), DomainState::running);
        EXPECT_EQ(hypervisor::text_in(ask(clone.vm, "query-uuid"), "UUID"), hypervisor::dashed(clone.vm.text()));
        EXPECT_EQ(hypervisor::text_in(ask(clone.vm, "query-vm-generation-id"), "guid"), hypervisor::generation_id(clone.vm));
        const boost::json::value cpus = ask(clone.vm, "query-cpus-fast");
        ASSERT_TRUE(cpus.is_array());
        for (const boost::json::value& cpu : cpus.as_array()) threads.insert(boost::json::serialize(cpu.at("thread-id")));
        for (const char* file : {"qmp.sock", "guard.sock", "agent.sock", "vnc.sock", "serial.log"})
            EXPECT_TRUE(std::filesystem::exists(vms_.run_file(clone.vm, file))) << file;
    }
    EXPECT_EQ(threads.size(), 2 * kTogether);
    EXPECT_TRUE(vms_.hypervisor().stop(clones[0].vm, hypervisor::StopMode::cold, {}).has_value());
    EXPECT_EQ(vms_.hypervisor().state(clones[1].vm).value(), DomainState::running);
}

TEST_F(TemplatesTest, AForkBootsAgain) {
    const DomainSpec clone = clone_spec();
    ASSERT_TRUE(go_on(clone).has_value());
    ASSERT_TRUE(is_fork(clone.vm));
    ASSERT_TRUE(counts_on(clone));
    ASSERT_TRUE(vms_.hypervisor().reset(clone.vm).has_value());
    const std::uint32_t count = count_of(clone);
    EXPECT_TRUE(eventually([&] { return count_of(clone) > count + 2; }));
    EXPECT_TRUE(vms_.hypervisor().pause(clone.vm).has_value());
    EXPECT_TRUE(vms_.hypervisor().resume(clone.vm).has_value());
}

TEST_F(TemplatesTest, AServerThatComesNextTakesForksUpAndNoTemplateIsLeft) {
    const DomainSpec clone = clone_spec();
    ASSERT_TRUE(go_on(clone).has_value());
    ASSERT_TRUE(is_fork(clone.vm));
    vms_.restart_server();
    EXPECT_EQ(vms_.hypervisor().state(clone.vm).value(), DomainState::running);
    EXPECT_EQ(vms_.hypervisor().disk_tops(clone.vm).value().front().place.path, clone.disks[0].chain_top_first[0].path);
    EXPECT_THAT(templates(), testing::IsEmpty());
    EXPECT_TRUE(vms_.hypervisor().stop(clone.vm, hypervisor::StopMode::cold, {}).has_value());
}

TEST_F(TemplatesTest, GoWithTheirMemoryAndTheirForksRunOn) {
    const DomainSpec clone = clone_spec();
    ASSERT_TRUE(go_on(clone).has_value());
    ASSERT_TRUE(vms_.hypervisor().remove_memory(place_).has_value());
    EXPECT_THAT(templates(), testing::IsEmpty());
    EXPECT_TRUE(counts_on(clone));
}

// Nobody who takes a fork over gets a process of his own out of it.
TEST_F(TemplatesTest, ForksAndTemplatesAreConfined) {
    const DomainSpec clone = clone_spec();
    ASSERT_TRUE(go_on(clone).has_value());
    const auto process = vms_.process_of(clone.vm);
    ASSERT_TRUE(process.has_value());
    const std::string status = read_file("/proc/" + std::to_string(process->pid) + "/status");
    EXPECT_NE(status.find("\nSeccomp:\t2\n"), std::string::npos);
    EXPECT_NE(status.find("\nNoNewPrivs:\t1\n"), std::string::npos);
    EXPECT_NE(status.find("\nSeccomp_filters:\t3\n"), std::string::npos) << "QEMU's, the template's and the fork's";
}

// Which the kernel shares its processors out among.
TEST_F(TemplatesTest, AForkHasASessionOfItsOwnOnceItIsNotInTheBackground) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give priorities back";
    const DomainSpec clone = clone_spec(), other = clone_spec();
    vms_.hypervisor().in_background(clone.vm, true);
    ASSERT_TRUE(go_on(clone).has_value());
    ASSERT_TRUE(go_on(other).has_value());
    const auto session = [&](const DomainSpec& vm) { return ::getsid(vms_.process_of(vm.vm)->pid); };
    EXPECT_NE(session(clone), vms_.process_of(clone.vm)->pid);
    EXPECT_TRUE(eventually([&] { return session(other) == vms_.process_of(other.vm)->pid; }));
    vms_.hypervisor().in_background(clone.vm, false);
    EXPECT_TRUE(eventually([&] { return session(clone) == vms_.process_of(clone.vm)->pid; }));
    EXPECT_TRUE(counts_on(clone));
}

TEST_F(TemplatesTest, AVmThatStandsOnSomethingElseStartsByItself) {
    ASSERT_TRUE(go_on(clone_spec()).has_value());
    DomainSpec other = clone_spec();
    other.disks[0].chain_top_first.insert(other.disks[0].chain_top_first.begin(), vms_.overlay_for(other.disks[0]));
    ASSERT_TRUE(go_on(other).has_value());
    EXPECT_FALSE(is_fork(other.vm));
    EXPECT_TRUE(counts_on(other));
}

// The template is ended in front of its next fork.
TEST_F(TemplatesTest, OneThatDiedIsMadeAnew) {
    ASSERT_TRUE(go_on(clone_spec()).has_value());
    const std::string text = read_file(templates().at(0) + "/pid");
    const auto process = hypervisor::open_process(std::stoi(text), std::stoull(text.substr(text.find(' '))));
    ASSERT_TRUE(process.has_value());
    hypervisor::kill_process(*process);
    ASSERT_TRUE(hypervisor::wait_for_end(*process, 5s));
    const DomainSpec next = clone_spec();
    ASSERT_TRUE(go_on(next).has_value());
    EXPECT_TRUE(is_fork(next.vm));
    EXPECT_TRUE(counts_on(next));
}

}  // namespace
}  // namespace ramet::test
