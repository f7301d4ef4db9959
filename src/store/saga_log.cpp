#include "store/saga_log.hpp"

#include "store/table.hpp"

namespace ramet::store {
namespace {

bool is_terminal(JobState state) {
    return state == JobState::succeeded || state == JobState::failed || state == JobState::cancelled || state == JobState::stuck;
}

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

}  // namespace

Result<void> DatabaseSagaLog::save_step(const JobStep& step) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        const Result<void> updated = update(transaction, step);
        if (updated.has_value() || updated.error().code != ErrorCode::not_found) return updated;
        return insert(transaction, step);
    });
}

Result<void> DatabaseSagaLog::save_job(const Job& job) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<Job> known, find<Job>(transaction, {{"uuid", job.uuid.text()}}));
        if (!known) return insert(transaction, job);
        if (is_terminal(known->state)) return {};
        return update(transaction, job);
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

}  // namespace ramet::store
