#include "workflow/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/toy_saga.hpp"

namespace ramet::workflow {
namespace {

using namespace std::chrono_literals;

JobStep step(const std::string& branch, const std::string& name, StepStatus status) {
    JobStep row;
    row.branch = branch;
    row.name = name;
    row.status = status;
    row.output = "{}";
    return row;
}

TEST(RateMeter, FollowsASteadyRateAndForgetsAnOldOne) {
    RateMeter meter;
    const RateMeter::Time start{};
    for (int i = 0; i <= 20; ++i) meter.report(start + i * 100ms, i * 1000);
    EXPECT_NEAR(meter.per_second(start + 2s), 10'000, 1);
    for (int i = 1; i <= 200; ++i) meter.report(start + 2s + i * 100ms, 20'000 + i * 100);
    EXPECT_NEAR(meter.per_second(start + 22s), 1'000, 50);
}

TEST(RateMeter, FadesWhenNothingIsReported) {
    RateMeter meter;
    const RateMeter::Time start{};
    for (int i = 0; i <= 10; ++i) meter.report(start + i * 100ms, i * 1000);
    EXPECT_LT(meter.per_second(start + 20s), 100);
}

TEST(ProgressBoard, AddsUpBranchesAndNeverFalls) {
    ProgressBoard board;
    board.add_lane("", "", 1);
    board.add_lane("0", "web-01", 2);
    board.add_lane("1", "web-02", 2);
    board.step_changed(step("0", "copy", StepStatus::running));
    board.report("0", 60, 100);
    board.report("0", 40, 100);  // a step that begins again
    JobProgress seen = board.look(10);
    EXPECT_EQ(seen.whole.done, 60);
    EXPECT_EQ(seen.whole.total, 200);  // the other clone is taken to be as large
    ASSERT_EQ(seen.branches.size(), 2U);
    EXPECT_EQ(seen.branches[0].label, "web-01");
    EXPECT_EQ(seen.branches[0].progress.percent, 30);
    board.step_changed(step("0", "copy", StepStatus::done));
    board.step_changed(step("0", "boot", StepStatus::running));
    seen = board.look(20);
    EXPECT_EQ(seen.branches[0].progress.done, 100);
    EXPECT_EQ(seen.branches[0].progress.percent, 50);
    EXPECT_EQ(seen.branches[0].step, "boot");
    board.step_changed(step("0", "boot", StepStatus::done));
    EXPECT_EQ(board.look(30).branches[0].progress.percent, 100);
}

TEST(ProgressBoard, TellsWhatChangedSinceALook) {
    ProgressBoard board;
    board.add_lane("0", "", 1);
    board.step_changed(step("0", "copy", StepStatus::running));
    EXPECT_EQ(board.changes(0).size(), 1U);
    board.step_changed(step("0", "copy", StepStatus::done));
    const std::vector<JobStep> later = board.changes(1);
    ASSERT_EQ(later.size(), 1U);
    EXPECT_EQ(later[0].status, StepStatus::done);
    EXPECT_EQ(later[0].output, "");
}

// A step that counts its calls and asks to be called again, as one that waits for a guest does.
class Waiter final : public Step {
public:
    Waiter(std::atomic<int>& calls, int until) : calls_(calls), until_(until) {}
    std::string_view name() const override { return "wait"; }
    Result<Output> run(StepContext& context) override {
        if (++calls_ < until_) context.come_back(5ms);
        return Output{};
    }
    Result<void> undo(StepContext&) override { return {}; }

private:
    std::atomic<int>& calls_;
    int until_;
};

struct Bench {
    test::FakeSagaLog log;
    SystemClock clock;
    Job job(const std::string& name) {
        Job row = test::ToyWorld::job_named(name);
        EXPECT_TRUE(log.save_job(row).has_value());
        return row;
    }
};

TEST(WaitingSteps, AreCalledAgainAndHoldNoThreadMeanwhile) {
    Bench bench;
    std::atomic<int> calls{0};
    std::atomic<int> short_calls{0};
    Engine engine(bench.log, bench.clock, EngineOptions{2, 1, {}});
    engine.add_kind("toy", [&](const Job& row) -> Result<Saga> {
        Saga saga(row.kind, row.uuid);
        FanOut fan_out;
        fan_out.parallel = 1;
        const bool waits = row.plan == "waits";
        fan_out.branches.push_back({"0", {}});
        fan_out.branches.back().steps.push_back(std::make_unique<Waiter>(waits ? calls : short_calls, waits ? 1'000'000 : 1));
        saga.fan_out(std::move(fan_out));
        return saga;
    });
    const Job waiting = bench.job("waits");
    ASSERT_TRUE(engine.start(waiting).has_value());
    while (calls < 3) std::this_thread::sleep_for(1ms);
    const Job quick = bench.job("quick");  // the one thread for branches is free for it
    ASSERT_TRUE(engine.start(quick).has_value());
    EXPECT_EQ(engine.wait(quick.uuid, 30s)->state, JobState::succeeded);
    ASSERT_TRUE(engine.cancel(waiting.uuid).has_value());
    EXPECT_EQ(engine.wait(waiting.uuid, 30s)->state, JobState::cancelled);
    EXPECT_THAT(bench.log.violations(), testing::IsEmpty());
}

TEST(Cancelling, DoesNotWaitForTheBranchesOfOtherJobs) {
    test::ToyShape shape;
    shape.before = {};
    shape.after = {};
    test::ToyWorld world(shape);
    SystemClock clock;
    Engine engine(world.log(), clock, EngineOptions{2, 1, {}});
    engine.add_kind("toy", [&](const Job& row) { return world.saga(row); });
    const auto begin = [&](const std::string& name) {
        const Job row = test::ToyWorld::job_named(name);
        EXPECT_TRUE(world.log().save_job(row).has_value());
        EXPECT_TRUE(engine.start(row).has_value());
        return row.uuid;
    };
    test::Gate& slow = world.gate("0/disk");
    slow.close();
    const JobId blocker = begin("blocker");
    ASSERT_TRUE(slow.await_visitor());  // the only branch thread is busy
    const JobId victim = begin("victim");
    while (world.log().find_job(victim)->value().state != JobState::running) std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(engine.cancel(victim).has_value());
    EXPECT_EQ(engine.wait(victim, 10s)->state, JobState::cancelled);
    EXPECT_EQ(engine.wait(blocker, 0ms)->state, JobState::running);
    slow.open();
    EXPECT_EQ(engine.wait(blocker, 30s)->state, JobState::succeeded);
}

TEST(Look, ShowsARunningJobFromMemoryAndNothingAfterIt) {
    test::ToyShape shape;
    shape.before = {};
    shape.after = {};
    shape.branches = {"0"};
    test::ToyWorld world(shape);
    SystemClock clock;
    Engine engine(world.log(), clock, EngineOptions{1, 1, {}});
    engine.add_kind("toy", [&](const Job& row) { return world.saga(row); });
    const Job row = world.job();
    ASSERT_TRUE(world.log().save_job(row).has_value());
    test::Gate& gate = world.gate("0/nic");
    gate.close();
    ASSERT_TRUE(engine.start(row).has_value());
    ASSERT_TRUE(gate.await_visitor());
    const std::optional<LiveJob> live = engine.look(row.uuid);
    ASSERT_TRUE(live.has_value());
    ASSERT_EQ(live->progress.branches.size(), 1U);
    EXPECT_EQ(live->progress.branches[0].step, "nic");
    EXPECT_EQ(live->progress.branches[0].progress.done, 2);  // the first step reported 1 of 2 and ended
    EXPECT_EQ(live->progress.branches[0].progress.percent, 33);
    EXPECT_EQ(live->changes.size(), 3U);  // disk begun, disk done, nic begun
    gate.open();
    EXPECT_EQ(engine.wait(row.uuid, 30s)->state, JobState::succeeded);
    while (engine.look(row.uuid)) std::this_thread::sleep_for(1ms);
}

}  // namespace
}  // namespace ramet::workflow
