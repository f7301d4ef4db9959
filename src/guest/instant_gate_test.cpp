#include "guest/instant_gate.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "guest/instant_gate_script.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {
namespace {

using namespace std::chrono_literals;
using guest::GateRequest;
using guest::pass_instant_gate;

class InstantGate : public testing::Test {
protected:
    void SetUp() override {
        request_.vm = VmId::random();
        request_.instance_id = request_.vm.text();
        request_.host_name = "clone";
        hypervisor::NicSpec nic{NicId::random(), 0, "fa:00:00:00:00:02", "tap0", "10.0.0.7", "255.255.255.0", "10.0.0.1", "clone", "virtio", true, 1};
        request_.nics = {{nic, "fa:00:00:00:00:01", 24}};
        hypervisor::DomainSpec spec;
        spec.vm = request_.vm;
        spec.memory_bytes = 1 << 20;
        spec.disks = {{VolumeId::random(), 0, {{"/fake", "disk", DiskFormat::qcow2}}}};
        nic.link_up = false;
        spec.nics = {nic};
        ASSERT_TRUE(fake_.start(spec).has_value());
        fake_.set_exec([this](const VmId&, const std::string&, const std::vector<std::string>& arguments, const std::string& input) {
            scripts_.push_back({arguments, input, link_is_up()});
            if (arguments[1] == guest::kGateClockScript) return date_;
            return arguments[1] == guest::kGateScript ? answer_ : hypervisor::ExecResult{0, {}, {}};
        });
    }
    bool link_is_up() { return fake_.domain(request_.vm)->spec.nics[0].link_up; }
    Result<std::vector<guest::GateFact>> pass() { return pass_instant_gate(fake_, request_, 300ms, {}); }

