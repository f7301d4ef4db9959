// The freeze guard, as the real process, against agents that are honest, silent, late or lying, and servers that die.
#include "hypervisor/qemu/quiesce.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <climits>

#include "support/scripted_agent.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {
namespace {

using namespace std::chrono_literals;
using hypervisor::Consistency, hypervisor::Fd, hypervisor::Freeze, hypervisor::FreezeFacts, hypervisor::FreezeGuard, hypervisor::Process;
using Clock = std::chrono::steady_clock;

constexpr auto kSlack = 700ms;  // of a busy machine

std::string guard_program() { return hypervisor::beside_this_program("ramet-freeze-guard"); }

class FreezeGuardTest : public testing::Test {
protected:
    FreezeGuardTest() { ::chmod(directory_.path().c_str(), 0755); }  // the guard is nobody when we are root
    Result<Freeze> begin(Fd agent, std::chrono::milliseconds patience = 2000ms) {
        std::optional<hypervisor::User> user;
        if (::geteuid() == 0) user = hypervisor::User{"nobody", 65534, 65534, {}};
        return Freeze::begin({guard_program(), user, run_.get()}, std::move(agent), Clock::now() + patience);
    }
    // begin(), which must have come to a guard.
    Freeze begun(Fd agent, std::chrono::milliseconds patience = 2000ms) {
        Result<Freeze> freeze = begin(std::move(agent), patience);
        if (!freeze.has_value()) throw std::runtime_error(freeze.error().message + " " + freeze.error().detail);
        return std::move(*freeze);
    }
    static std::chrono::milliseconds between(Clock::time_point from, Clock::time_point to) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(to - from);
    }
    TempDir directory_;
    Fd run_{::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    ScriptedAgent agent_;
};

TEST_F(FreezeGuardTest, FreezesThawsWhenToldAndEnds) {
    Freeze freeze = begun(agent_.begin());
    EXPECT_TRUE(freeze.frozen());
    EXPECT_TRUE(agent_.heard("guest-fsfreeze-thaw").empty());
    const FreezeFacts facts = freeze.thaw();
    EXPECT_EQ(facts.consistency, Consistency::filesystem) << facts.reason;
    EXPECT_EQ(facts.file_systems, 2);
    EXPECT_GT(facts.frozen.count(), 0);
    EXPECT_EQ(facts.reason, "");
    EXPECT_EQ(agent_.heard("guest-fsfreeze-thaw").size(), 1U);
    EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 2s));
    EXPECT_FALSE(freeze.guard_lost());
}

TEST_F(FreezeGuardTest, TiesALifelineBeforeTheFreezeAndCutsItAfterTheThaw) {
    Freeze freeze = begun(agent_.begin());
    ASSERT_TRUE(freeze.frozen());
    const std::vector<ScriptedAgent::Heard> tied = agent_.heard("guest-exec");
    ASSERT_EQ(tied.size(), 1U);
    EXPECT_NE(tied[0].arguments.find("sysrq-trigger"), std::string::npos) << tied[0].arguments;
    EXPECT_LT(tied[0].at, agent_.heard("guest-fsfreeze-freeze").at(0).at);
    EXPECT_EQ(freeze.thaw().consistency, Consistency::filesystem);
    ASSERT_TRUE(agent_.hears("guest-exec", 2));
    EXPECT_NE(agent_.heard("guest-exec")[1].arguments.find("kill 77"), std::string::npos) << agent_.heard("guest-exec")[1].arguments;
    EXPECT_TRUE(agent_.hears("guest-exec-status", 2)) << "the agent keeps what it is not asked for";
    EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 2s));
}

TEST_F(FreezeGuardTest, FreezesAGuestThatHasNoLifelineToGive) {
    for (const char* answer :
         {"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"disabled\"}}\n", "{\"return\": {}}\n", "{\"return\": {\"pid\": \"x\"}}\n"}) {
        ScriptedAgent agent;
        agent.answers["guest-exec"] = [answer] { return answer; };
        Freeze freeze = begun(agent.begin());
        EXPECT_TRUE(freeze.frozen()) << answer;
        EXPECT_EQ(freeze.thaw().consistency, Consistency::filesystem) << answer;
        EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 2s));
        EXPECT_EQ(agent.heard("guest-exec").size(), 1U) << answer;
    }
}

TEST_F(FreezeGuardTest, FreezesNothingWhenTheAgentIsSilentBefore) {
    agent_.answers.erase("guest-exec");
    Freeze freeze = begun(agent_.begin(), 300ms);
    EXPECT_FALSE(freeze.frozen());
    EXPECT_TRUE(freeze.timed_out());
    EXPECT_TRUE(agent_.heard("guest-fsfreeze-freeze").empty());
    EXPECT_EQ(freeze.thaw().consistency, Consistency::crash);
    EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 5s));
}

TEST_F(FreezeGuardTest, ThawsWhenTheServerForgets) {
    std::optional<Freeze> freeze = begun(agent_.begin());
    ASSERT_TRUE(freeze->frozen());
    freeze.reset();
    EXPECT_TRUE(agent_.hears("guest-fsfreeze-thaw"));
}

