// Calls about jobs: ramet's own, and ZStack's task progress (contract 5.2). Field meaning: messages_jobs.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "api/messages_vm.hpp"
#include "model/account.hpp"

namespace ramet::api {

struct GetJob {
    JobId uuid;
};
struct CancelJob {
    JobId uuid;
};
struct RetryJob {
    JobId uuid;
};
struct WatchJob {
    JobId uuid;
};
struct GetTaskProgress {
    JobId api_id;
    bool all = false;
};

struct JobStepView {
    std::string name;
    std::optional<std::string> branch;
    std::string status;
    Timestamp start;
    std::optional<Timestamp> finish;
    std::optional<std::int64_t> ms;
    std::optional<ErrorInventory> error;
};
struct JobBranchView {
    std::string branch;
    std::optional<std::string> name, step, status;
    std::int64_t progress = 0;
    std::optional<std::int64_t> done, total, rate, seconds_left;
};
struct AnyJson {};  // what only its own call describes
struct JobView {
    JobId uuid;
    std::string kind, api_name;
    std::optional<AccountId> account_uuid;
    std::optional<std::string> target_uuid;
    std::string state;
    std::int64_t progress = 0;
    std::optional<std::int64_t> done, total, rate, seconds_left;
    Timestamp create_date, last_op_date;
    std::optional<Timestamp> finish_date;
    std::optional<std::int64_t> ms;
    std::vector<JobBranchView> branches;
    std::vector<JobStepView> steps;
    std::optional<AnyJson> detail, result;  // written by the server as they are stored
    std::optional<ErrorInventory> error;
};
struct TaskProgressInventory {
    std::string task_uuid, task_name;
    std::string type = "Progress";
    std::string content;
    std::int64_t time = 0;
};

std::vector<const MessageInfo*> job_messages();

}  // namespace ramet::api

namespace ramet {

RAMET_DECLARE_MESSAGE(GetJob)
RAMET_DECLARE_MESSAGE(CancelJob)
RAMET_DECLARE_MESSAGE(RetryJob)
RAMET_DECLARE_MESSAGE(WatchJob)
RAMET_DECLARE_MESSAGE(GetTaskProgress)
template <> const TypeInfo& describe<api::JobStepView>();
template <> const TypeInfo& describe<api::JobBranchView>();
template <> const TypeInfo& describe<api::AnyJson>();
template <> const TypeInfo& describe<api::JobView>();
template <> const TypeInfo& describe<api::TaskProgressInventory>();

}  // namespace ramet
