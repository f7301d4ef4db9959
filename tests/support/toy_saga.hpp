// A small saga over a set of named things, for tests of the engine and of the harness itself. Every step makes the thing
// "<branch>/<step>" in two halves; the world refuses an effect whose intent is not in the log.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/saga_harness.hpp"

namespace ramet::test {

// What a step does, by "<branch>/<step>".
struct ToyFault {
    enum class Kind : std::uint8_t { none, fail_before, fail_half, fail_after, throws };
    Kind kind = Kind::none;
    int undo_failures = 0;  // this many undos fail first; a big number: always
    ErrorCode undo_error = ErrorCode::operation_failed;
};

struct ToyShape {
    std::vector<std::string> before{"prepare", "capture"};
    std::vector<std::string> branches{"0", "1", "2"};
    std::vector<std::string> branch_steps{"disk", "nic", "start"};
    std::vector<std::string> after{"tidy"};
    workflow::BranchFailure on_failure = workflow::BranchFailure::undo_branch;
    std::size_t parallel = 2;
    std::map<std::string, ToyFault> faults;
    std::vector<std::string> locks;
};

// A place where a step waits until the test lets it go, or until it is told to stop.
class Gate {
public:
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    void open() {
        const std::lock_guard lock(mutex_);
        closed_ = false;
        changed_.notify_all();
    }
    bool pass(std::stop_token stop) {  // false: told to stop
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        const bool passed = changed_.wait(lock, std::move(stop), [this] { return !closed_; });
        --waiting_;
        return passed;
    }
    bool await_visitor() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kHarnessPatience, [this] { return waiting_ > 0; });
    }

private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    bool closed_ = false;
    int waiting_ = 0;
};

class ToyWorld : public SagaWorld {
public:
    ToyWorld() = default;
    explicit ToyWorld(ToyShape wanted) : shape(std::move(wanted)) {}

    Job job() override { return job_named("toy"); }
    static Job job_named(const std::string& name) {
        Job job;
        job.uuid = JobId::derived("00000000000000000000000000000000", name);
        job.kind = "toy";
        job.api_name = "Toy";
        job.plan = name;
        return job;
    }
    Result<workflow::Saga> saga(const Job& row) override;
    std::string leftovers() override {
        const std::lock_guard lock(mutex_);
        std::string all;
        for (const std::string& thing : things_) all += thing + " ";
        return all;
    }
    std::string leftovers_of_branch(const std::string& branch) override {
        const std::lock_guard lock(mutex_);
        std::string all;
        for (const std::string& thing : things_) {
            if (thing.find("|" + branch + "/") != std::string::npos) all += thing + " ";
        }
        return all;
    }
    std::string state() override { return leftovers(); }

    void put(const std::string& thing) {
        const std::lock_guard lock(mutex_);
        things_.insert(thing);
    }
    void drop(const std::string& thing) {
        const std::lock_guard lock(mutex_);
        things_.erase(thing);
    }
    void note(const std::string& event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(event);
    }
    std::vector<std::string> events() {
        const std::lock_guard lock(mutex_);
        return events_;
    }
    std::optional<ErrorCode> undo_fails(const std::string& key) {
        const std::lock_guard lock(mutex_);
        const auto fault = shape.faults.find(key);
        if (fault == shape.faults.end() || fault->second.undo_failures <= 0) return std::nullopt;
        --fault->second.undo_failures;
        return fault->second.undo_error;
    }
    ToyFault::Kind fault(const std::string& key) {
        const std::lock_guard lock(mutex_);
        const auto found = shape.faults.find(key);
        return found == shape.faults.end() ? ToyFault::Kind::none : found->second.kind;
    }
    Gate& gate(const std::string& key) {
        const std::lock_guard lock(mutex_);
        return gates_[key];
    }
    // Things of one job are there completely or not at all, branch by branch.
    std::string half_branches(const std::string& job);

    ToyShape shape;

private:
    std::mutex mutex_;
    std::set<std::string> things_;
    std::vector<std::string> events_;
    std::map<std::string, Gate> gates_;
};

class ToyStep final : public workflow::Step {
public:
    ToyStep(ToyWorld& world, std::string branch, std::string name) : world_(world), branch_(std::move(branch)), name_(std::move(name)) {}
    std::string_view name() const override { return name_; }
    std::vector<std::string> locks() const override { return world_.shape.locks; }

