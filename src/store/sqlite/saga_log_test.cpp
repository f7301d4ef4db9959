#include "store/saga_log.hpp"

#include "store/sqlite/store_fixture_test.hpp"
#include "workflow/step_state.hpp"

namespace ramet::store {
namespace {

class SagaLogOnSqlite : public StoreTest {
protected:
    Job make_job(JobState state, std::int64_t created) {
        Job job;
        job.uuid = JobId::random();
        job.kind = "clone";
        job.api_name = "CloneVmInstance";
        job.state = state;
        job.plan = "{}";
        job.create_date.milliseconds = created;
        return job;
    }
    JobStep make_step(const Job& job, const std::string& name, std::int64_t started) {
        JobStep step;
        step.uuid = job.uuid.text() + "//" + name;
        step.job_uuid = job.uuid;
        step.name = name;
        step.start_date.milliseconds = started;
        return step;
    }
    Job stored(const JobId& uuid) {
        const auto job = DatabaseSagaLog(*database_).find_job(uuid);
        EXPECT_TRUE(job.has_value() && job->has_value());
        return job.has_value() && job->has_value() ? **job : Job{};
    }
};

TEST_F(SagaLogOnSqlite, SavingAgainReplaces) {
    DatabaseSagaLog log(*database_);
    Job job = make_job(JobState::queued, 1);
    ASSERT_TRUE(log.save_job(job).has_value());
    job.state = JobState::running;
    job.progress = 40;
    ASSERT_TRUE(log.save_job(job).has_value());
    EXPECT_EQ(stored(job.uuid).state, JobState::running);
    EXPECT_EQ(stored(job.uuid).progress, 40);
    EXPECT_EQ(count_rows<Job>(), 1);
}

TEST_F(SagaLogOnSqlite, ATerminalJobNeverChanges) {
    DatabaseSagaLog log(*database_);
    for (const JobState terminal : {JobState::succeeded, JobState::failed, JobState::cancelled, JobState::stuck}) {
        Job job = make_job(terminal, 1);
        job.result = "{\"first\":1}";
        ASSERT_TRUE(log.save_job(job).has_value());
        job.state = JobState::running;
        job.result = "{\"second\":2}";
        EXPECT_TRUE(log.save_job(job).has_value());
        EXPECT_EQ(stored(job.uuid).state, terminal);
        EXPECT_EQ(stored(job.uuid).result, "{\"first\":1}");
    }
}

TEST_F(SagaLogOnSqlite, AnUnknownJobIsNoError) {
    const auto job = DatabaseSagaLog(*database_).find_job(JobId::random());
    ASSERT_TRUE(job.has_value());
    EXPECT_FALSE(job->has_value());
}

TEST_F(SagaLogOnSqlite, StepsComeInTheOrderOfTheirStart) {
    DatabaseSagaLog log(*database_);
    const Job job = make_job(JobState::running, 1);
    const Job other = make_job(JobState::running, 1);
    ASSERT_TRUE(log.save_job(job).has_value());
    ASSERT_TRUE(log.save_job(other).has_value());
    ASSERT_TRUE(log.save_step(make_step(other, "foreign", 0)).has_value());
    ASSERT_TRUE(log.save_step(make_step(job, "late", 9)).has_value());
    JobStep first = make_step(job, "z-first", 5);
    ASSERT_TRUE(log.save_step(first).has_value());
    ASSERT_TRUE(log.save_step(make_step(job, "a-second", 5)).has_value());
    first.status = StepStatus::done;
    first.output = "{\"x\":1}";
    ASSERT_TRUE(log.save_step(first).has_value());
    const auto steps = log.steps_of(job.uuid);
    ASSERT_TRUE(steps.has_value());
    ASSERT_EQ(steps->size(), 3U);
    EXPECT_EQ((*steps)[0].name, "z-first");
    EXPECT_EQ((*steps)[0].status, StepStatus::done);
    EXPECT_EQ((*steps)[0].output, "{\"x\":1}");
    EXPECT_EQ((*steps)[1].name, "a-second");
    EXPECT_EQ((*steps)[2].name, "late");
}

TEST_F(SagaLogOnSqlite, AStepNeedsItsJobAndGoesWithIt) {
    DatabaseSagaLog log(*database_);
    const Job job = make_job(JobState::running, 1);
    EXPECT_EQ(log.save_step(make_step(job, "step", 1)).error().detail, "job_step.jobUuid");
    ASSERT_TRUE(log.save_job(job).has_value());
    ASSERT_TRUE(log.save_step(make_step(job, "step", 1)).has_value());
    const auto purged = write(*database_, [&](Transaction& transaction) { return erase<Job>(transaction, {{"uuid", job.uuid.text()}}); });
    EXPECT_EQ(purged.value_or(0), 1);
    EXPECT_EQ(count_rows<JobStep>(), 0);
}

TEST_F(SagaLogOnSqlite, UnfinishedJobsComeOldestFirst) {
    DatabaseSagaLog log(*database_);
    const Job newest = make_job(JobState::queued, 30);
    const Job middle = make_job(JobState::undoing, 20);
    const Job oldest = make_job(JobState::running, 10);
    for (const Job* job : {&newest, &middle, &oldest}) ASSERT_TRUE(log.save_job(*job).has_value());
    for (const JobState terminal : {JobState::succeeded, JobState::failed, JobState::cancelled, JobState::stuck}) {
        ASSERT_TRUE(log.save_job(make_job(terminal, 5)).has_value());
    }
    const auto jobs = log.unfinished_jobs();
    ASSERT_TRUE(jobs.has_value());
    ASSERT_EQ(jobs->size(), 3U);
    EXPECT_EQ((*jobs)[0].uuid, oldest.uuid);
    EXPECT_EQ((*jobs)[1].uuid, middle.uuid);
    EXPECT_EQ((*jobs)[2].uuid, newest.uuid);
}

TEST_F(SagaLogOnSqlite, TheEndOfAJobNotesItsWebHookOnce) {
    DatabaseSagaLog log(*database_);
    Job job = make_job(JobState::running, 1);
    job.web_hook = "http://127.0.0.1/";
    ASSERT_TRUE(log.save_job(job).has_value());
    EXPECT_TRUE(log.pending_hooks()->empty());
    job.state = JobState::succeeded;
    ASSERT_TRUE(log.save_job(job).has_value());
    ASSERT_TRUE(log.save_job(job).has_value());
    ASSERT_TRUE(log.note_hook_tries(job.uuid, 4).has_value());
    const auto hooks = log.pending_hooks();
    ASSERT_EQ(hooks->size(), 1U);
    EXPECT_EQ((*hooks)[0].job.web_hook, job.web_hook);
    EXPECT_EQ((*hooks)[0].tries, 4);
    ASSERT_TRUE(log.drop_hook(job.uuid).has_value());
    ASSERT_TRUE(log.drop_hook(job.uuid).has_value());
    EXPECT_TRUE(log.pending_hooks()->empty());
}

TEST_F(SagaLogOnSqlite, AFinishedCallIsKeptWithItsKeyOrNotAtAll) {
    DatabaseSagaLog log(*database_);
    const Job first = make_job(JobState::succeeded, 1);
    const Job second = make_job(JobState::succeeded, 1);
    const IdempotencyKey key{"k", "f", first.uuid, Timestamp{1}};
    ASSERT_TRUE(log.save_finished(first, key).has_value());
    EXPECT_EQ(log.find_key("k")->value().job_uuid, first.uuid);
    const Result<void> taken = log.save_finished(second, IdempotencyKey{"k", "f", second.uuid, Timestamp{1}});
    EXPECT_EQ(taken.error().code, ErrorCode::conflict);
    EXPECT_EQ(count_rows<Job>(), 1);
    ASSERT_TRUE(log.forget_key("k").has_value());
    EXPECT_FALSE(log.find_key("k")->has_value());
}

TEST_F(SagaLogOnSqlite, OldJobsGoWithTheirKeysAndHooksAndStuckOnesStay) {
    DatabaseSagaLog log(*database_);
    for (const JobState state : {JobState::succeeded, JobState::failed, JobState::cancelled, JobState::stuck, JobState::running}) {
        Job job = make_job(state, 1);
        job.web_hook = "http://127.0.0.1/";
        if (state != JobState::running) job.finish_date = Timestamp{10};
        ASSERT_TRUE(log.save_finished(job, IdempotencyKey{job.uuid.text(), "f", job.uuid, Timestamp{1}}).has_value());
    }
    EXPECT_EQ(log.purge_finished(Timestamp{10}).value(), 0);
    EXPECT_EQ(log.purge_finished(Timestamp{11}).value(), 3);
    EXPECT_EQ(count_rows<Job>(), 2);
    EXPECT_EQ(count_rows<IdempotencyKey>(), 2);
    EXPECT_EQ(count_rows<PendingWebHook>(), 1);
}

TEST_F(SagaLogOnSqlite, AStuckJobIsReopenedWithItsStuckSteps) {
    DatabaseSagaLog log(*database_);
    for (const bool all_is_undone : {false, true}) {
        Job job = make_job(JobState::stuck, 1);
        job.web_hook = "http://127.0.0.1/";
        job.error = "e";
        job.finish_date = Timestamp{10};
        ASSERT_TRUE(log.save_finished(job, std::nullopt).has_value());
        JobStep stuck = workflow::new_step_row(job.uuid, "0", "disk"), done = workflow::new_step_row(job.uuid, "1", "disk");
        stuck.status = StepStatus::stuck;
        stuck.error = "why";
        done.status = StepStatus::done;
        ASSERT_TRUE(log.save_step(stuck).has_value() && log.save_step(done).has_value());
        if (all_is_undone) { ASSERT_TRUE(log.save_step(workflow::cause_row(job.uuid, Error{}, Timestamp{2})).has_value()); }
        EXPECT_TRUE(log.reopen(job.uuid).value());
        const std::optional<Job> found = log.find_job(job.uuid).value();
        ASSERT_TRUE(found.has_value());
        const Job& now = *found;
        EXPECT_EQ(now.state, all_is_undone ? JobState::undoing : JobState::running);
        EXPECT_EQ(now.error, all_is_undone ? std::optional<std::string>("e") : std::nullopt);
        EXPECT_EQ(now.finish_date, std::nullopt);
        const std::vector<JobStep> steps = log.steps_of(job.uuid).value();
        for (const JobStep& step : steps) {
            const StepStatus expected = step.uuid == stuck.uuid ? StepStatus::undoing : step.uuid == done.uuid ? StepStatus::done : step.status;
            EXPECT_EQ(step.status, expected) << step.uuid;
            EXPECT_TRUE(step.uuid != stuck.uuid || step.error == stuck.error);
        }
        EXPECT_EQ(count_rows<PendingWebHook>(), 0);  // or its new end could not be noted
        EXPECT_FALSE(log.reopen(job.uuid).value());
        job.state = JobState::failed;
        EXPECT_TRUE(log.save_job(job).has_value());
        EXPECT_EQ(log.find_job(job.uuid).value()->state, JobState::failed);
        ASSERT_TRUE(log.drop_hook(job.uuid).has_value());
    }
    EXPECT_FALSE(log.reopen(JobId::random()).value());
}

}  // namespace
}  // namespace ramet::store
