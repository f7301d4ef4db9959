#include "workflow/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/limits.hpp"
#include "support/toy_saga.hpp"

namespace ramet::workflow {
namespace {

using test::FakeSagaLog;
using test::kHarnessPatience;
using test::ToyFault;
using test::ToyShape;
using test::ToyWorld;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A world and an engine on it, with jobs by name.
class Toys {
public:
    explicit Toys(ToyShape shape = {}, EngineOptions options = test::harness_detail::options())
        : world(std::move(shape)),
          engine(world.log(), clock, std::move(options)) {
        engine.add_kind("toy", [this](const Job& row) { return world.saga(row); });
        engine.on_finished([this](const Job& job) {
            const std::lock_guard lock(mutex);
            finished.push_back(job.plan);
        });
    }
    Job commit(const std::string& name = "toy") {
        const Job job = ToyWorld::job_named(name);
        EXPECT_TRUE(world.log().save_job(job).has_value());
        return job;
    }
    JobId start(const std::string& name = "toy") {
        const Job job = commit(name);
        EXPECT_TRUE(engine.start(job).has_value());
        return job.uuid;
    }
    Job end_of(const JobId& job) {
        const Result<Job> row = engine.wait(job, kHarnessPatience);
        EXPECT_TRUE(row.has_value());
        return row.has_value() ? *row : Job{};
    }
    std::size_t finished_count() {
        const std::lock_guard lock(mutex);
        return finished.size();
    }

    std::mutex mutex;
    std::vector<std::string> finished;
    SystemClock clock;
    ToyWorld world;
    Engine engine;
};

ToyShape trunk_only() {
    ToyShape shape;
    shape.branches.clear();
    return shape;
}

TEST(Engine, RunsTheTrunkInOrderAndReports) {
    Toys toys(trunk_only());
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::succeeded);
    EXPECT_EQ(job.result, "\"/prepare\"");
    EXPECT_EQ(job.detail, "{}");
    EXPECT_EQ(job.progress, 100);
    EXPECT_TRUE(job.finish_date.has_value());
    EXPECT_THAT(toys.world.events(), ElementsAre("run /prepare", "run /capture", "run /tidy"));
    EXPECT_EQ(toys.world.fake_log().job(job.uuid).state, JobState::succeeded);
}

TEST(Engine, CommitsTwicePerStepAndTwicePerJob) {
    Toys toys;
    const Job job = toys.commit();
    toys.world.fake_log().revive();  // counts from here
    ASSERT_TRUE(toys.engine.start(job).has_value());
    EXPECT_EQ(toys.end_of(job.uuid).state, JobState::succeeded);
    // Twelve steps, `running` and the end of the job, and start()'s look at the row; one more if progress was written.
    EXPECT_GE(toys.world.fake_log().calls(), 12 * 2 + 2 + 1);
    EXPECT_LE(toys.world.fake_log().calls(), 12 * 2 + 2 + 1 + 1 + 1);
}

TEST(Engine, UndoesTheFailingStepFirstThenTheOthersBackwards) {
    ToyShape shape = trunk_only();
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_half;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("/tidy was made to fail"));
    EXPECT_THAT(toys.world.events(), ElementsAre("run /prepare", "run /capture", "run /tidy", "undo /tidy", "undo /capture", "undo /prepare",
                                                 "abandon /tidy was made to fail"));
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(Engine, CountsAThrowAsInternalFailure) {
    ToyShape shape = trunk_only();
    shape.faults["/capture"].kind = ToyFault::Kind::throws;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("\"code\":\"internal\""));
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(Engine, UndoesAFailingBranchAloneAndReportsItsError) {
    ToyShape shape;
    shape.faults["1/nic"].kind = ToyFault::Kind::fail_after;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::succeeded);
    EXPECT_EQ(job.result, "\"/prepare\" 0=ok 1=1/nic was made to fail(detail of 1/nic) 2=ok");
    EXPECT_EQ(toys.world.leftovers_of_branch("1"), "");
    EXPECT_NE(toys.world.leftovers_of_branch("0"), "");
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "1", "nic")->status, StepStatus::undone);
    EXPECT_FALSE(toys.world.fake_log().step(job.uuid, "1", "start").has_value());
}

TEST(Engine, SucceedsThoughEveryBranchFails) {
    ToyShape shape;
    for (const char* branch : {"0", "1", "2"}) shape.faults[std::string(branch) + "/disk"].kind = ToyFault::Kind::fail_before;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::succeeded);
    EXPECT_THAT(job.result.value_or(""), HasSubstr("2=2/disk was made to fail"));
}

