// A saga: a durable list of steps with do and undo. A trunk of steps runs in order; a fan-out runs branches side by side.
//
//   trunk:  step ─► step ─► fan-out ─► step ─► (result)
//                              ├─ branch "web-01": step ─► step ─► step
//                              └─ branch "web-02": step ─► step ✗ ─► undone alone, in reverse, the failing step first
//
// Rules for steps:
// - run() and undo() may each run twice, or undo() after half a run(): both work from the plan, not from outputs.
// - A step reports failure only with everything it did still undoable by its undo().
// - Steps do not throw; a throw counts as failure with ErrorCode::internal.
// Thread rules: the steps of one branch run one after another, branches in parallel; a step object is used by one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/durability.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "model/account.hpp"

namespace ramet::workflow {

using Output = std::string;  // JSON text, or empty

class StepContext {
public:
    virtual ~StepContext() = default;
    virtual const JobId& job() const = 0;
    // Requested: the job is cancelled, end early with ErrorCode::cancelled. In run() the thread's Patience (base/patience.hpp) ends with it.
    virtual std::stop_token stop() const = 0;
    virtual Output output_of(std::string_view trunk_step) const = 0;   // of a finished trunk step; empty if none
    virtual void progress(std::int64_t done, std::int64_t total) = 0;  // bytes or items of this step; monotone
    // For steps that wait for something outside: run() is called again after `pause` instead of counting as done when it returns without an
    // error. Until then no thread is held. The step's locks are let go meanwhile.
    virtual void come_back(std::chrono::milliseconds pause) = 0;
    // Another job waits for something that this step holds. What works in nobody's name ends early then.
    virtual bool others_wait() const { return false; }
};

class Step {
public:
    virtual ~Step() = default;
    virtual std::string_view name() const = 0;  // unique within its trunk or branch; stable for ever
    virtual Result<Output> run(StepContext& context) = 0;
    virtual Result<void> undo(StepContext& context) = 0;
    // Uuids held exclusively while this step runs or is undone; waits for other jobs, first come first served.
    virtual std::vector<std::string> locks() const { return {}; }
};

struct Branch {
    std::string name;  // unique within the fan-out; stable, made from the plan ("0", "1", ...)
    std::vector<std::unique_ptr<Step>> steps;
    std::string label{};  // for people, such as the name of a clone
};

enum class BranchFailure : std::uint8_t { undo_branch, undo_all };  // undo_all: atomic

struct FanOut {
    std::vector<Branch> branches;
    BranchFailure on_failure = BranchFailure::undo_branch;
    std::size_t parallel = 1;
    bool slow = false;  // copies and the like, which take as long as there are bytes: on a pool that no other job needs
};

struct BranchOutcome {
    std::string name;
    std::optional<Error> error;  // set: the branch was undone
};

// How the job ends: built after the last step from what the steps left in the store.
struct Report {
    std::string result;  // JSON body for the API
    std::string detail;  // JSON object of what was measured, or empty
};

class Saga {
public:
    Saga(std::string kind, JobId job) : kind_(std::move(kind)), job_(std::move(job)) {}
    template <class S, class... Arguments>
    Saga& add(Arguments&&... arguments) {
        trunk_.push_back(Stage{std::make_unique<S>(std::forward<Arguments>(arguments)...), {}});
        return *this;
    }
    Saga& fan_out(FanOut branches) {
        trunk_.push_back(Stage{nullptr, std::move(branches)});
        return *this;
    }
    // Runs after the last step, off every lock; may run again after a crash. A failed report fails the job without undo.
    Saga& report(std::function<Result<Report>(const StepContext&, const std::vector<BranchOutcome>&)> function) {
        report_ = std::move(function);
        return *this;
    }
    // Runs after all undo of a failed job, e.g. to drop rows that the plan reserved. Must be repeatable.
    Saga& abandon(std::function<Result<void>(const Error&)> function) {
        abandon_ = std::move(function);
        return *this;
    }

    // For sagas that only make new things, whose plan was durable before the first step: after a power cut steps that had begun or ended may
    // run again from an earlier one on, so their moves forward need no sync of their own. What a step itself commits is as durable as it says.
    Saga& begins_again_after_power_cut() {
        log_of_steps_ = Durability::with_next;
        return *this;
    }

    struct Stage {
        std::unique_ptr<Step> step;
        FanOut branches;
    };  // step null: a fan-out
    const std::string& kind() const { return kind_; }
    const JobId& job() const { return job_; }
    std::vector<Stage>& stages() { return trunk_; }
    const auto& reporter() const { return report_; }
    const auto& abandoner() const { return abandon_; }
    Durability log_of_steps() const { return log_of_steps_; }

private:
    std::string kind_;
    JobId job_;
    std::vector<Stage> trunk_;
    std::function<Result<Report>(const StepContext&, const std::vector<BranchOutcome>&)> report_;
    std::function<Result<void>(const Error&)> abandon_;
    Durability log_of_steps_ = Durability::at_once;
};

}  // namespace ramet::workflow
