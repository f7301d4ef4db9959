// Deaths and rebirths: the log is the only thing that an engine hands to its successor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "support/toy_saga.hpp"
#include "workflow/engine.hpp"
#include "workflow/step_error.hpp"

namespace ramet::workflow {
namespace {

using test::FakeSagaLog;
using test::kHarnessPatience;
using test::ToyFault;
using test::ToyShape;
using test::ToyWorld;
using testing::HasSubstr;
using testing::IsEmpty;

test::MakeWorld maker(const ToyShape& shape) {
    return [shape] { return std::make_unique<ToyWorld>(shape); };
}

TEST(SagaHarness, ToyLeavesNothingWhicheverStepFails) { test::expect_nothing_left_whichever_step_fails(maker({})); }
TEST(SagaHarness, ToyEndsTheSameWhenStepsRepeat) { test::expect_same_end_when_steps_repeat(maker({})); }
TEST(SagaHarness, ToyLeavesNothingWhenUndosRepeat) { test::expect_nothing_left_when_undos_repeat(maker({})); }
TEST(SagaHarness, ToyRecoversFromACrashAnywhere) { EXPECT_GT(test::expect_recovery_from_a_crash_anywhere(maker({})), 50U); }

TEST(SagaHarness, ToyRecoversFromACrashAnywhereOnItsWayBack) {
    ToyShape shape;
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_half;
    EXPECT_GT(test::expect_recovery_from_a_crash_anywhere(maker(shape)), 90U);
}

TEST(SagaHarness, ToyRecoversFromACrashAnywhereWithAFailingBranch) {
    ToyShape shape;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    EXPECT_GT(test::expect_recovery_from_a_crash_anywhere(maker(shape)), 50U);
}

TEST(SagaHarness, ToyRecoversFromACrashAnywhereWithAFailingAtomicBranch) {
    ToyShape shape;
    shape.on_failure = BranchFailure::undo_all;
    shape.parallel = 1;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    EXPECT_GT(test::expect_recovery_from_a_crash_anywhere(maker(shape)), 50U);
}

// One life of an engine on `world`.
class Life {
public:
    explicit Life(ToyWorld& world, EngineOptions options = test::harness_detail::options()) : engine(world.log(), clock, std::move(options)) {
        engine.add_kind("toy", [&world](const Job& row) { return world.saga(row); });
    }
    SystemClock clock;
    Engine engine;
};

TEST(EngineRecovery, TellsTheFailedBranchAndItsErrorFromTheLogAlone) {
    ToyShape shape;
    shape.faults["1/start"].kind = ToyFault::Kind::fail_after;
    ToyWorld world(shape);
    ASSERT_TRUE(world.log().save_job(world.job()).has_value());
    world.gate("/tidy").close();
    {
        Life life(world);
        ASSERT_TRUE(life.engine.start(world.job()).has_value());
        ASSERT_TRUE(world.gate("/tidy").await_visitor());
    }
    EXPECT_EQ(world.fake_log().job(world.job().uuid).state, JobState::running);
    world.gate("/tidy").open();
    world.shape.faults.clear();
    Life life(world);
    EXPECT_EQ(life.engine.recover().value_or(0), 1U);
    const Result<Job> end = life.engine.wait(world.job().uuid, kHarnessPatience);
    EXPECT_EQ(end->state, JobState::succeeded);
    EXPECT_THAT(end->result.value_or(""), HasSubstr("0=ok 1=1/start was made to fail(detail of 1/start) 2=ok"));
    EXPECT_EQ(world.leftovers_of_branch("1"), "");
}

TEST(EngineRecovery, StopsWithoutUndoAndGoesForwardAfterwards) {
    ToyWorld world;
    ASSERT_TRUE(world.log().save_job(world.job()).has_value());
    world.gate("1/nic").close();
    {
        Life life(world);
        ASSERT_TRUE(life.engine.start(world.job()).has_value());
        ASSERT_TRUE(world.gate("1/nic").await_visitor());
    }
    EXPECT_EQ(world.fake_log().step(world.job().uuid, "1", "nic")->status, StepStatus::running);
    world.gate("1/nic").open();
    Life life(world);
    ASSERT_TRUE(life.engine.recover().has_value());
    EXPECT_EQ(life.engine.wait(world.job().uuid, kHarnessPatience)->state, JobState::succeeded);
    EXPECT_THAT(world.events(), testing::Not(testing::Contains(HasSubstr("undo"))));
}

TEST(EngineRecovery, KeepsTheFirstErrorOfAJobThatWasBeingUndone) {
    ToyShape shape;
    shape.faults["/tidy"].kind = ToyFault::Kind::fail_after;
    ToyWorld world(shape);
    ASSERT_TRUE(world.log().save_job(world.job()).has_value());
    world.gate("undo /capture").close();
    {
        Life life(world);
        ASSERT_TRUE(life.engine.start(world.job()).has_value());
        ASSERT_TRUE(world.gate("undo /capture").await_visitor());
    }
    EXPECT_EQ(world.fake_log().job(world.job().uuid).state, JobState::undoing);
    world.gate("undo /capture").open();
    Life life(world);
    ASSERT_TRUE(life.engine.recover().has_value());
    const Result<Job> end = life.engine.wait(world.job().uuid, kHarnessPatience);
    EXPECT_EQ(end->state, JobState::failed);
    EXPECT_THAT(end->error.value_or(""), HasSubstr("/tidy was made to fail"));
    EXPECT_EQ(world.leftovers(), "");
}

TEST(EngineRecovery, ACancelledJobStaysCancelledThroughEveryCrash) {
    for (const FakeSagaLog::Death death : {FakeSagaLog::Death::before_commit, FakeSagaLog::Death::after_commit}) {
        for (std::int64_t nth = 3;; ++nth) {  // the first two calls are the cancel's own commits
            ToyWorld world;
            ASSERT_TRUE(world.log().save_job(world.job()).has_value());
            world.gate("1/nic").close();
            bool died = false;
            {
                Life life(world);
                ASSERT_TRUE(life.engine.start(world.job()).has_value());
                ASSERT_TRUE(world.gate("1/nic").await_visitor());
                world.gate("0/disk").close();
                world.gate("2/disk").close();
                world.fake_log().die_at_call(nth + 20, death);  // the neighbours may still commit
                ASSERT_TRUE(life.engine.cancel(world.job().uuid).has_value());
                (void)life.engine.wait(world.job().uuid, std::chrono::milliseconds(2000));
                died = world.fake_log().died();
            }
            world.fake_log().revive();
            Life life(world);
            ASSERT_TRUE(life.engine.recover().has_value());
            const Result<Job> end = life.engine.wait(world.job().uuid, kHarnessPatience);
            EXPECT_EQ(end->state, JobState::cancelled);
            EXPECT_EQ(world.leftovers(), "");
            if (!died || nth > 12) break;
        }
    }
}

TEST(EngineRecovery, OnePoisonedJobAmongAHundredDelaysNoOther) {
    ToyWorld world;
    for (int i = 0; i < 100; ++i) {
        Job job = ToyWorld::job_named("job " + std::to_string(i));
        if (i == 13) job.kind = "unheard-of";
        ASSERT_TRUE(world.log().save_job(job).has_value());
        if (i == 31) {
            JobStep foreign = new_step_row(job.uuid, "", "no-such-step");
            foreign.status = StepStatus::done;
            world.fake_log().put_step(foreign);
        }
        if (i == 57) {
            JobStep damaged = cause_row(job.uuid, Error{}, Timestamp{});
            damaged.error = "{\"code\":";
            world.fake_log().put_step(damaged);
        }
    }
    EngineOptions options = test::harness_detail::options();
    options.job_threads = 3;
    Life life(world, options);
    EXPECT_EQ(life.engine.recover().value_or(0), 100U);
    for (int i = 0; i < 100; ++i) {
        const bool poisoned = i == 13 || i == 31 || i == 57;
        const Result<Job> end = life.engine.wait(ToyWorld::job_named("job " + std::to_string(i)).uuid, kHarnessPatience);
        EXPECT_EQ(end->state, poisoned ? JobState::stuck : JobState::succeeded) << i;
        EXPECT_EQ(end->error.has_value(), poisoned);
    }
}

TEST(EngineRecovery, TriesAFailedWriteAgainAndStartsAJobWhoseRowCannotBeRead) {
    for (std::int64_t nth = 1; nth < 28; ++nth) {  // call 1 is start()'s look at the row
        ToyWorld world;
        ASSERT_TRUE(world.log().save_job(world.job()).has_value());
        world.fake_log().fail_call(nth);
        EngineOptions options = test::harness_detail::options();
        options.log_patience = std::chrono::seconds(30);
        Life life(world, options);
        ASSERT_TRUE(life.engine.start(world.job()).has_value());
        EXPECT_EQ(life.engine.wait(world.job().uuid, kHarnessPatience)->state, JobState::succeeded) << nth;
        EXPECT_THAT(world.fake_log().violations(), IsEmpty());
    }
}

TEST(EngineRecovery, AJobWaitsForAFullDiskLongerThanForAnythingElse) {
    ToyWorld world;
    ASSERT_TRUE(world.log().save_job(world.job()).has_value());
    world.fake_log().run_full_at_call(5, 4);
    EngineOptions options = test::harness_detail::options();
    options.log_patience = std::chrono::milliseconds(1);
    Life life(world, options);
    ASSERT_TRUE(life.engine.start(world.job()).has_value());
    EXPECT_EQ(life.engine.wait(world.job().uuid, kHarnessPatience)->state, JobState::succeeded);
    EXPECT_THAT(world.fake_log().violations(), IsEmpty());
}

TEST(EngineRecovery, AJobThatRestsIsTakenUpByTheSameEngine) {
    ToyWorld world;
    ASSERT_TRUE(world.log().save_job(world.job()).has_value());
    Life life(world);
    world.fake_log().die_at_call(9, FakeSagaLog::Death::before_commit);
    ASSERT_TRUE(life.engine.start(world.job()).has_value());
    (void)life.engine.wait(world.job().uuid, kHarnessPatience);
    world.fake_log().revive();
    std::size_t taken = 0;
    const auto deadline = std::chrono::steady_clock::now() + kHarnessPatience;
    while (taken == 0 && std::chrono::steady_clock::now() < deadline) taken = life.engine.recover().value_or(0);
    EXPECT_EQ(taken, 1U);
    EXPECT_EQ(life.engine.wait(world.job().uuid, kHarnessPatience)->state, JobState::succeeded);
}

// --- random jobs, random failures, cancels and deaths: 600 seeds

ToyShape random_shape(std::mt19937& random) {
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    ToyShape shape;
    shape.before.resize(below(3));
    for (std::size_t i = 0; i < shape.before.size(); ++i) shape.before[i] = "before" + std::to_string(i);
    shape.branches.resize(below(5));
    for (std::size_t i = 0; i < shape.branches.size(); ++i) shape.branches[i] = std::to_string(i);
    shape.branch_steps.resize(1 + below(3));
    for (std::size_t i = 0; i < shape.branch_steps.size(); ++i) shape.branch_steps[i] = "step" + std::to_string(i);
    shape.on_failure = below(3) == 0 ? BranchFailure::undo_all : BranchFailure::undo_branch;
    shape.parallel = 1 + below(3);
    if (below(2) == 0) shape.locks = {"shared"};
    const auto maybe_fault = [&](const std::string& key, unsigned chance) {
        if (below(chance) == 0) shape.faults[key].kind = static_cast<ToyFault::Kind>(1 + below(4));
        if (below(chance) == 0) shape.faults[key].undo_failures = static_cast<int>(1 + below(2));
    };
    for (const std::string& step : shape.before) maybe_fault("/" + step, 12);
    for (const std::string& branch : shape.branches) {
        for (const std::string& step : shape.branch_steps) maybe_fault(branch + "/" + step, 10);
    }
    maybe_fault("/tidy", 8);
    return shape;
}

struct Simulation {
    explicit Simulation(unsigned seed) : random(seed), world(random_shape(random)) {}

