#include "lifecycle/action.hpp"

#include "base/crash_point.hpp"
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

}  // namespace ramet::lifecycle