TEST(Engine, UndoesAllWhenAnAtomicBranchFails) {
    ToyShape shape;
    shape.on_failure = BranchFailure::undo_all;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("1/start was made to fail"));
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(Engine, StopsTheOtherBranchesOfAnAtomicFanOut) {
    ToyShape shape;
    shape.on_failure = BranchFailure::undo_all;
    shape.faults["1/disk"].kind = ToyFault::Kind::fail_before;
    Toys toys(shape);
    toys.world.gate("0/disk").close();  // opens only by the stop that the failing neighbour causes
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("1/disk was made to fail"));
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(Engine, RunsAtMostSoManyBranchesAtOnceAsAllowed) {
    struct Counting final : Step {
        Counting(std::atomic<int>& inside, std::atomic<int>& highest) : inside_(inside), highest_(highest) {}
        std::string_view name() const override { return "count"; }
        Result<Output> run(StepContext&) override {
            const int now = ++inside_;
            for (int seen = highest_; now > seen && !highest_.compare_exchange_weak(seen, now);) {}
            std::this_thread::yield();
            --inside_;
            return Output{};
        }
        Result<void> undo(StepContext&) override { return {}; }
        std::atomic<int>& inside_;
        std::atomic<int>& highest_;
    };
    Toys toys;
    std::atomic<int> inside{0};
    std::atomic<int> highest{0};
    std::atomic<std::size_t> reported{0};
    toys.engine.add_kind("count", [&](const Job& row) -> Result<Saga> {
        Saga saga("count", row.uuid);
        FanOut fan_out{{}, BranchFailure::undo_branch, 2};
        for (int i = 0; i < 200; ++i) {
            fan_out.branches.push_back(Branch{std::to_string(i), {}});
            fan_out.branches.back().steps.push_back(std::make_unique<Counting>(inside, highest));
        }
        saga.fan_out(std::move(fan_out));
        saga.report([&](const StepContext&, const std::vector<BranchOutcome>& outcomes) -> Result<Report> {
            reported = outcomes.size();
            return Report{};
        });
        return saga;
    });
    Job job = ToyWorld::job_named("count");
    job.kind = "count";
    ASSERT_TRUE(toys.world.log().save_job(job).has_value());
    ASSERT_TRUE(toys.engine.start(job).has_value());
    EXPECT_EQ(toys.end_of(job.uuid).state, JobState::succeeded);
    EXPECT_LE(highest, 2);
    EXPECT_EQ(reported, 200U);
}

TEST(Engine, TriesAnUndoAgainBeforeItGivesUp) {
    ToyShape shape = trunk_only();
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
    shape.faults["/capture"].undo_failures = static_cast<int>(limits::kStepRetryMax) - 1;
    Toys toys(shape);
    EXPECT_EQ(toys.end_of(toys.start()).state, JobState::failed);
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(Engine, WaitsWithAnUndoForRoomOnAFullDisk) {
    for (const char* where : {"/capture", "abandon"}) {
        ToyShape shape = trunk_only();
        shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
        shape.faults[where] = {ToyFault::Kind::none, static_cast<int>(limits::kStepRetryMax) + 2, ErrorCode::storage_full};
        Toys toys(shape);
        EXPECT_EQ(toys.end_of(toys.start()).state, JobState::failed) << where;
        EXPECT_EQ(toys.world.leftovers(), "") << where;
    }
}

TEST(Engine, WaitsWithAnUndoForWhatDoesNotAnswer) {
    ToyShape shape = trunk_only();
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
    shape.faults["/capture"] = {ToyFault::Kind::none, static_cast<int>(limits::kStepRetryMax) + 2, ErrorCode::timeout};
    Toys toys(shape);
    EXPECT_EQ(toys.end_of(toys.start()).state, JobState::failed);
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(Engine, IsStuckWhenAnUndoKeepsFailingAndTouchesNothingBeforeIt) {
    ToyShape shape = trunk_only();
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
    shape.faults["/capture"].undo_failures = 1000;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::stuck);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("/tidy was made to fail"));
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "", "capture")->status, StepStatus::stuck);
    EXPECT_THAT(toys.world.fake_log().step(job.uuid, "", "capture")->error.value_or(""), HasSubstr("undo of /capture was made to fail"));
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "", "prepare")->status, StepStatus::done);
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "", "tidy")->status, StepStatus::undone);
    EXPECT_THAT(toys.world.events(), testing::Not(testing::Contains(HasSubstr("abandon"))));
}

