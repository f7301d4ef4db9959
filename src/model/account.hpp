// Accounts, sessions, ownership, and jobs as they are stored.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/describe.hpp"
#include "model/states.hpp"

namespace ramet {

struct Account {
    AccountId uuid;
    std::string name;
    std::optional<std::string> description;
    std::string type = "Normal";  // SystemAdmin, Normal
    std::string password_hash;    // internal: argon2id over the client's SHA-512
    Timestamp create_date, last_op_date;
    bool is_admin() const { return type == "SystemAdmin"; }
};
template <> const TypeInfo& describe<Account>();

// Stored under a hash of its uuid, so that a stolen database opens no session.
struct Session {
    std::string uuid_hash;
    AccountId account_uuid;
    Timestamp expired_date;
    Timestamp create_date;
};
template <> const TypeInfo& describe<Session>();

struct AccountResourceRef {
    std::string resource_uuid;  // the key: one owner each
    AccountId account_uuid;
    std::string resource_type;  // "VmInstanceVO"
    Timestamp create_date, last_op_date;
};
template <> const TypeInfo& describe<AccountResourceRef>();

// A job: what the API polls. Simple calls store only the result; sagas store their plan and steps as well.
struct Job {
    JobId uuid;
    std::string kind;      // the saga's kind, or the message name for a call without a saga
    std::string api_name;  // "CloneVmInstance"
    AccountId account_uuid;
    JobState state = JobState::queued;
    std::optional<std::string> target_uuid;  // the resource acted on
    std::string plan;                        // JSON: all that the saga is built from
    std::optional<std::string> result;       // JSON body of the final answer
    std::optional<std::string> error;        // JSON error object, when it failed
    std::optional<std::string> detail;       // JSON: what was measured
    std::int64_t progress = 0;               // 0..100
    std::optional<std::string> web_hook;
    bool web_hook_has_schema = false;  // what it is sent has its `schema`
    Timestamp create_date, last_op_date;
    std::optional<Timestamp> finish_date;
};
template <> const TypeInfo& describe<Job>();

// A call that was made with an Idempotency-Key, and the job that answers it. Goes with the job's row.
struct IdempotencyKey {
    std::string uuid;         // the key: derived from account and Idempotency-Key, which itself is not kept
    std::string fingerprint;  // of the call and its body
    JobId job_uuid;
    Timestamp create_date;
};
template <> const TypeInfo& describe<IdempotencyKey>();

// A web hook that has not been delivered: made in the transaction that ends its job, gone when it is taken or given up.
struct PendingWebHook {
    JobId job_uuid;
    std::int64_t tries = 0;
    Timestamp create_date;
};
template <> const TypeInfo& describe<PendingWebHook>();

enum class StepStatus : std::uint8_t { pending, running, done, failed, undoing, undone, stuck };
inline constexpr std::array<std::string_view, 7> kStepStatusNames{"pending", "running", "done", "failed", "undoing", "undone", "stuck"};
template <> inline constexpr std::span<const std::string_view> enum_names<StepStatus>{kStepStatusNames};

struct JobStep {
    std::string uuid;  // "<job>/<branch>/<step>": the key
    JobId job_uuid;
    std::string branch;  // empty for the trunk, else the branch's name
    std::string name;
    StepStatus status = StepStatus::pending;
    std::string output;                // JSON, or empty
    std::optional<std::string> error;  // JSON error object
    Timestamp start_date;
    std::optional<Timestamp> finish_date;
};
template <> const TypeInfo& describe<JobStep>();

}  // namespace ramet
