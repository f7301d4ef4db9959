#include "model/account.hpp"

namespace ramet {

template <> const TypeInfo& describe<Account>() {
    static const TypeInfo info = row<Account>(
        {"account", "AccountVO", "org.zstack.header.identity.AccountInventory"}, "Account", "A person or program that owns resources.",
        field<&Account::uuid>("uuid", "The account's uuid.", {.primary = true}), field<&Account::name>("name", "The name to log in with; unique."),
        field<&Account::description>("description", "Free text."), field<&Account::type>("type", "SystemAdmin or Normal."),
        field<&Account::password_hash>("passwordHash", "The password's hash.", {.internal = true, .secret = true}),
        field<&Account::create_date>("createDate", "When the account was made."),
        field<&Account::last_op_date>("lastOpDate", "When the account was last changed."));
    return info;
}

template <> const TypeInfo& describe<Session>() {
    static const TypeInfo info =
        row<Session>({"session", "SessionVO"}, "Session", "A login.",
                     field<&Session::uuid_hash>("uuidHash", "The hash of the session's uuid.", {.primary = true, .internal = true, .secret = true}),
                     field<&Session::account_uuid>("accountUuid", "The account that logged in.", {.internal = true}),
                     field<&Session::expired_date>("expiredDate", "When the session ends unless it is used.", {.internal = true}),
                     field<&Session::create_date>("createDate", "When the account logged in.", {.internal = true}));
    return info;
}

template <> const TypeInfo& describe<AccountResourceRef>() {
    static const TypeInfo info = row<AccountResourceRef>(
        {"account_resource_ref", "AccountResourceRefVO"}, "AccountResourceRef", "Which account owns a resource.",
        field<&AccountResourceRef::resource_uuid>("resourceUuid", "The resource.", {.primary = true, .internal = true}),
        field<&AccountResourceRef::account_uuid>("accountUuid", "Its owner.", {.internal = true}),
        field<&AccountResourceRef::resource_type>("resourceType", "The resource's type, such as VmInstanceVO.", {.internal = true}),
        field<&AccountResourceRef::create_date>("createDate", "When the owner was recorded.", {.internal = true}),
        field<&AccountResourceRef::last_op_date>("lastOpDate", "When the owner last changed.", {.internal = true}));
    return info;
}

template <> const TypeInfo& describe<Job>() {
    static const TypeInfo info = row<Job>(
        {"job", "JobVO"}, "Job", "A call that is being worked on, or its outcome.", field<&Job::uuid>("uuid", "The job's uuid.", {.primary = true}),
        field<&Job::kind>("kind", "The kind of work.", {.internal = true}),
        field<&Job::api_name>("apiName", "The API that was called, such as CloneVmInstance."),
        field<&Job::account_uuid>("accountUuid", "The account that called."), field<&Job::state>("state", "How far the job is."),
        field<&Job::target_uuid>("targetUuid", "The resource the job acts on."),
        field<&Job::plan>("plan", "All that the work is built from.", {.internal = true}), field<&Job::result>("result", "The answer, as JSON text."),
        field<&Job::error>("error", "The error, as JSON text, when the job failed."),
        field<&Job::detail>("detail", "What was measured, as JSON text."), field<&Job::progress>("progress", "Percent done, 0 to 100."),
        field<&Job::web_hook>("webHook", "The address that is called when the job ends.", {.internal = true, .secret = true}),
        field<&Job::web_hook_has_schema>("webHookHasSchema", "Whether that address is sent the answer's schema.", {.internal = true}),
        field<&Job::create_date>("createDate", "When the job was accepted."),
        field<&Job::last_op_date>("lastOpDate", "When the job was last changed."), field<&Job::finish_date>("finishDate", "When the job ended."));
    return info;
}

template <> const TypeInfo& describe<IdempotencyKey>() {
    static const TypeInfo info =
        row<IdempotencyKey>({"idempotency_key", "IdempotencyKeyVO"}, "IdempotencyKey", "A call that may be repeated.",
                            field<&IdempotencyKey::uuid>("uuid", "Derived from account and key.", {.primary = true, .internal = true}),
                            field<&IdempotencyKey::fingerprint>("fingerprint", "Of the call and its body.", {.internal = true}),
                            field<&IdempotencyKey::job_uuid>("jobUuid", "The job that answers the call.", {.internal = true}),
                            field<&IdempotencyKey::create_date>("createDate", "When the call was first made.", {.internal = true}));
    return info;
}

template <> const TypeInfo& describe<PendingWebHook>() {
    static const TypeInfo info =
        row<PendingWebHook>({"web_hook", "WebHookVO"}, "PendingWebHook", "A web hook that waits for its delivery.",
                            field<&PendingWebHook::job_uuid>("jobUuid", "The job whose end it tells.", {.primary = true, .internal = true}),
                            field<&PendingWebHook::tries>("tries", "How often it was tried.", {.internal = true}),
                            field<&PendingWebHook::create_date>("createDate", "When the job ended.", {.internal = true}));
    return info;
}

template <> const TypeInfo& describe<JobStep>() {
    static const TypeInfo info =
        row<JobStep>({"job_step", "JobStepVO"}, "JobStep", "One step of a job.",
                     field<&JobStep::uuid>("uuid", "The step's key: job, branch and step name.", {.primary = true, .internal = true}),
                     field<&JobStep::job_uuid>("jobUuid", "The job the step belongs to.", {.internal = true}),
                     field<&JobStep::branch>("branch", "The branch the step is in; empty for the trunk.", {.internal = true}),
                     field<&JobStep::name>("name", "The step's name.", {.internal = true}),
                     field<&JobStep::status>("status", "How far the step is.", {.internal = true}),
                     field<&JobStep::output>("output", "What the step handed on, as JSON text.", {.internal = true}),
                     field<&JobStep::error>("error", "The step's error, as JSON text.", {.internal = true}),
                     field<&JobStep::start_date>("startDate", "When the step was begun.", {.internal = true}),
                     field<&JobStep::finish_date>("finishDate", "When the step ended.", {.internal = true}));
    return info;
}

}  // namespace ramet
