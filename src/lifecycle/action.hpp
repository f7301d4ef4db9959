// Jobs of one step or a few, written as functions: what start, stop, attach and their kind are made of.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "identity/caller.hpp"
#include "lifecycle/parts.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

// Who asks, and as which job.
struct Request {
    identity::Caller caller;
    JobId job;
    std::optional<std::string> web_hook;
    std::optional<IdempotencyKey> key;  // committed with the job
    bool web_hook_has_schema = false;
    bool validates_only = false;  // submit() checks and reserves, and takes it all back
};

class Action final : public workflow::Step {
public:
    using Run = std::function<Result<void>(workflow::StepContext&)>;
    Action(std::string name, std::vector<std::string> locks, Run run, Run undo)
        : name_(std::move(name)),
          locks_(std::move(locks)),
          run_(std::move(run)),
          undo_(std::move(undo)) {}
    std::string_view name() const override { return name_; }
    Result<workflow::Output> run(workflow::StepContext& step) override {
        TRY(run_(step));
        return workflow::Output{};
    }
    Result<void> undo(workflow::StepContext& step) override { return undo_ ? undo_(step) : Result<void>{}; }
    std::vector<std::string> locks() const override { return locks_; }

private:
    std::string name_;
    std::vector<std::string> locks_;
    Run run_, undo_;
};

struct JobOrder {
    std::string kind;  // registered with the engine
    std::string api_name;
    std::string target_uuid;
    std::string plan;  // JSON
};

// Commits the job's row, with `reserve` in the same transaction, and hands it to the engine. `reserve` may complete the job's plan, and may
// run more than once when the database has to try again.
using Reserve = std::function<Result<void>(store::Transaction&, Job&)>;
Result<JobId> submit(Parts& parts, const Request& request, const JobOrder& order, const Reserve& reserve = {});

// For keepers, which look again and again: a job of this kind is at it, or has failed at it within limits::kKeeperRetry.
Result<bool> is_on_its_way(store::Transaction& transaction, std::string_view kind, const std::string& target_uuid, Timestamp now);

// A report that answers {"inventory": the row}.
template <class Row>
auto inventory_report(Parts& parts, std::string key) {
    return [&parts, key = std::move(key)](const workflow::StepContext&, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
        TRY_ASSIGN(std::string body, parts.shared.inventory.reply<Row>(key));
        return workflow::Report{std::move(body), {}};
    };
}
inline Result<workflow::Report> empty_report(const workflow::StepContext&, const std::vector<workflow::BranchOutcome>&) {
    return workflow::Report{"{}", {}};
}

}  // namespace ramet::lifecycle
