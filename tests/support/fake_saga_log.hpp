// A saga log in memory that can fail, die and come back. Checks what the engine promises: legal moves, no change after the end.
// Thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "workflow/engine.hpp"
#include "workflow/step_state.hpp"

namespace ramet::test {

class FakeSagaLog final : public workflow::SagaLog {
public:
    enum class Death : std::uint8_t { before_commit, after_commit };  // after: the write is kept, the answer is lost

    Result<void> save_step(const JobStep& step, Durability = Durability::at_once) override {
        const std::lock_guard lock(mutex_);
        return call([&] {
            check_move(step);
            if (!steps_.contains(step.uuid)) order_.push_back(step.uuid);
            steps_[step.uuid] = step;
        });
    }
    Result<void> save_job(const Job& job, Durability = Durability::at_once) override {
        const std::lock_guard lock(mutex_);
        return call([&] {
            const auto present = jobs_.find(job.uuid);
            if (present != jobs_.end() && workflow::is_terminal(present->second.state)) {
                if (present->second.state != job.state) violations_.push_back("a terminal job was changed: " + job.uuid.text());
                return;
            }
            if (present == jobs_.end()) job_order_.push_back(job.uuid);
            jobs_[job.uuid] = job;
        });
    }
    Result<std::optional<Job>> find_job(const JobId& job) override {
        const std::lock_guard lock(mutex_);
        std::optional<Job> found;
        TRY(call([&] {
            if (const auto present = jobs_.find(job); present != jobs_.end()) found = present->second;
        }));
        return found;
    }
    Result<std::vector<JobStep>> steps_of(const JobId& job) override {
        const std::lock_guard lock(mutex_);
        std::vector<JobStep> found;
        TRY(call([&] {
            for (const std::string& uuid : order_) {
                if (steps_.at(uuid).job_uuid == job) found.push_back(steps_.at(uuid));
            }
        }));
        return found;
    }
    Result<std::vector<Job>> unfinished_jobs() override {
        const std::lock_guard lock(mutex_);
        std::vector<Job> found;
        TRY(call([&] {
            for (const JobId& id : job_order_) {
                if (!workflow::is_terminal(jobs_.at(id).state)) found.push_back(jobs_.at(id));
            }
        }));
        return found;
    }

    Result<bool> reopen(const JobId& job) override {
        const std::lock_guard lock(mutex_);
        bool reopened = false;
        TRY(call([&] {
            const auto present = jobs_.find(job);
            if (present == jobs_.end() || present->second.state != JobState::stuck) return;
            std::vector<JobStep> steps;
            for (auto& [uuid, step] : steps_) {
                if (step.job_uuid == job && step.status == StepStatus::stuck) workflow::reopen(step);
                if (step.job_uuid == job) steps.push_back(step);
            }
            workflow::reopen(present->second, steps);
            reopened = true;
        }));
        return reopened;
    }

    // --- faults; calls are counted from now on, the next one is call 1
    void fail_call(std::int64_t nth) { set_fault(nth, nth + 1, Death::before_commit); }
    void run_full_at_call(std::int64_t nth, std::int64_t calls) { set_fault(nth, nth + calls, Death::before_commit, ErrorCode::storage_full); }
    void die_at_call(std::int64_t nth, Death death) { set_fault(nth, std::numeric_limits<std::int64_t>::max(), death); }
    void revive() { set_fault(0, 0, Death::before_commit); }
    bool died() const {
        const std::lock_guard lock(mutex_);
        return first_failure_ > 0 && calls_ >= first_failure_;
    }
    std::int64_t calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }

    // --- what is in it, past all faults
    Job job(const JobId& id) const {
        const std::lock_guard lock(mutex_);
        return jobs_.at(id);
    }
    std::optional<JobStep> step(const JobId& job, const std::string& branch, const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = steps_.find(workflow::step_uuid(job, branch, name));
        if (found == steps_.end()) return std::nullopt;
        return found->second;
    }
    void put_step(const JobStep& step) {  // a row as a damaged log has it
        const std::lock_guard lock(mutex_);
        order_.push_back(step.uuid);
        steps_[step.uuid] = step;
    }
    std::vector<std::string> violations() const {
        const std::lock_guard lock(mutex_);
        return violations_;
    }

private:
    template <class Function>
    Result<void> call(const Function& function) {
        ++calls_;
        const bool faulty = first_failure_ > 0 && calls_ >= first_failure_ && calls_ < end_of_failures_;
        if (!faulty || (death_ == Death::after_commit && calls_ == first_failure_)) function();
        if (faulty) return fail(failure_, "the log cannot be written");
        return {};
    }
    void set_fault(std::int64_t first, std::int64_t end, Death death, ErrorCode failure = ErrorCode::internal) {
        const std::lock_guard lock(mutex_);
        calls_ = 0;
        first_failure_ = first;
        end_of_failures_ = end;
        death_ = death;
        failure_ = failure;
    }
    void check_move(const JobStep& step) {
        using enum StepStatus;
        if (step.name == workflow::kCauseRow) return;
        const auto present = steps_.find(step.uuid);
        const StepStatus from = present == steps_.end() ? pending : present->second.status;
        bool legal = from == step.status;  // a commit whose answer was lost is tried again
        for (int event = 0; event <= static_cast<int>(workflow::StepEvent::undo_failed); ++event) {
            const std::optional<StepStatus> to = workflow::next(from, static_cast<workflow::StepEvent>(event));
            legal = legal || to == step.status;
        }
        if (!legal) violations_.push_back(step.uuid + ": " + std::string(name_of(from)) + " to " + std::string(name_of(step.status)));
        if (step.job_uuid.empty() || !jobs_.contains(step.job_uuid)) violations_.push_back(step.uuid + ": a step without a job");
    }

    mutable std::mutex mutex_;
    std::map<std::string, JobStep> steps_;
    std::vector<std::string> order_;
    std::map<JobId, Job> jobs_;
    std::vector<JobId> job_order_;
    std::vector<std::string> violations_;
    std::int64_t calls_ = 0;
    std::int64_t first_failure_ = 0;
    std::int64_t end_of_failures_ = 0;
    Death death_ = Death::before_commit;
    ErrorCode failure_ = ErrorCode::internal;
};

}  // namespace ramet::test
