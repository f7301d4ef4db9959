// Jobs that wait keep no other job waiting: even with one thread of each kind, an unrelated job comes to its end.
#include <gtest/gtest.h>

#include <thread>

#include "support/toy_saga.hpp"
#include "workflow/engine.hpp"

namespace ramet::workflow {
namespace {

using test::Gate;
using test::kHarnessPatience;
using test::ToyWorld;

// Passes a gate, holding `locks`.
class Waiting final : public Step {
public:
    Waiting(Gate& gate, std::vector<std::string> locks, bool fails = false) : gate_(gate), locks_(std::move(locks)), fails_(fails) {}
    std::string_view name() const override { return fails_ ? "fail" : "wait"; }
    Result<Output> run(StepContext& context) override {
        if (!gate_.pass(context.stop())) return fail(ErrorCode::cancelled, "told to stop");
        if (fails_) return fail(ErrorCode::operation_failed, "it was made to fail");
        return Output{};
    }
    Result<void> undo(StepContext&) override { return {}; }
    std::vector<std::string> locks() const override { return locks_; }

private:
    Gate& gate_;
    std::vector<std::string> locks_;
    bool fails_;
};

class EngineStarvation : public testing::Test {
protected:
    EngineStarvation() : engine_(log_, clock_, test::harness_detail::options_of(2, 1)) {
        add("held", [this](Saga& saga) { saga.add<Waiting>(shut_, std::vector<std::string>{"the-vm"}); });
        add("free", [this](Saga& saga) {
            saga.add<Waiting>(open_, std::vector<std::string>{"another-vm"});
            saga.fan_out(branches(open_, false));
        });
        add("wide", [this](Saga& saga) { saga.fan_out(branches(shut_, false)); });
        add("copying", [this](Saga& saga) { saga.fan_out(branches(shut_, true)); });
        add("failing", [this](Saga& saga) {
            saga.add<Waiting>(open_, std::vector<std::string>{"the-vm"});
            saga.add<Waiting>(later_, std::vector<std::string>{}, true);
        });
        add("slow", [this](Saga& saga) { saga.add<Waiting>(shut_, std::vector<std::string>{}); }, Pace::slow);
        shut_.close();
    }
    ~EngineStarvation() override {
        shut_.open();
        later_.open();
    }

    static FanOut branches(Gate& gate, bool slow) {
        FanOut fan_out{{}, BranchFailure::undo_branch, 4, slow};
        for (const char* name : {"0", "1", "2", "3"}) {
            fan_out.branches.push_back(Branch{name, {}});
            fan_out.branches.back().steps.push_back(std::make_unique<Waiting>(gate, std::vector<std::string>{}));
        }
        return fan_out;
    }
    void add(const std::string& kind, const std::function<void(Saga&)>& fill, Pace pace = Pace::quick) {
        engine_.add_kind(
            kind,
            [fill, kind](const Job& row) -> Result<Saga> {
                Saga saga(kind, row.uuid);
                fill(saga);
                return saga;
            },
            pace);
    }
    JobId start(const std::string& kind, int number = 0) {
        Job job = ToyWorld::job_named(kind + std::to_string(number));
        job.kind = kind;
        EXPECT_TRUE(log_.save_job(job).has_value());
        EXPECT_TRUE(engine_.start(job).has_value());
        return job.uuid;
    }
    JobState end_of(const JobId& job) { return engine_.wait(job, kHarnessPatience)->state; }
    void await_threads(std::size_t at_work) {
        const auto deadline = std::chrono::steady_clock::now() + kHarnessPatience;
        while (engine_.running_jobs() != at_work && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        EXPECT_EQ(engine_.running_jobs(), at_work);
    }

    Gate shut_, open_, later_;
    test::FakeSagaLog log_;
    SystemClock clock_;
    Engine engine_;  // two quick threads, one branch thread, one slow thread, one slow branch thread
};

TEST_F(EngineStarvation, JobsThatWaitForALockHaveNoThread) {
    std::vector<JobId> held;
    for (int i = 0; i < 20; ++i) held.push_back(start("held", i));
    ASSERT_TRUE(shut_.await_visitor());
    EXPECT_EQ(end_of(start("free")), JobState::succeeded);
    await_threads(1);  // the one that has the lock
    ASSERT_TRUE(engine_.cancel(held[7]).has_value());
    EXPECT_EQ(end_of(held[7]), JobState::cancelled);
    shut_.open();
    for (int i = 0; i < 20; ++i) {
        if (i != 7) { EXPECT_EQ(end_of(held[static_cast<std::size_t>(i)]), JobState::succeeded) << i; }
    }
}

TEST_F(EngineStarvation, AnUndoThatWaitsForALockHasNoThread) {
    later_.close();
    const JobId failing = start("failing");
    ASSERT_TRUE(later_.await_visitor());  // it has had the lock, and will want it again for its undo
    const JobId held = start("held");
    ASSERT_TRUE(shut_.await_visitor());
    later_.open();
    EXPECT_EQ(end_of(start("free")), JobState::succeeded);
    await_threads(1);  // the one that has the lock
    shut_.open();
    EXPECT_EQ(end_of(held), JobState::succeeded);
    EXPECT_EQ(end_of(failing), JobState::failed);
}

TEST_F(EngineStarvation, AJobThatWaitsForItsBranchesHasNoThread) {
    const JobId wide = start("wide");
    ASSERT_TRUE(shut_.await_visitor());
    await_threads(0);
    const JobId blocked = start("free");  // its trunk ends; its branches wait for the one branch thread
    shut_.open();
    EXPECT_EQ(end_of(wide), JobState::succeeded);
    EXPECT_EQ(end_of(blocked), JobState::succeeded);
}

TEST_F(EngineStarvation, CopiesLeaveTheOtherBranchesTheirThreads) {
    std::vector<JobId> copying;
    for (int i = 0; i < 6; ++i) copying.push_back(start("copying", i));
    ASSERT_TRUE(shut_.await_visitor());
    EXPECT_EQ(end_of(start("free")), JobState::succeeded);
    await_threads(0);
    shut_.open();
    for (const JobId& job : copying) EXPECT_EQ(end_of(job), JobState::succeeded);
}

TEST_F(EngineStarvation, SlowKindsHaveThreadsOfTheirOwn) {
    std::vector<JobId> slow;
    for (int i = 0; i < 6; ++i) slow.push_back(start("slow", i));
    ASSERT_TRUE(shut_.await_visitor());
    EXPECT_EQ(end_of(start("free")), JobState::succeeded);
    shut_.open();
    for (const JobId& job : slow) EXPECT_EQ(end_of(job), JobState::succeeded);
}

TEST_F(EngineStarvation, ACancelWaitsForBranchesThatAreOut) {
    const JobId wide = start("wide");
    ASSERT_TRUE(shut_.await_visitor());
    ASSERT_TRUE(engine_.cancel(wide).has_value());
    EXPECT_EQ(end_of(wide), JobState::cancelled);
    EXPECT_TRUE(log_.violations().empty());
}

TEST_F(EngineStarvation, AnEngineEndsWithJobsInEveryKindOfWait) {
    for (int i = 0; i < 3; ++i) {
        for (const char* kind : {"held", "wide", "copying", "slow"}) start(kind, i);
    }
    ASSERT_TRUE(shut_.await_visitor());
}

}  // namespace
}  // namespace ramet::workflow
