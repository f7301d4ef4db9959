#include "daemon/job_access.hpp"

#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::daemon {
namespace {

void warn(const JobId& job, const Result<void>& done) {
    if (!done.has_value()) telemetry::log_warning("the web hook of job {} cannot be noted: {}", job.text(), done.error().detail);
}

}  // namespace

http::JobAccess job_access(store::DatabaseSagaLog& log, workflow::Engine& engine, store::Database& database) {
    http::JobAccess jobs;
    jobs.find = [&log](const JobId& job) { return log.find_job(job); };
    jobs.steps = [&log](const JobId& job) { return log.steps_of(job); };
    jobs.look = [&engine](const JobId& job, std::size_t changes_from) { return engine.look(job, changes_from); };
    jobs.save_finished = [&log](const Job& job, const std::optional<IdempotencyKey>& key) { return log.save_finished(job, key); };
    jobs.cancel = [&engine](const JobId& job) { return engine.cancel(job); };
    jobs.retry = [&engine](const JobId& job) { return engine.retry(job); };
    jobs.find_key = [&log](const std::string& uuid) { return log.find_key(uuid); };
    jobs.forget_key = [&log](const std::string& uuid) { return log.forget_key(uuid); };
    jobs.undelivered_hooks = [&log]() -> Result<std::vector<http::UndeliveredHook>> {
        TRY_ASSIGN(const std::vector<store::DatabaseSagaLog::PendingHook> pending, log.pending_hooks());
        std::vector<http::UndeliveredHook> hooks;
        hooks.reserve(pending.size());
        for (const auto& hook : pending) hooks.push_back({hook.job, hook.tries});
        return hooks;
    };
    jobs.hook_tried = [&log](const JobId& job, std::int64_t tries) { warn(job, log.note_hook_tries(job, tries)); };
    jobs.hook_settled = [&log](const JobId& job) { warn(job, log.drop_hook(job)); };
    jobs.is_admin = [&database](const AccountId& account) {
        const Result<std::optional<Account>> row =
            store::read(database, [&](store::Transaction& transaction) { return store::find<Account>(transaction, {{"uuid", account.text()}}); });
        return row.has_value() && *row && (*row)->is_admin();
    };
    return jobs;
}

}  // namespace ramet::daemon
