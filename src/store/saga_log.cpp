#include "store/saga_log.hpp"

#include "store/table.hpp"
#include "workflow/step_state.hpp"

namespace ramet::store {
namespace {

using workflow::is_terminal;

// For statements whose order a plain list() cannot have: rows begun in the same millisecond keep the order of their insertion.
template <class Row>
Result<std::vector<Row>> select_rows(Transaction& transaction, const std::string& behind_from, const Values& parameters) {
    const TypeInfo& type = describe<Row>();
    const std::string sql = "SELECT " + erased::column_list(type, "t") + " FROM " + std::string(type.table) + " AS t " + behind_from;
    TRY_ASSIGN(const std::vector<Values> found, transaction.query(sql, parameters));
    std::vector<Row> rows(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) erased::read_columns(type, found[i], 0, &rows[i]);
    return rows;
}

Result<void> note_hook(Transaction& transaction, const Job& job) {
    if (!is_terminal(job.state) || !job.web_hook || job.web_hook->empty()) return {};
    return insert(transaction, PendingWebHook{job.uuid, 0, job.last_op_date});
}

}  // namespace

Result<void> DatabaseSagaLog::save_step(const JobStep& step, Durability durability) {
    const auto save = [&](Transaction& transaction) -> Result<void> {
        Result<void> updated = update(transaction, step);
        if (updated.has_value() || updated.error().code != ErrorCode::not_found) return updated;
        return insert(transaction, step);
    };
    return database_.write(save, durability);
}

Result<void> DatabaseSagaLog::save_job(const Job& job, Durability durability) {
    const auto save = [&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<Job> known, find<Job>(transaction, {{"uuid", job.uuid.text()}}));
        if (known && is_terminal(known->state)) return {};
        TRY(known ? update(transaction, job) : insert(transaction, job));
        return note_hook(transaction, job);
    };
    return database_.write(save, durability);
}

Result<void> DatabaseSagaLog::save_finished(const Job& job, const std::optional<IdempotencyKey>& key) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(insert(transaction, job));
        if (key) TRY(insert(transaction, *key));
        return note_hook(transaction, job);
    });
}

Result<std::optional<IdempotencyKey>> DatabaseSagaLog::find_key(const std::string& uuid) {
    return read(database_, [&](Transaction& transaction) { return find<IdempotencyKey>(transaction, {{"uuid", uuid}}); });
}

Result<void> DatabaseSagaLog::forget_key(const std::string& uuid) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(erase<IdempotencyKey>(transaction, {{"uuid", uuid}}));
        return {};
    });
}

Result<std::vector<DatabaseSagaLog::PendingHook>> DatabaseSagaLog::pending_hooks() {
    return read(database_, [](Transaction& transaction) -> Result<std::vector<PendingHook>> {
        TRY_ASSIGN(const std::vector<PendingWebHook> rows, list<PendingWebHook>(transaction, {}, "createDate"));
        std::vector<PendingHook> hooks;
        for (const PendingWebHook& row : rows) {
            TRY_ASSIGN(const std::optional<Job> job, find<Job>(transaction, {{"uuid", row.job_uuid.text()}}));
            if (job) hooks.push_back({*job, row.tries});
        }
        return hooks;
    });
}

Result<void> DatabaseSagaLog::note_hook_tries(const JobId& job, std::int64_t tries) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(std::optional<PendingWebHook> row, find<PendingWebHook>(transaction, {{"jobUuid", job.text()}}));
        if (!row) return {};
        row->tries = tries;
        return update(transaction, *row);
    });
}

Result<void> DatabaseSagaLog::drop_hook(const JobId& job) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(erase<PendingWebHook>(transaction, {{"jobUuid", job.text()}}));
        return {};
    });
}

Result<std::int64_t> DatabaseSagaLog::purge_finished(Timestamp before) {
    return write(database_, [&](Transaction& transaction) {
        const auto text = [](JobState state) { return std::string(name_of(state)); };
        return transaction.execute("DELETE FROM job WHERE \"finishDate\" < $1 AND \"state\" IN ($2, $3, $4)",
                                   {before.milliseconds, text(JobState::succeeded), text(JobState::failed), text(JobState::cancelled)});
    });
}

Result<std::optional<Job>> DatabaseSagaLog::find_job(const JobId& job) {
    return read(database_, [&](Transaction& transaction) { return find<Job>(transaction, {{"uuid", job.text()}}); });
}

Result<std::vector<JobStep>> DatabaseSagaLog::steps_of(const JobId& job) {
    return read(database_, [&](Transaction& transaction) {
        return select_rows<JobStep>(transaction, "WHERE t.\"jobUuid\" = $1 ORDER BY t.\"startDate\", t.rowid", {job.text()});
    });
}

Result<std::vector<Job>> DatabaseSagaLog::unfinished_jobs() {
    return read(database_, [](Transaction& transaction) {
        const auto text = [](JobState state) { return std::string(name_of(state)); };
        return select_rows<Job>(transaction, "WHERE t.\"state\" IN ($1, $2, $3) ORDER BY t.\"createDate\", t.rowid",
                                {text(JobState::queued), text(JobState::running), text(JobState::undoing)});
    });
}

Result<bool> DatabaseSagaLog::reopen(const JobId& job) {
    return write(database_, [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(std::optional<Job> row, find<Job>(transaction, {{"uuid", job.text()}}));
        if (!row || row->state != JobState::stuck) return false;
        TRY_ASSIGN(std::vector<JobStep> steps, list<JobStep>(transaction, {{"jobUuid", job.text()}}));
        for (JobStep& step : steps) {
            if (step.status != StepStatus::stuck) continue;
            workflow::reopen(step);
            TRY(update(transaction, step));
        }
        workflow::reopen(*row, steps);
        TRY(update(transaction, *row));
        TRY(erase<PendingWebHook>(transaction, {{"jobUuid", job.text()}}));  // it is told of the job's new end
        return true;
    });
}

}  // namespace ramet::store