    unsigned below(unsigned limit) { return static_cast<unsigned>(random() % limit); }
    void run() {
        jobs = 1 + below(3);
        for (unsigned i = 0; i < jobs; ++i) ASSERT_TRUE(world.log().save_job(ToyWorld::job_named(std::to_string(i))).has_value());
        for (unsigned deaths = below(4); deaths > 0; --deaths) live_and_die();
        live_to_the_end();
    }
    void live_and_die() {
        world.fake_log().die_at_call(1 + below(30), below(2) == 0 ? FakeSagaLog::Death::before_commit : FakeSagaLog::Death::after_commit);
        Life life(world, options());
        (void)life.engine.recover();
        if (below(3) == 0 && life.engine.cancel(ToyWorld::job_named("0").uuid).has_value()) cancelled = true;
        for (unsigned i = 0; i < jobs; ++i) {
            const std::chrono::milliseconds patience = world.fake_log().died() ? std::chrono::milliseconds(0) : kHarnessPatience;
            (void)life.engine.wait(ToyWorld::job_named(std::to_string(i)).uuid, patience);
        }
    }
    void live_to_the_end() {
        world.fake_log().revive();
        Life life(world, options());
        ASSERT_TRUE(life.engine.recover().has_value());
        for (unsigned i = 0; i < jobs; ++i) {
            const Result<Job> end = life.engine.wait(ToyWorld::job_named(std::to_string(i)).uuid, kHarnessPatience);
            ASSERT_TRUE(end.has_value());
            check(*end, i);
        }
        EXPECT_THAT(world.fake_log().violations(), IsEmpty());
    }
    void check(const Job& job, unsigned index) {
        EXPECT_TRUE(job.state == JobState::succeeded || job.state == JobState::failed || job.state == JobState::cancelled) << name_of(job.state);
        EXPECT_FALSE(cancelled && index == 0 && job.state == JobState::succeeded);
        EXPECT_EQ(job.state == JobState::succeeded, !job.error.has_value());
        if (job.state == JobState::succeeded) {
            EXPECT_EQ(world.half_branches(job.uuid.text()), "");
        } else {
            EXPECT_THAT(world.leftovers(), testing::Not(HasSubstr(job.uuid.text())));
        }
    }
    EngineOptions options() { return EngineOptions{1 + below(2), 1 + below(3), {}, std::chrono::milliseconds(0), std::chrono::milliseconds(1)}; }

    std::mt19937 random;
    ToyWorld world;
    unsigned jobs = 0;
    bool cancelled = false;
};

TEST(EngineSimulation, EveryJobEndsDoneOrUndoneWhateverHappens) {
    for (unsigned seed = 0; seed < 600 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Simulation simulation(seed);
        simulation.run();
    }
}

}  // namespace
}  // namespace ramet::workflow