TEST(Engine, LetsTheOtherBranchesEndWhenOneIsStuck) {
    ToyShape shape;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    shape.faults["1/nic"].undo_failures = 1000;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::stuck);
    EXPECT_THAT(job.result.value_or(""), HasSubstr("0=ok 1=1/start was made to fail(detail of 1/start) 2=ok"));
    EXPECT_THAT(job.error.value_or(""), HasSubstr("undo of 1/nic"));
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "1", "disk")->status, StepStatus::done);
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "", "tidy")->status, StepStatus::done);
}

TEST(Engine, TakesAStuckJobUpAgainWhereItsUndoGaveUp) {
    ToyShape shape = trunk_only();
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
    shape.faults["/capture"].undo_failures = 2 * limits::kStepRetryMax;
    Toys toys(shape);
    const JobId id = toys.end_of(toys.start()).uuid;
    EXPECT_TRUE(toys.engine.retry(id).has_value());
    EXPECT_EQ(toys.end_of(id).state, JobState::stuck);
    EXPECT_TRUE(toys.engine.retry(id).has_value());
    const Job job = toys.end_of(id);
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("/tidy was made to fail"));
    EXPECT_EQ(toys.world.leftovers(), "");
    EXPECT_THAT(toys.world.fake_log().violations(), IsEmpty());
    EXPECT_THAT(toys.engine.retry(id).error().message, HasSubstr("Stuck"));
    EXPECT_EQ(toys.engine.retry(JobId::random()).error().code, ErrorCode::not_found);
}

TEST(Engine, TakesUpAgainNoMoreThanTheStuckBranchOfAJobWhoseOthersCameThrough) {
    ToyShape shape;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    Toys whole(shape);
    EXPECT_EQ(whole.end_of(whole.start()).state, JobState::succeeded);
    shape.faults["1/nic"].undo_failures = limits::kStepRetryMax;
    Toys toys(shape);
    const JobId id = toys.end_of(toys.start()).uuid;
    EXPECT_EQ(toys.world.fake_log().job(id).state, JobState::stuck);
    EXPECT_TRUE(toys.engine.retry(id).has_value());
    const Job job = toys.end_of(id);
    EXPECT_EQ(job.state, JobState::succeeded);
    EXPECT_EQ(job.error, std::nullopt);
    EXPECT_THAT(job.result.value_or(""), HasSubstr("0=ok 1=1/start was made to fail(detail of 1/start) 2=ok"));
    EXPECT_EQ(toys.world.leftovers(), whole.world.leftovers());
    EXPECT_THAT(toys.world.fake_log().violations(), IsEmpty());
}

TEST(Engine, UndoesWhatCameAfterAStuckBranchButNothingBeforeIt) {
    ToyShape shape;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    shape.faults["1/nic"].undo_failures = 1000;
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
    Toys toys(shape);
    const Job job = toys.end_of(toys.start());
    EXPECT_EQ(job.state, JobState::stuck);
    EXPECT_THAT(job.error.value_or(""), HasSubstr("/tidy was made to fail"));
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "", "tidy")->status, StepStatus::undone);
    EXPECT_EQ(toys.world.leftovers_of_branch("0"), "");
    EXPECT_EQ(toys.world.leftovers_of_branch("2"), "");
    EXPECT_EQ(toys.world.fake_log().step(job.uuid, "", "capture")->status, StepStatus::done);
}

TEST(Engine, IsStuckWhenTheReservationsCannotBeGivenUp) {
    ToyShape shape = trunk_only();
    shape.faults["/prepare"].kind = ToyFault::Kind::fail_before;
    shape.faults["abandon"].undo_failures = 1000;
    Toys toys(shape);
    EXPECT_EQ(toys.end_of(toys.start()).state, JobState::stuck);
}

TEST(Engine, FailsWithoutUndoWhenTheReportFails) {
    Toys toys(trunk_only());
    toys.engine.add_kind("toy", [&](const Job& row) -> Result<Saga> {
        TRY_ASSIGN(Saga saga, toys.world.saga(row));
        saga.report([](const StepContext&, const std::vector<BranchOutcome>&) -> Result<Report> { return fail(ErrorCode::internal, "no report"); });
        return saga;
    });
    EXPECT_EQ(toys.end_of(toys.start()).state, JobState::failed);
    EXPECT_THAT(toys.world.events(), ElementsAre("run /prepare", "run /capture", "run /tidy"));
}