    struct Script {
        std::vector<std::string> arguments;
        std::string input;
        bool link_was_up;
    };
    FakeHypervisor fake_;
    GateRequest request_;
    hypervisor::ExecResult answer_{0, "mac|changed|eth0\nhostName|changed|clone\n", {}};
    hypervisor::ExecResult date_{0, {}, {}};
    std::vector<Script> scripts_;
};

TEST_F(InstantGate, OpensTheLinksAfterTheGuestHasItsIdentity) {
    fake_.set_agent_everywhere(true);
    const auto facts = pass();
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    ASSERT_EQ(scripts_.size(), 2U);
    EXPECT_FALSE(scripts_[0].link_was_up);
    EXPECT_TRUE(scripts_[1].link_was_up);
    EXPECT_TRUE(link_is_up());
    EXPECT_EQ(scripts_[0].arguments.back(), "fa:00:00:00:00:01 fa:00:00:00:00:02 10.0.0.7/24 10.0.0.1");
    EXPECT_EQ(scripts_[0].input.size(), 128U);
    EXPECT_EQ(facts->front().what, "mac");
    EXPECT_EQ(facts->front().outcome, "changed");
}

TEST_F(InstantGate, LeavesTheClockToTheGuestsDateOnlyWhereTheAgentCannotSetIt) {
    fake_.set_agent_everywhere(true);
    fake_.plant({.operation = "agent_set_clock"});
    const auto facts = pass();
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    ASSERT_EQ(scripts_.size(), 3U);
    EXPECT_FALSE(scripts_[0].link_was_up);
    const std::int64_t told = std::stoll(scripts_[0].arguments.back());
    EXPECT_TRUE(told == now || told + 1 == now) << told << " at " << now << ": the second that had just begun";
    EXPECT_NE(std::ranges::find(*facts, "clock", &guest::GateFact::what)->detail.find("ms at most"), std::string::npos);
    scripts_.clear();
    ASSERT_TRUE(pass().has_value());
    EXPECT_EQ(scripts_.size(), 2U) << "its identity, its DHCP clients";
}

TEST_F(InstantGate, TriesADateThatIsLateAgainAndTellsHowLateItMayBe) {
    fake_.set_agent_everywhere(true);
    fake_.plant({.operation = "agent_set_clock"});
    int dates = 0;
    fake_.set_exec([&dates](const VmId&, const std::string&, const std::vector<std::string>& arguments, const std::string&) {
        if (arguments[1] == guest::kGateClockScript) {
            ++dates;
            std::this_thread::sleep_for(450ms);
        }
        return hypervisor::ExecResult{0, {}, {}};
    });
    const auto facts = pass();
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    EXPECT_EQ(dates, 3);
    const std::string detail = std::ranges::find(*facts, "clock", &guest::GateFact::what)->detail;
    EXPECT_GE(std::stoi(detail.substr(detail.find("late by ") + 8)), 450) << detail;
}

TEST_F(InstantGate, IsNotPassedWithAClockThatNothingSets) {
    fake_.set_agent_everywhere(true);
    fake_.plant({.operation = "agent_set_clock"});
    date_ = {1, {}, "date: can't set date: Operation not permitted"};
    const auto facts = pass();
    ASSERT_FALSE(facts.has_value());
    EXPECT_NE(facts.error().message.find("guest-set-time"), std::string::npos) << facts.error().message;
    EXPECT_FALSE(link_is_up());
}

TEST_F(InstantGate, GivesEachGuestOtherRandomNumbers) {
    fake_.set_agent_everywhere(true);
    ASSERT_TRUE(pass().has_value());
    const std::string first = scripts_[0].input;
    scripts_.clear();
    ASSERT_TRUE(pass().has_value());
    EXPECT_NE(scripts_[0].input, first);
}

TEST_F(InstantGate, KeepsTheLinksDownWhenTheAgentIsSilent) {
    const auto facts = pass();
    ASSERT_FALSE(facts.has_value());
    EXPECT_EQ(facts.error().code, ErrorCode::timeout);
    EXPECT_FALSE(link_is_up());
}

TEST_F(InstantGate, KeepsTheLinksDownWhenTheGuestCannotChangeAndSaysWhat) {
    fake_.set_agent_everywhere(true);
    answer_ = {1, "clock|changed|now\nmac|failed|eth0 does not take another MAC\n", "sh: oops"};
    const auto facts = pass();
    ASSERT_FALSE(facts.has_value());
    EXPECT_NE(facts.error().message.find("mac: eth0 does not take another MAC"), std::string::npos) << facts.error().message;
    EXPECT_FALSE(link_is_up());
}

TEST_F(InstantGate, LeavesALinkDownThatIsToBeDown) {
    fake_.set_agent_everywhere(true);
    request_.nics[0].nic.link_up = false;
    ASSERT_TRUE(pass().has_value());
    EXPECT_FALSE(link_is_up());
}

TEST_F(InstantGate, TakesOnlyFactsOfKnownShapeFromTheGuest) {
    fake_.set_agent_everywhere(true);
    answer_.out = "mac|changed|a\x01" + std::string(5000, 'x') + "\nnonsense\nmac|exploded|x\n||\n";
    for (int i = 0; i < 1000; ++i) answer_.out += "hook|changed|one\n";
    const auto facts = pass();
    ASSERT_TRUE(facts.has_value());
    EXPECT_LE(facts->size(), 70U);
    EXPECT_EQ(facts->front().detail.substr(0, 2), "a?");
    EXPECT_LE(facts->front().detail.size(), 200U);
    EXPECT_TRUE(std::ranges::none_of(*facts, [](const auto& fact) { return fact.outcome == "exploded"; }));
}

TEST_F(InstantGate, PutsAnotherNicInWhereThereIsNoAgent) {
    request_.agent = false;
    const auto facts = pass();
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    EXPECT_TRUE(scripts_.empty());
    EXPECT_TRUE(link_is_up());
    EXPECT_NE(facts->front().detail.find("by another NIC"), std::string::npos);
}

TEST_F(InstantGate, FailsWhenTheGuestDoesNotLetGoOfItsNic) {
    request_.agent = false;
    fake_.change(request_.vm, [](FakeHypervisor::Domain& domain) { domain.holds_nics = true; });
    ASSERT_FALSE(pass().has_value());
    EXPECT_FALSE(link_is_up());
}

// The program inside the script is x86-64 code: run it as the guest would.
TEST(InstantGateScript, ItsHelperDrawsANewKeyFromTheKernelsPool) {
    if (::geteuid() != 0) GTEST_SKIP() << "RNDRESEEDCRNG needs root";
    const std::string script = guest::kGateScript;
    const std::size_t begin = script.find("printf '\\177ELF"), end = script.find(" >reseed.$$", begin);
    ASSERT_NE(end, std::string::npos);
    const std::string path = testing::TempDir() + "ramet-reseed-" + std::to_string(::getpid());
    std::ofstream(path + ".sh") << script.substr(begin, end - begin) << " >" << path << "; chmod 700 " << path << "; echo random | " << path;
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", (path + ".sh").c_str(), nullptr);
        ::_exit(127);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".sh");
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// The script's beginning in a mount namespace of its own, as a guest with such a root would run it.
std::string facts_with_root(const std::string& prepared_by) {
    const std::string script = guest::kGateScript;
    const std::string begin = script.substr(0, script.find("reseeded=\n")), path = testing::TempDir() + "ramet-gate-" + std::to_string(::getpid());
    std::ofstream(path + ".sh") << begin;
    const std::string command =
        "mount -t tmpfs -o size=4k ramet-test /var/lib && " + prepared_by + " && echo random | sh " + path + ".sh id name 2>/dev/null";
    const std::string facts = run_command({"unshare", "--mount", "sh", "-c", command}).output;
    std::filesystem::remove(path + ".sh");
    return facts;
}

TEST(InstantGateScript, NamesTheFileSystemThatTakesNothingAndWhatToDo) {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
    EXPECT_EQ(facts_with_root("true"), "");
    const std::string full = facts_with_root("mkdir /var/lib/ramet && head -c 4096 /dev/zero >/var/lib/fill");
    EXPECT_EQ(full, "fileSystem|failed|its root file system is full; free some space in the source and clone again\n");
    const std::string sealed = facts_with_root("mount -o remount,ro /var/lib && mount -o remount,bind,ro /");
    EXPECT_EQ(sealed, "fileSystem|failed|its root file system is read-only; mount it writable in the source and clone again\n");
}

}  // namespace
}  // namespace ramet::test