TEST_F(FreezeGuardTest, ThawsAndResumesWhenTheServerIsKilled) {
    const YesMonitor qemu(directory_.path(), "guard.sock");
    Fd agent = agent_.begin();
    const pid_t server = ::fork();
    ASSERT_GE(server, 0);
    if (server == 0) {
        const Result<Freeze> freeze = begin(std::move(agent));
        if (freeze.has_value() && freeze->frozen()) ::raise(SIGKILL);
        ::_exit(7);
    }
    agent.reset();
    int status = 0;
    ASSERT_EQ(::waitpid(server, &status, 0), server);
    const auto died = Clock::now();
    ASSERT_TRUE(WIFSIGNALED(status)) << "it did not come to a freeze";
    ASSERT_TRUE(agent_.hears("guest-fsfreeze-thaw"));
    EXPECT_LT(between(died, agent_.heard("guest-fsfreeze-thaw")[0].at), kSlack);
    EXPECT_TRUE(eventually([&] { return qemu.heard().find("\"cont\"") != std::string::npos; })) << "the server may have stopped the VM";
}

TEST_F(FreezeGuardTest, ThawsWhenTheServerIsKilledBeforeTheAnswer) {
    agent_.answers.erase("guest-fsfreeze-freeze");
    Fd agent = agent_.begin();
    const pid_t server = ::fork();
    ASSERT_GE(server, 0);
    if (server == 0) {
        (void)begin(std::move(agent), 60s);
        ::_exit(7);
    }
    agent.reset();
    ASSERT_TRUE(agent_.hears("guest-fsfreeze-freeze"));
    ::kill(server, SIGKILL);
    ASSERT_EQ(::waitpid(server, nullptr, 0), server);
    EXPECT_TRUE(agent_.hears("guest-fsfreeze-thaw"));
}

TEST_F(FreezeGuardTest, ThawsInTimeWhenTheServerHangsAndSaysThatItDid) {
    Freeze freeze = begun(agent_.begin());
    ASSERT_TRUE(freeze.frozen());
    ASSERT_TRUE(agent_.hears("guest-fsfreeze-thaw"));
    const auto frozen = between(agent_.heard("guest-fsfreeze-freeze")[0].at, agent_.heard("guest-fsfreeze-thaw")[0].at);
    EXPECT_LT(frozen, limits::kFrozenMax + kSlack);
    EXPECT_GT(frozen, limits::kFrozenMax - kSlack);
    const FreezeFacts facts = freeze.thaw();
    EXPECT_EQ(facts.consistency, Consistency::crash);
    EXPECT_NE(facts.reason.find("too long"), std::string::npos) << facts.reason;
}

TEST_F(FreezeGuardTest, GivesUpASilentAgentInTimeAndThawsItAllTheSame) {
    agent_.answers.erase("guest-fsfreeze-freeze");
    const auto start = Clock::now();
    Freeze freeze = begun(agent_.begin(), 300ms);
    EXPECT_LT(between(start, Clock::now()), 300ms + kSlack);
    EXPECT_FALSE(freeze.frozen());
    EXPECT_TRUE(freeze.timed_out());
    EXPECT_TRUE(agent_.hears("guest-fsfreeze-thaw"));
    const FreezeFacts facts = freeze.thaw();
    EXPECT_EQ(facts.consistency, Consistency::crash);
    EXPECT_NE(facts.reason.find("in time"), std::string::npos) << facts.reason;
}

TEST_F(FreezeGuardTest, ThawsAfterAnAnswerThatCameTooLate) {
    agent_.answers["guest-fsfreeze-freeze"] = [] {
        std::this_thread::sleep_for(600ms);
        return "{\"return\": 2}\n";
    };
    Freeze freeze = begun(agent_.begin(), 200ms);
    EXPECT_FALSE(freeze.frozen());
    EXPECT_EQ(freeze.thaw().consistency, Consistency::crash);
    EXPECT_TRUE(agent_.hears("guest-fsfreeze-thaw"));
    EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 5s)) << "the late answer was not taken for the thaw's";
}

TEST_F(FreezeGuardTest, ThawsAfterEveryLie) {
    const std::vector<std::string> lies{
        "garbage\n", "{\"return\": \"two\"}\n", "{\"return\": -1}\n",         "{\"return\": 99999999}\n",  "{\"return\": 0}\n", "{\"return\": {}}\n",
        "[]\n",      "{\"error\": \"no\"}\n",   std::string(300, '[') + "\n", std::string(200 * 1024, 'x')};
    for (const std::string& lie : lies) {
        ScriptedAgent agent;
        agent.answers["guest-fsfreeze-freeze"] = [&] { return lie; };
        Freeze freeze = begun(agent.begin());
        EXPECT_FALSE(freeze.frozen()) << lie.substr(0, 40);
        EXPECT_TRUE(agent.hears("guest-fsfreeze-thaw")) << lie.substr(0, 40);
        const FreezeFacts facts = freeze.thaw();
        EXPECT_EQ(facts.consistency, Consistency::crash) << lie.substr(0, 40);
        EXPECT_FALSE(facts.reason.empty());
    }
}