TEST(Engine, IsStuckWithAJobOfAnUnknownKindOrWithoutASaga) {
    Toys toys(trunk_only());
    toys.engine.add_kind("broken", [](const Job&) -> Result<Saga> { return fail(ErrorCode::internal, "the plan cannot be read"); });
    toys.engine.add_kind("throwing", [](const Job&) -> Result<Saga> { throw std::runtime_error("thrown"); });
    toys.engine.add_kind("twice", [&](const Job& row) -> Result<Saga> {
        Saga saga("twice", row.uuid);
        saga.add<test::ToyStep>(toys.world, "", "same").add<test::ToyStep>(toys.world, "", "same");
        return saga;
    });
    for (const char* kind : {"unheard-of", "broken", "throwing", "twice"}) {
        Job job = ToyWorld::job_named(kind);
        job.kind = kind;
        ASSERT_TRUE(toys.world.log().save_job(job).has_value());
        ASSERT_TRUE(toys.engine.start(job).has_value());
        const Job end = toys.end_of(job.uuid);
        EXPECT_EQ(end.state, JobState::stuck) << kind;
        EXPECT_TRUE(end.error.has_value()) << kind;
    }
    EXPECT_EQ(toys.end_of(toys.start()).state, JobState::succeeded);
    EXPECT_THAT(toys.world.events(), ElementsAre("run /prepare", "run /capture", "run /tidy"));
}

TEST(Engine, StartsAJobOnce) {
    Toys toys(trunk_only());
    toys.world.gate("/prepare").close();
    const Job job = toys.commit();
    ASSERT_TRUE(toys.engine.start(job).has_value());
    ASSERT_TRUE(toys.engine.start(job).has_value());
    toys.world.gate("/prepare").open();
    EXPECT_EQ(toys.end_of(job.uuid).state, JobState::succeeded);
    ASSERT_TRUE(toys.engine.start(job).has_value());
    EXPECT_EQ(toys.end_of(job.uuid).state, JobState::succeeded);
    EXPECT_EQ(toys.world.events().size(), 3U);
}

TEST(Engine, WaitsNoLongerThanToldAndAlsoForJobsThatEndedBefore) {
    Toys toys(trunk_only());
    toys.world.gate("/capture").close();
    const JobId job = toys.start();
    ASSERT_TRUE(toys.world.gate("/capture").await_visitor());
    const Result<Job> present = toys.engine.wait(job, std::chrono::milliseconds(1));
    ASSERT_TRUE(present.has_value());
    EXPECT_EQ(present->state, JobState::running);
    EXPECT_GT(present->progress, 0);
    EXPECT_LT(present->progress, 100);
    EXPECT_EQ(toys.engine.running_jobs(), 1U);
    toys.world.gate("/capture").open();
    EXPECT_EQ(toys.end_of(job).state, JobState::succeeded);
    EXPECT_EQ(toys.end_of(job).state, JobState::succeeded);
    const Result<Job> unknown = toys.engine.wait(JobId::random(), std::chrono::milliseconds(1));
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
}

