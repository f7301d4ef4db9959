// Jobs as the edge needs them; every call blocks and may come from many threads.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "model/account.hpp"
#include "workflow/engine.hpp"

namespace ramet::http {

struct UndeliveredHook {
    Job job;
    std::int64_t tries = 0;
};

struct JobAccess {
    std::function<Result<std::optional<Job>>(const JobId&)> find;
    std::function<Result<std::vector<JobStep>>(const JobId&)> steps;
    // From memory, for a job that runs; nothing else.
    std::function<std::optional<workflow::LiveJob>(const JobId&, std::size_t changes_from)> look;
    // Inserts a job that has ended already, with its key in the same transaction.
    std::function<Result<void>(const Job&, const std::optional<IdempotencyKey>&)> save_finished;
    std::function<Result<void>(const JobId&)> cancel;
    std::function<Result<void>(const JobId&)> retry;  // of a stuck one

    std::function<Result<std::optional<IdempotencyKey>>(const std::string& uuid)> find_key;
    std::function<Result<void>(const std::string& uuid)> forget_key;

    std::function<Result<std::vector<UndeliveredHook>>()> undelivered_hooks;
    std::function<void(const JobId&, std::int64_t tries)> hook_tried;
    std::function<void(const JobId&)> hook_settled;  // delivered, or given up
    std::function<bool(const AccountId&)> is_admin;
};

}  // namespace ramet::http