    Result<workflow::Output> run(workflow::StepContext& context) override {
        const std::string key = branch_ + "/" + name_;
        check_intent(context, StepStatus::running);
        world_.note("run " + key);
        const ToyFault::Kind fault = world_.fault(key);
        if (!world_.gate(key).pass(context.stop())) return fail(ErrorCode::cancelled, "told to stop");
        if (fault == ToyFault::Kind::fail_before) return broken(key);
        world_.put(thing(context, ".a"));
        context.progress(1, 2);
        if (fault == ToyFault::Kind::fail_half) return broken(key);
        if (fault == ToyFault::Kind::throws) throw std::runtime_error("thrown by " + key);
        world_.put(thing(context, ".b"));
        if (fault == ToyFault::Kind::fail_after) return broken(key);
        return "\"" + key + "\"";
    }
    Result<void> undo(workflow::StepContext& context) override {
        const std::string key = branch_ + "/" + name_;
        check_intent(context, StepStatus::undoing);
        world_.note("undo " + key);
        if (!world_.gate("undo " + key).pass(context.stop())) return fail(ErrorCode::cancelled, "told to stop");
        world_.drop(thing(context, ".b"));
        if (const auto code = world_.undo_fails(key)) return fail(*code, "undo of " + key + " was made to fail");
        world_.drop(thing(context, ".a"));
        return {};
    }

private:
    static std::unexpected<Error> broken(const std::string& key) {
        return fail(ErrorCode::storage_full, key + " was made to fail", "detail of " + key);
    }
    std::string thing(const workflow::StepContext& context, const std::string& half) const {
        return context.job().text() + "|" + branch_ + "/" + name_ + half;
    }
    void check_intent(const workflow::StepContext& context, StepStatus wanted) const {
        const std::optional<JobStep> row = world_.fake_log().step(context.job(), branch_, name_);
        if (!row || row->status != wanted) ADD_FAILURE() << "an effect without its intent in the log: " << branch_ << "/" << name_;
    }
    ToyWorld& world_;
    std::string branch_;
    std::string name_;
};

inline Result<workflow::Saga> ToyWorld::saga(const Job& row) {
    workflow::Saga saga(row.kind, row.uuid);
    for (const std::string& name : shape.before) saga.add<ToyStep>(*this, "", name);
    if (!shape.branches.empty()) {
        workflow::FanOut fan_out{{}, shape.on_failure, shape.parallel};
        for (const std::string& name : shape.branches) {
            workflow::Branch& branch = fan_out.branches.emplace_back(workflow::Branch{name, {}});
            for (const std::string& step : shape.branch_steps) branch.steps.push_back(std::make_unique<ToyStep>(*this, name, step));
        }
        saga.fan_out(std::move(fan_out));
    }
    for (const std::string& name : shape.after) saga.add<ToyStep>(*this, "", name);
    saga.report([this](const workflow::StepContext& context, const std::vector<workflow::BranchOutcome>& outcomes) -> Result<workflow::Report> {
        if (!gate("report").pass(context.stop())) return fail(ErrorCode::cancelled, "told to stop");
        std::string result = shape.before.empty() ? "" : context.output_of(shape.before.front());
        for (const workflow::BranchOutcome& outcome : outcomes) {
            result += " " + outcome.name + "=" + (outcome.error ? outcome.error->message + "(" + outcome.error->detail + ")" : "ok");
        }
        return workflow::Report{result, "{}"};
    });
    saga.abandon([this](const Error& cause) -> Result<void> {
        note("abandon " + cause.message);
        if (const auto code = undo_fails("abandon")) return fail(*code, "abandon was made to fail");
        return {};
    });
    return saga;
}

inline std::string ToyWorld::half_branches(const std::string& job) {
    const std::lock_guard lock(mutex_);
    std::string wrong;
    for (const std::string& branch : shape.branches) {
        std::size_t present = 0;
        for (const std::string& thing : things_) present += thing.starts_with(job + "|" + branch + "/") ? 1 : 0;
        if (present != 0 && present != 2 * shape.branch_steps.size()) wrong += branch + " ";
    }
    return wrong;
}

}  // namespace ramet::test
