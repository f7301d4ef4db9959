#include "lifecycle/action.hpp"

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "resources/use_case.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

Result<JobId> submit(Parts& parts, const Request& request, const JobOrder& order, const Reserve& reserve) {
    Job job;
    job.uuid = request.job;
    job.kind = order.kind;
    job.api_name = order.api_name;
    job.account_uuid = request.caller.account;
    job.target_uuid = order.target_uuid;
    job.plan = order.plan;
    job.web_hook = request.web_hook;
    job.web_hook_has_schema = request.web_hook_has_schema;
    job.create_date = job.last_op_date = parts.now();
    crash_point("job-before-reserve");
    TRY(resources::write_or_validate(parts.database(), request.validates_only, [&](store::Transaction& transaction) -> Result<void> {
        if (request.key) TRY(store::insert(transaction, *request.key));
        if (reserve) TRY(reserve(transaction, job));
        return store::insert(transaction, job);
    }));
    if (request.validates_only) return job.uuid;
    crash_point("job-after-reserve");
    TRY(parts.shared.engine.start(job));
    return job.uuid;
}

// One that ended at a time that is still to come did so before the wall clock was set back.
Result<bool> is_on_its_way(store::Transaction& transaction, std::string_view kind, const std::string& target_uuid, Timestamp now) {
    constexpr std::int64_t kRetry = std::chrono::milliseconds(limits::kKeeperRetry).count();
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query("SELECT COUNT(*) FROM job WHERE \"targetUuid\" = $1 AND kind = $2 AND (\"finishDate\" IS NULL OR "
                                 "(state <> 'Succeeded' AND \"finishDate\" > $3 AND \"finishDate\" <= $4))",
                                 {target_uuid, std::string(kind), now.milliseconds - kRetry, now.milliseconds}));
    return std::get<std::int64_t>(rows.at(0).at(0)) > 0;
}

}  // namespace ramet::lifecycle
