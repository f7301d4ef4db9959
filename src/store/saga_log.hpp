// Jobs and their steps in the database.
// Thread rules: any thread; calls block, and are durable when they return unless they say otherwise.
#pragma once

#include "store/database.hpp"
#include "workflow/engine.hpp"

namespace ramet::store {

// The transaction that makes a job terminal also notes its web hook.
// A job that succeeded, failed, was cancelled or is stuck stays as it is: saving it again changes nothing and is no error. A stuck one can be reopened.
class DatabaseSagaLog final : public workflow::SagaLog {
public:
    explicit DatabaseSagaLog(Database& database) : database_(database) {}
    Result<void> save_step(const JobStep& step, Durability durability = Durability::at_once) override;
    Result<void> save_job(const Job& job, Durability durability = Durability::at_once) override;
    Result<std::optional<Job>> find_job(const JobId& job) override;
    Result<std::vector<JobStep>> steps_of(const JobId& job) override;
    Result<std::vector<Job>> unfinished_jobs() override;
    Result<bool> reopen(const JobId& job) override;

    // A call that has ended without a saga, as a job that has ended; with its key, if it has one, in the same transaction.
    Result<void> save_finished(const Job& job, const std::optional<IdempotencyKey>& key);
    Result<std::optional<IdempotencyKey>> find_key(const std::string& uuid);
    Result<void> forget_key(const std::string& uuid);

    struct PendingHook {
        Job job;
        std::int64_t tries;
    };
    Result<std::vector<PendingHook>> pending_hooks();  // oldest first
    Result<void> note_hook_tries(const JobId& job, std::int64_t tries);
    Result<void> drop_hook(const JobId& job);

    // Deletes the rows of jobs that ended well, badly or by a cancel before then, with all that belongs to them. How many.
    Result<std::int64_t> purge_finished(Timestamp before);

private:
    Database& database_;  // outlives the log
};

}  // namespace ramet::store