TEST_F(FreezeGuardTest, SkipsWrongIdsAndIsNotHeldUpByAFlood) {
    agent_.answers["guest-fsfreeze-freeze"] = [] { return std::string("{\"retu"); };  // an answer without end
    agent_.answers["guest-sync-delimited"] = [] {
        std::string wrong;
        for (int i = 0; i < 2000; ++i) wrong += "\xff{\"return\": " + std::to_string(i) + "}\n";
        return wrong;
    };
    const auto start = Clock::now();
    Freeze freeze = begun(agent_.begin(), 300ms);
    EXPECT_FALSE(freeze.frozen());
    EXPECT_TRUE(agent_.hears("guest-fsfreeze-thaw", 2)) << "a thaw that nobody confirmed is sent again";
    EXPECT_EQ(freeze.thaw().consistency, Consistency::crash);
    EXPECT_LT(between(start, Clock::now()), 6s);
}

TEST_F(FreezeGuardTest, DoesNotCallAGuestFrozenThatThawedByItself) {
    agent_.answers["guest-fsfreeze-thaw"] = [] { return "{\"return\": 0}\n"; };
    Freeze freeze = begun(agent_.begin());
    ASSERT_TRUE(freeze.frozen());
    const FreezeFacts facts = freeze.thaw();
    EXPECT_EQ(facts.consistency, Consistency::crash);
    EXPECT_NE(facts.reason.find("thawed"), std::string::npos) << facts.reason;
}

TEST_F(FreezeGuardTest, PressesTheThawKeysWhenTheAgentHangsAfterTheFreezeAndSaysSo) {
    const YesMonitor qemu(directory_.path(), "guard.sock");
    agent_.answers.erase("guest-fsfreeze-thaw");
    Freeze freeze = begun(agent_.begin());
    ASSERT_TRUE(freeze.frozen());
    const auto start = Clock::now();
    const FreezeFacts facts = freeze.thaw();
    EXPECT_LT(between(start, Clock::now()), limits::kThawPatience + kSlack + kSlack);
    EXPECT_EQ(facts.consistency, Consistency::crash);
    EXPECT_NE(facts.reason.find("confirm"), std::string::npos) << facts.reason;
    EXPECT_TRUE(eventually([&] { return qemu.heard().find("sysrq") != std::string::npos; })) << qemu.heard();
    EXPECT_EQ(qemu.heard().find("\"cont\""), std::string::npos) << "the server lives: what it stopped is its own";
    agent_.hang_up();
    EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 5s)) << "a guest that is gone needs no thaw";
}

TEST_F(FreezeGuardTest, SaysWhenTheGuardItselfWasKilledOrHangs) {
    for (const int signal : {SIGKILL, SIGSTOP}) {
        ScriptedAgent agent;
        Freeze freeze = begun(agent.begin());
        ASSERT_TRUE(freeze.frozen());
        ::kill(freeze.guard().pid, signal);
        const FreezeFacts facts = freeze.thaw();
        EXPECT_EQ(facts.consistency, Consistency::crash);
        EXPECT_TRUE(freeze.guard_lost()) << "the server owes the thaw";
        EXPECT_TRUE(hypervisor::wait_for_end(freeze.guard(), 2s));
    }
}

TEST_F(FreezeGuardTest, IsNotEndedByThePoliteSignals) {
    Freeze freeze = begun(agent_.begin());
    ASSERT_TRUE(freeze.frozen());
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::kill(freeze.guard().pid, signal);
    EXPECT_EQ(freeze.thaw().consistency, Consistency::filesystem);
}

TEST_F(FreezeGuardTest, WithoutItsProgramNothingIsSent) {
    const Result<Freeze> freeze = Freeze::begin({"/nonexistent/ramet-freeze-guard", std::nullopt, run_.get()}, agent_.begin(), Clock::now() + 1s);
    ASSERT_FALSE(freeze.has_value());
    EXPECT_NE(freeze.error().message.find("ramet-freeze-guard"), std::string::npos);
    EXPECT_TRUE(agent_.heard("guest-fsfreeze-freeze").empty());
}

TEST_F(FreezeGuardTest, IsCheapToStart) {
    std::vector<std::chrono::microseconds> all;
    for (int i = 0; i < 20; ++i) {
        ScriptedAgent agent;
        const auto start = Clock::now();
        Freeze freeze = begun(agent.begin());
        freeze.thaw();
        all.push_back(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start));
    }
    std::ranges::sort(all);
    RecordProperty("freeze_and_thaw_median_us", static_cast<int>(all[10].count()));
    std::cout << "guard start, freeze, thaw against an agent that answers at once: median " << all[10].count() << " us, " << all.front().count()
              << " to " << all.back().count() << " us, n=20\n";
    EXPECT_LT(all[10], 250ms);
}

}  // namespace
}  // namespace ramet::test
