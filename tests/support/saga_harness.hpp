// What every saga must stand, as functions to call from its test:
//
//   using namespace ramet::test;
//   TEST(CloneSaga, LeavesNothingWhicheverStepFails) { expect_nothing_left_whichever_step_fails([] { return std::make_unique<CloneWorld>(); }); }
//
//   expect_nothing_left_whichever_step_fails   each step fails, before and after its effect: all undone, or its branch alone
//   expect_same_end_when_steps_repeat          run(); run() is as run()
//   expect_nothing_left_when_undos_repeat      undo(); undo() is as undo()
//   expect_recovery_from_a_crash_anywhere      the process dies at every single call of the log; the next one ends the job
//
// A world is what the saga acts on: databases, directories, fakes. It must come out the same each time it is made.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "support/fake_saga_log.hpp"
#include "workflow/engine.hpp"

namespace ramet::test {

class SagaWorld {
public:
    virtual ~SagaWorld() = default;
    virtual Job job() = 0;                                    // queued; the same each time
    virtual Result<workflow::Saga> saga(const Job& job) = 0;  // the saga's factory
    virtual std::string leftovers() = 0;                      // what a job that was undone has left; empty: nothing
    virtual std::string leftovers_of_branch(const std::string& branch) {
        (void)branch;
        return {};
    }
    virtual std::string state() = 0;                        // all that the saga changes, as text to compare
    virtual workflow::SagaLog& log() { return fake_log_; }  // a world with a database of its own may use that
    FakeSagaLog& fake_log() { return fake_log_; }

private:
    FakeSagaLog fake_log_;
};

using MakeWorld = std::function<std::unique_ptr<SagaWorld>()>;
inline constexpr std::chrono::seconds kHarnessPatience{60};

// A step whose run and undo a test replaces or surrounds.
class SurroundedStep final : public workflow::Step {
public:
    using Run = std::function<Result<workflow::Output>(Step& inner, workflow::StepContext&)>;
    using Undo = std::function<Result<void>(Step& inner, workflow::StepContext&)>;
    SurroundedStep(std::unique_ptr<Step> inner, Run run, Undo undo) : inner_(std::move(inner)), run_(std::move(run)), undo_(std::move(undo)) {}
    std::string_view name() const override { return inner_->name(); }
    std::vector<std::string> locks() const override { return inner_->locks(); }
    Result<workflow::Output> run(workflow::StepContext& context) override { return run_ ? run_(*inner_, context) : inner_->run(context); }
    Result<void> undo(workflow::StepContext& context) override { return undo_ ? undo_(*inner_, context) : inner_->undo(context); }

private:
    std::unique_ptr<Step> inner_;
    Run run_;
    Undo undo_;
};

struct StepKey {
    std::string branch;  // empty: trunk
    std::string step;
    bool operator==(const StepKey&) const = default;
};

namespace harness_detail {

using Surround = std::function<void(const StepKey&, std::unique_ptr<workflow::Step>&)>;

inline void for_each_step(workflow::Saga& saga, const Surround& visit) {
    for (workflow::Saga::Stage& stage : saga.stages()) {
        if (stage.step != nullptr) visit(StepKey{"", std::string(stage.step->name())}, stage.step);
        for (workflow::Branch& branch : stage.branches.branches) {
            for (std::unique_ptr<workflow::Step>& step : branch.steps) visit(StepKey{branch.name, std::string(step->name())}, step);
        }
    }
}

inline std::vector<StepKey> step_keys(SagaWorld& world) {
    std::vector<StepKey> keys;
    Result<workflow::Saga> saga = world.saga(world.job());
    EXPECT_TRUE(saga.has_value());
    if (saga.has_value()) for_each_step(*saga, [&](const StepKey& key, const std::unique_ptr<workflow::Step>&) { keys.push_back(key); });
    return keys;
}

inline workflow::EngineOptions options_of(std::size_t job_threads, std::size_t branch_threads) {
    return workflow::EngineOptions{job_threads, branch_threads, {}, std::chrono::milliseconds(0), std::chrono::milliseconds(1)};
}
inline workflow::EngineOptions options() { return options_of(1, 3); }

using Edit = std::function<void(workflow::Saga&)>;

// One engine's life: starts the job if it is new, else recovers; waits for its end unless the log dies.
inline Job live(SagaWorld& world, const Edit& edit, bool recover) {
    SystemClock clock;
    workflow::Engine engine(world.log(), clock, options());
    const Job job = world.job();
    engine.add_kind(job.kind, [&](const Job& row) -> Result<workflow::Saga> {
        TRY_ASSIGN(workflow::Saga saga, world.saga(row));
        if (edit) edit(saga);
        return saga;
    });
    if (recover) {
        EXPECT_TRUE(engine.recover().has_value());
    } else {
        (void)engine.start(job);  // fails when the log dies at once
    }
    const Result<Job> end = engine.wait(job.uuid, world.fake_log().died() ? std::chrono::milliseconds(0) : kHarnessPatience);
    return end.has_value() ? *end : job;
}

inline Job run_once(SagaWorld& world, const Edit& edit) {
    EXPECT_TRUE(world.log().save_job(world.job()).has_value());
    return live(world, edit, false);
}

inline SurroundedStep::Run failing_run(bool after_effect) {
    return [after_effect](workflow::Step& inner, workflow::StepContext& context) -> Result<workflow::Output> {
        if (after_effect) (void)inner.run(context);
        return fail(ErrorCode::operation_failed, "this step was made to fail");
    };
}

inline Edit fail_at(const StepKey& wanted, bool after_effect, bool atomic) {
    return [=](workflow::Saga& saga) {
        if (atomic) {
            for (workflow::Saga::Stage& stage : saga.stages()) stage.branches.on_failure = workflow::BranchFailure::undo_all;
        }
        for_each_step(saga, [&](const StepKey& key, std::unique_ptr<workflow::Step>& step) {
            if (key == wanted) step = std::make_unique<SurroundedStep>(std::move(step), failing_run(after_effect), nullptr);
        });
    };
}

inline void expect_whole_undo(const MakeWorld& make_world, const StepKey& key, bool after_effect) {
    const std::unique_ptr<SagaWorld> world = make_world();
    EXPECT_EQ(run_once(*world, fail_at(key, after_effect, true)).state, JobState::failed);
    EXPECT_EQ(world->leftovers(), "");
    EXPECT_THAT(world->fake_log().violations(), testing::IsEmpty());
}

inline void expect_branch_undo(const MakeWorld& make_world, const StepKey& key, bool after_effect) {
    const std::unique_ptr<SagaWorld> world = make_world();
    EXPECT_EQ(run_once(*world, fail_at(key, after_effect, false)).state, JobState::succeeded);
    EXPECT_EQ(world->leftovers_of_branch(key.branch), "");
    EXPECT_THAT(world->fake_log().violations(), testing::IsEmpty());
}

}  // namespace harness_detail

// Branch steps twice: once with every fan-out made atomic, so that the job fails as a whole, once as the saga has it.
inline void expect_nothing_left_whichever_step_fails(const MakeWorld& make_world) {
    for (const StepKey& key : harness_detail::step_keys(*make_world())) {
        for (const bool after_effect : {false, true}) {
            SCOPED_TRACE("step '" + key.step + "' of branch '" + key.branch +
                         (after_effect ? "' fails after its effect" : "' fails before its effect"));
            harness_detail::expect_whole_undo(make_world, key, after_effect);
            if (key.branch.empty()) continue;
            const std::unique_ptr<SagaWorld> sample = make_world();
            const Result<workflow::Saga> saga = sample->saga(sample->job());
            bool atomic = false;
            for (const workflow::Saga::Stage& stage : const_cast<workflow::Saga&>(*saga).stages()) {
                for (const workflow::Branch& branch : stage.branches.branches) {
                    if (branch.name == key.branch) atomic = stage.branches.on_failure == workflow::BranchFailure::undo_all;
                }
            }
            if (!atomic) harness_detail::expect_branch_undo(make_world, key, after_effect);
        }
    }
}

inline std::string state_after_success(const MakeWorld& make_world) {
    const std::unique_ptr<SagaWorld> world = make_world();
    const Job job = harness_detail::run_once(*world, nullptr);
    EXPECT_EQ(job.state, JobState::succeeded) << job.error.value_or("");
    return world->state();
}

inline void expect_same_end_when_steps_repeat(const MakeWorld& make_world) {
    const std::string expected = state_after_success(make_world);
    for (const StepKey& wanted : harness_detail::step_keys(*make_world())) {
        SCOPED_TRACE("step '" + wanted.step + "' of branch '" + wanted.branch + "' runs twice");
        const std::unique_ptr<SagaWorld> world = make_world();
        const Job job = harness_detail::run_once(*world, [&](workflow::Saga& saga) {
            harness_detail::for_each_step(saga, [&](const StepKey& key, std::unique_ptr<workflow::Step>& step) {
                if (key != wanted) return;
                const auto twice = [](workflow::Step& inner, workflow::StepContext& context) -> Result<workflow::Output> {
                    TRY(inner.run(context));
                    return inner.run(context);
                };
                step = std::make_unique<SurroundedStep>(std::move(step), twice, nullptr);
            });
        });
        EXPECT_EQ(job.state, JobState::succeeded) << job.error.value_or("");
        EXPECT_EQ(world->state(), expected);
    }
}

// Everything is done, then the last thing fails; every undo runs twice, the second time as if the first had not been noted.
inline void expect_nothing_left_when_undos_repeat(const MakeWorld& make_world) {
    const std::vector<StepKey> keys = harness_detail::step_keys(*make_world());
    for (const StepKey& last : keys) {
        SCOPED_TRACE("all is undone twice after step '" + last.step + "' of branch '" + last.branch + "' failed");
        const std::unique_ptr<SagaWorld> world = make_world();
        const Job job = harness_detail::run_once(*world, [&](workflow::Saga& saga) {
            harness_detail::fail_at(last, true, true)(saga);
            harness_detail::for_each_step(saga, [&](const StepKey&, std::unique_ptr<workflow::Step>& step) {
                const auto twice = [](workflow::Step& inner, workflow::StepContext& context) -> Result<void> {
                    TRY(inner.undo(context));
                    return inner.undo(context);
                };
                step = std::make_unique<SurroundedStep>(std::move(step), nullptr, twice);
            });
        });
        EXPECT_EQ(job.state, JobState::failed);
        EXPECT_EQ(world->leftovers(), "");
    }
}

// The log dies at its n-th call, for every n, before and after that call's commit; a new engine on the same log and world
// takes the job to its end. `edit` may make a step fail, so that the way back is covered too. Only for worlds on the fake log.
inline std::size_t expect_recovery_from_a_crash_anywhere(const MakeWorld& make_world, const std::function<void(workflow::Saga&)>& edit = nullptr) {
    const std::unique_ptr<SagaWorld> calm = make_world();
    const JobState expected = harness_detail::run_once(*calm, edit).state;
    const std::string expected_state = calm->state();
    std::size_t points = 0;
    for (const FakeSagaLog::Death death : {FakeSagaLog::Death::before_commit, FakeSagaLog::Death::after_commit}) {
        for (std::int64_t nth = 1;; ++nth) {
            SCOPED_TRACE("the log dies at call " + std::to_string(nth) + (death == FakeSagaLog::Death::after_commit ? ", after its commit" : ""));
            const std::unique_ptr<SagaWorld> world = make_world();
            EXPECT_TRUE(world->fake_log().save_job(world->job()).has_value());
            world->fake_log().die_at_call(nth, death);
            (void)harness_detail::live(*world, edit, false);
            const bool died = world->fake_log().died();
            world->fake_log().revive();
            const Job end = harness_detail::live(*world, edit, true);
            EXPECT_EQ(end.state, expected) << end.error.value_or("");
            EXPECT_EQ(world->state(), expected_state);
            if (expected != JobState::succeeded) { EXPECT_EQ(world->leftovers(), ""); }
            EXPECT_THAT(world->fake_log().violations(), testing::IsEmpty());
            ++points;
            if (!died || testing::Test::HasFailure()) break;
        }
    }
    return points;
}

}  // namespace ramet::test
