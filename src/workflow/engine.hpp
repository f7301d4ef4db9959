// Runs sagas: each job on one worker, its branches on a shared pool; a job that waits for a lock or for its branches has no thread. Every
// step's start is committed to the log before its effect and its end after. After a crash recover() takes every unfinished job up where its log
// ends: a running job goes forward (the interrupted step runs again), an undoing job goes on undoing. What such a step held no other job gets
// before.
//
// Job states:
//   queued ──► running ──► succeeded
//      │          └──► undoing ──► failed | cancelled     every step reverted
//      └► cancelled       └──────► stuck                  an undo failed kStepRetryMax times; an operator decides, and retry() takes it up
// An undo that meets a full disk waits for room.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/durability.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "model/account.hpp"
#include "workflow/progress.hpp"
#include "workflow/saga.hpp"

namespace ramet::workflow {

// Where jobs and steps are kept. A call is durable when it returns, or as base/durability.hpp has it. Implemented by store/saga_log.*; a fake in
// tests/support.
class SagaLog {
public:
    virtual ~SagaLog() = default;
    virtual Result<void> save_step(const JobStep& step, Durability durability = Durability::at_once) = 0;  // insert or replace by uuid
    virtual Result<void> save_job(const Job& job,
                                  Durability durability = Durability::at_once) = 0;  // insert or replace; never changes a terminal job
    virtual Result<std::optional<Job>> find_job(const JobId& job) = 0;
    virtual Result<std::vector<JobStep>> steps_of(const JobId& job) = 0;  // in order of start
    virtual Result<std::vector<Job>> unfinished_jobs() = 0;               // queued, running, undoing; oldest first
    // A stuck job as it was before the undo that gave up: undoing; or running, if what is undone is one of its branches alone. False: it is not stuck.
    virtual Result<bool> reopen(const JobId& job) = 0;
};

// Builds a saga from a stored job alone, so that recovery rebuilds exactly the same list.
using SagaFactory = std::function<Result<Saga>(const Job&)>;

// Whether a job's trunk may take as long as a guest or a network likes (a graceful stop, a download): such jobs have threads of their own,
// so that they never keep the others waiting.
enum class Pace : std::uint8_t { quick, slow };

struct EngineOptions {
    std::size_t job_threads;
    std::size_t branch_threads;
    std::function<std::string(const Error&)> error_to_json;  // the wire's error object
    // How long a write to the log is tried again (a full disk, a database restart) before its job rests until the next recover().
    std::chrono::milliseconds log_patience{30'000};
    std::chrono::milliseconds undo_pause{50};  // before the second try of an undo; grows fourfold
    std::size_t slow_job_threads = 1;
    std::size_t slow_branch_threads = 1;  // for fan-outs that are FanOut::slow
    std::function<void(Saga&)> on_built;  // a test's: sees each saga before its first step, and may put steps of its own around them
};

// A job that is queued or running here, as it is this moment.
struct LiveJob {
    Job row;
    JobProgress progress;
    std::vector<JobStep> changes;  // of its steps, from the number asked for on
};

class Engine {
public:
    Engine(SagaLog& log, Clock& clock, EngineOptions options);
    ~Engine();  // stops taking jobs; running steps end; unfinished jobs stay in the log
    void add_kind(std::string kind, SagaFactory factory, Pace pace = Pace::quick);  // before recover()
    // The job's row must be committed as `queued` already (the use case does it in its reserving transaction).
    Result<void> start(const Job& job);
    // The job when it is terminal, or its present row when `patience` is over.
    Result<Job> wait(const JobId& job, std::chrono::milliseconds patience);
    // Asks; wait() tells. Durable when it returns. The job goes back at once, whatever else the engine is busy with.
    Result<void> cancel(const JobId& job);
    // Takes a stuck job up again: what gave up is undone, and then what lies before it. wrong_state for any other. Durable when it returns.
    Result<void> retry(const JobId& job);
    // From memory; nothing for a job that has ended or that this engine does not know.
    std::optional<LiveJob> look(const JobId& job, std::size_t changes_from = 0) const;
    // Calls `listener` once for each job that becomes terminal (webhooks, metrics). Before recover().
    void on_finished(std::function<void(const Job&)> listener);
    // How many jobs were taken up; one unreadable job is made stuck and stops no other. May be called again: takes up what rests.
    Result<std::size_t> recover();
    std::size_t running_jobs() const;  // on a thread now, not those that wait for one

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace ramet::workflow