TEST(Engine, TellsItsListenersOnceAboutEachEnd) {
    Toys toys(trunk_only());
    for (const char* name : {"a", "b", "c"}) toys.end_of(toys.start(name));
    const auto deadline = std::chrono::steady_clock::now() + kHarnessPatience;
    while (toys.finished_count() < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    const std::lock_guard lock(toys.mutex);
    EXPECT_THAT(toys.finished, testing::UnorderedElementsAre("a", "b", "c"));
}

TEST(Engine, HoldsAStepsLocksAcrossJobs) {
    ToyShape shape = trunk_only();
    shape.locks = {"the-vm"};
    EngineOptions options = test::harness_detail::options();
    options.job_threads = 4;
    Toys toys(shape, options);
    toys.world.gate("/capture").close();
    const JobId first = toys.start("first");
    ASSERT_TRUE(toys.world.gate("/capture").await_visitor());
    const JobId second = toys.start("second");
    // The second job's first step wants the lock that the first job's second step holds.
    EXPECT_EQ(toys.engine.wait(second, std::chrono::milliseconds(20))->state, JobState::running);
    EXPECT_FALSE(toys.world.fake_log().step(second, "", "prepare").has_value());
    toys.world.gate("/capture").open();
    EXPECT_EQ(toys.end_of(first).state, JobState::succeeded);
    EXPECT_EQ(toys.end_of(second).state, JobState::succeeded);
}

TEST(EngineCancel, EndsAQueuedJobAtOnce) {
    Toys toys(trunk_only());  // one job thread
    toys.world.gate("/prepare").close();
    const JobId first = toys.start("first");
    ASSERT_TRUE(toys.world.gate("/prepare").await_visitor());
    const JobId second = toys.start("second");
    ASSERT_TRUE(toys.engine.cancel(second).has_value());
    EXPECT_EQ(toys.end_of(second).state, JobState::cancelled);  // while the first still holds the only job thread
    EXPECT_THAT(toys.world.events(), ElementsAre("run /prepare", "abandon the job was cancelled by request"));
    toys.world.gate("/prepare").open();
    EXPECT_EQ(toys.end_of(first).state, JobState::succeeded);
}

TEST(EngineCancel, EndsACommittedJobThatWasNotYetStarted) {
    Toys toys(trunk_only());
    const Job job = toys.commit();
    ASSERT_TRUE(toys.engine.cancel(job.uuid).has_value());
    ASSERT_TRUE(toys.engine.start(job).has_value());
    EXPECT_EQ(toys.end_of(job.uuid).state, JobState::cancelled);
    EXPECT_EQ(toys.world.leftovers(), "");
}

TEST(EngineCancel, UndoesARunningJobFromEveryStep) {
    for (const std::string key : {"/prepare", "/capture", "0/disk", "1/nic", "2/start", "/tidy"}) {
        for (const bool early : {true, false}) {
            Toys toys;
            toys.world.gate(key).close();
            const JobId job = toys.start();
            ASSERT_TRUE(toys.world.gate(key).await_visitor());
            if (!early) toys.world.gate(key).open();
            const Result<void> asked = toys.engine.cancel(job);
            const Job end = toys.end_of(job);
            if (!early && end.state == JobState::succeeded) continue;  // it was quicker than the request
            ASSERT_TRUE(asked.has_value()) << asked.error().message;
            EXPECT_EQ(end.state, JobState::cancelled) << key;
            EXPECT_THAT(end.error.value_or(""), HasSubstr("cancelled by request"));
            EXPECT_EQ(toys.world.leftovers(), "") << key;
            EXPECT_THAT(toys.world.fake_log().violations(), IsEmpty());
        }
    }
}

TEST(EngineCancel, IsDurableBeforeItReturns) {
    Toys toys(trunk_only());
    toys.world.gate("undo /capture").close();
    toys.world.gate("/capture").close();
    const JobId job = toys.start();
    ASSERT_TRUE(toys.world.gate("/capture").await_visitor());
    ASSERT_TRUE(toys.engine.cancel(job).has_value());
    EXPECT_EQ(toys.world.fake_log().job(job).state, JobState::undoing);
    EXPECT_THAT(toys.world.fake_log().job(job).error.value_or(""), HasSubstr("cancelled"));
    ASSERT_TRUE(toys.engine.cancel(job).has_value());  // asking twice is asking once
    toys.world.gate("undo /capture").open();
    EXPECT_EQ(toys.end_of(job).state, JobState::cancelled);
}

TEST(EngineCancel, IsRefusedFromTheReportOn) {
    Toys toys(trunk_only());
    toys.world.gate("report").close();
    const JobId job = toys.start();
    ASSERT_TRUE(toys.world.gate("report").await_visitor());
    Result<void> refused = toys.engine.cancel(job);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::wrong_state);
    toys.world.gate("report").open();
    EXPECT_EQ(toys.end_of(job).state, JobState::succeeded);
    refused = toys.engine.cancel(job);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::wrong_state);
    EXPECT_EQ(toys.engine.cancel(JobId::random()).error().code, ErrorCode::not_found);
}

TEST(EngineCancel, LeavesAStepThatWaitsForALock) {
    ToyShape shape = trunk_only();
    shape.locks = {"the-vm"};
    EngineOptions options = test::harness_detail::options();
    options.job_threads = 2;
    Toys toys(shape, options);
    toys.world.gate("/prepare").close();
    const JobId first = toys.start("first");
    ASSERT_TRUE(toys.world.gate("/prepare").await_visitor());
    const JobId second = toys.start("second");
    while (toys.world.fake_log().job(second).state != JobState::running) std::this_thread::yield();
    ASSERT_TRUE(toys.engine.cancel(second).has_value());
    EXPECT_EQ(toys.end_of(second).state, JobState::cancelled);
    toys.world.gate("/prepare").open();
    EXPECT_EQ(toys.end_of(first).state, JobState::succeeded);
}

}  // namespace
}  // namespace ramet::workflow
