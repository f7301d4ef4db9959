#include "simulation/step_watch.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "simulation/scheduler.hpp"
#include "workflow/saga.hpp"

namespace ramet::sim {

namespace {

// Or makes whole what all VMs have in common: the port has a lock of its own for networks, and none is a job's.
bool only_looks(std::string_view operation) {
    constexpr std::array<std::string_view, 25> kLooks{"capacity",
                                                      "estimate_copy",
                                                      "estimate_reflink",
                                                      "copy_speed",
                                                      "allocated_bytes",
                                                      "exists",
                                                      "list",
                                                      "state",
                                                      "generation_id",
                                                      "is_stopped_by_io",
                                                      "running_domains",
                                                      "running_tpms",
                                                      "disks_untouched",
                                                      "memory_fits",
                                                      "verify_memory",
                                                      "disk_tops",
                                                      "console_socket",
                                                      "answers",
                                                      "ping",
                                                      "addresses",
                                                      "read_file",
                                                      "taps",
                                                      "ports",
                                                      "networks",
                                                      "ensure_network"};
    return std::ranges::find(kLooks, operation) != kLooks.end();
}

// Paths are made of uuids: "ab/<uuid>.qcow2".
std::string resource_of(const std::string& about) {
    const std::string name = about.substr(about.rfind('/') + 1);
    return name.substr(0, name.find('.'));
}

class WatchedStep final : public workflow::Step {
public:
    WatchedStep(StepWatch& watch, std::unique_ptr<workflow::Step> step) : watch_(watch), step_(std::move(step)) {}
    std::string_view name() const override { return step_->name(); }
    Result<workflow::Output> run(workflow::StepContext& context) override {
        const StepWatch::StepAtWork at_work(watch_, context.job().text(), locks());
        return step_->run(context);
    }
    Result<void> undo(workflow::StepContext& context) override {
        const StepWatch::StepAtWork at_work(watch_, context.job().text(), locks());
        return step_->undo(context);
    }
    std::vector<std::string> locks() const override {
        return step_->name() == watch_.step_without_locks ? std::vector<std::string>{} : step_->locks();
    }

private:
    StepWatch& watch_;
    std::unique_ptr<workflow::Step> step_;
};

}  // namespace

void StepWatch::watch(workflow::Saga& saga) {
    const auto put_around = [this](std::unique_ptr<workflow::Step>& step) { step = std::make_unique<WatchedStep>(*this, std::move(step)); };
    for (workflow::Saga::Stage& stage : saga.stages()) {
        if (stage.step != nullptr) put_around(stage.step);
        for (workflow::Branch& branch : stage.branches.branches) std::ranges::for_each(branch.steps, put_around);
    }
}

void StepWatch::forget() {
    held_.clear();
    calls_under_way_.clear();
    scheduler().errand().clear();
}

StepWatch::StepAtWork::StepAtWork(StepWatch& watch, const std::string& job, std::vector<std::string> locks)
    : watch_(watch),
      locks_(std::move(locks)),
      before_(std::exchange(scheduler().errand(), job)) {
    std::erase(locks_, "");
    for (const std::string& lock : locks_) {
        Holder& holder = watch_.held_[lock];
        if (holder.steps > 0 && holder.job != job) watch_.tell_("overlap: jobs " + holder.job + " and " + job + " hold " + lock + " at once");
        holder.job = job;
        ++holder.steps;
    }
}

StepWatch::StepAtWork::~StepAtWork() {
    for (const std::string& lock : locks_) {
        const auto held = watch_.held_.find(lock);
        if (held != watch_.held_.end() && --held->second.steps == 0) watch_.held_.erase(held);
    }
    scheduler().errand() = before_;
}

StepWatch::Visit::Visit(StepWatch& watch, std::string_view operation, const std::string& about) : watch_(watch) {
    if (!scheduler().active() || scheduler().errand().empty()) return;
    const std::string& job = scheduler().errand();
    const std::string resource = resource_of(about);
    const bool changes = !only_looks(operation);
    const std::string what = "overlap: job " + job + " calls " + std::string(operation) + " on " + about;
    if (const auto held = watch_.held_.find(resource); held != watch_.held_.end()) {
        Holder& holder = held->second;
        if (holder.job != job) {
            if (changes && holder.has_called) holder.intrusion = what + " between two calls of job " + holder.job + ", which holds it";
        } else {
            if (!holder.intrusion.empty()) watch_.tell_(std::exchange(holder.intrusion, {}));
            holder.has_called = true;
        }
    }
    if (!changes || resource.empty()) return;
    job_ = job;
    resource_ = resource;
    const bool removes = operation == "remove";
    std::vector<Call>& others = watch_.calls_under_way_[resource_];
    for (const Call& other : others)
        if (other.job != job_ && !(removes && other.removes)) watch_.tell_(what + " while a call of job " + other.job + " is under way");
    others.push_back({job_, removes});
}

StepWatch::Visit::~Visit() {
    if (job_.empty()) return;
    std::vector<Call>& calls = watch_.calls_under_way_[resource_];
    if (const auto mine = std::ranges::find(calls, job_, &Call::job); mine != calls.end()) calls.erase(mine);
}

}  // namespace ramet::sim
