// Jobs and their steps in the database.
// Thread rules: any thread; calls block, and are durable when they return.
#pragma once

#include "store/database.hpp"
#include "workflow/engine.hpp"

namespace ramet::store {

// A job that succeeded, failed, was cancelled or is stuck stays as it is: saving it again changes nothing and is no error.
class DatabaseSagaLog final : public workflow::SagaLog {
public:
    explicit DatabaseSagaLog(Database& database) : database_(database) {}
    Result<void> save_step(const JobStep& step) override;
    Result<void> save_job(const Job& job) override;
    Result<std::optional<Job>> find_job(const JobId& job) override;
    Result<std::vector<JobStep>> steps_of(const JobId& job) override;
    Result<std::vector<Job>> unfinished_jobs() override;

private:
    Database& database_;  // outlives the log
};

}  // namespace ramet::store
