// One job's way from its row to its end. The legal moves:
//
//   load ──► forward ──► report ──► ended (succeeded, failed by its report, or stuck by a branch)
//    │ │        └──► back ──► ended (failed, cancelled or stuck)
//    │ └────────────► back                                        the log holds a cause: a crash or a cancel came first
//    └► ended (stuck)                                             no saga can be built from the row
//   from everywhere ──► rests                                     the log is down or the engine stops; recover() takes it up again
//
// A run that has to wait in its trunk, for a lock or for its branches, gives its thread back: execute() returns with the run parked, and is
// called again after RunServices::wake, wherever from. Going on means: the first stage that is not done.
//
// Thread rules: execute() is called by one thread at a time; the other members from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/task_group.hpp"
#include "workflow/engine.hpp"
#include "workflow/journal.hpp"
#include "workflow/lock_table.hpp"
#include "workflow/progress.hpp"
#include "workflow/step_state.hpp"
#include "workflow/timer.hpp"

namespace ramet::workflow {

// What all runs of an engine share; outlives them.
struct RunServices {
    SagaLog& log;
    Clock& clock;
    const EngineOptions& options;
    LockTable& locks;
    ThreadPool& branch_pool;
    ThreadPool& slow_branch_pool;  // of fan-outs that are FanOut::slow
    ThreadPool& undo_pool;         // of the branches of any job
    Timer& timer;
    std::function<void(const JobId&)> wake;  // what a parked run waited for has come; from any thread, under locks
    std::stop_token shutdown;
    SagaFactory build;
};

class Run : public std::enable_shared_from_this<Run> {
public:
    // `has_history`: steps may be in the log already.
    Run(const RunServices& services, Job job, bool has_history);
    // Before execute(), after a death: what the step that was cut off held is asked for again, before any other job can ask. These others would
    // meet half an effect: a disk that is cut, say, and rows that do not know.
    void take_up();
    // False: it is parked; call again after a wake. Too early a call does no harm.
    bool execute();
    // wrong_state when the report has begun or the job has ended. Durable when it returns.
    Result<void> cancel();
    void interrupt() { stop_.request_stop(); }  // the engine stops: running steps end early, nothing is undone
    Job job() const { return journal_.job(); }
    LiveJob look(std::size_t changes_from) const;
    bool is_claimed() const { return claimed(); }                           // it goes back, or is about to
    bool ended() const;                                                     // execute() has returned true: the job is terminal, or rests
    bool wait_until(std::chrono::steady_clock::time_point deadline) const;  // ended?

private:
    friend class RunContext;
    enum class StepEnd : std::uint8_t { done, failed, interrupted, waits, parked };
    struct StepRun {                         // one call of a step
        bool again = false;                  // it has run before and asked to be called again
        Error why;                           // failed
        std::chrono::milliseconds pause{0};  // waits
    };
    struct StageRows {
        JobStep step;
        std::vector<std::vector<JobStep>> branches;
        std::vector<char> waiting;  // by branch: its present step is to be called again
    };

    // run.cpp: the frame
    bool drive();  // false: parked
    bool load();   // once; false: the run is over before it began
    bool load_rows();
    Result<void> build_rows();
    Result<void> place_history(const std::vector<JobStep>& history);
    Result<void> place(const JobStep& row);
    bool resting() const { return journal_.down() || services_.shutdown.stop_requested(); }
    bool claimed() const;
    bool claim(const Error& error);  // the first one decides why the job is undone
    bool make_cause_durable();
    bool enter_report();
    void finish(JobState state, const std::function<void(Job&)>& edit);
    void add_progress(double units);
    std::function<void()> waker() const;
    void request_trunk_locks(const Step& step);
    bool move(JobStep& row, StepEvent event);

    // run_forward.cpp
    bool go_forward();  // false: parked
    StepEnd run_trunk_step(std::size_t stage);
    bool run_fan_out(std::size_t stage);                                                         // false: parked
    std::optional<std::chrono::milliseconds> run_branch(std::size_t stage, std::size_t branch);  // a pause: call again after it
    void branch_failed(std::size_t stage, std::size_t branch, std::size_t step, const Error& error);
    StepEnd run_step(Step& step, JobStep& row, StepRun& call);  // holding its locks
    ThreadPool& pool_of(const FanOut& fan_out) const { return fan_out.slow ? services_.slow_branch_pool : services_.branch_pool; }
    void make_report();
    std::vector<BranchOutcome> outcomes();

    // run_back.cpp
    bool go_back();  // false: parked
    static bool has_stuck_row(const StageRows& stage);
    bool undo_stage(std::size_t stage);  // false: parked
    void undo_branch(std::size_t stage, std::size_t branch);
    bool undo_step(Step& step, JobStep& row);  // holding its locks; false: stuck, or the run rests
    Result<void> try_undo(Step& step);
    Result<void> try_abandon();
    void note_stuck(const JobStep& row, const Error& error);

    const RunServices& services_;
    const bool has_history_;
    Journal journal_;
    std::stop_source stop_;  // requested by a cancel, by an atomic fan-out's first failure, by the engine's end
    std::optional<Saga> saga_;
    std::vector<StageRows> rows_;  // as saga_->stages(); each row belongs to the thread that works on its branch
    std::size_t units_ = 0;        // steps in all
    ProgressBoard board_;
    std::optional<bool> loaded_;
    bool back_begun_ = false;
    std::size_t stage_ = 0;                       // forward: all before it are done; back: all from it on are undone
    std::optional<LockTable::Held> trunk_locks_;  // of the step the trunk is at: asked for, perhaps not granted yet
    bool trunk_waits_ = false;                    // its step has run and asked to be called again
    enum class Fan : std::uint8_t { none, out, in };
    std::atomic<Fan> fan_{Fan::none};  // out: branches are at work; in: all have ended

    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::optional<Error> cause_;
    std::atomic<bool> cause_durable_{false};
    bool reporting_ = false;
    bool ended_ = false;
    std::optional<Error> stuck_;  // the first undo that gave up
    double units_done_ = 0;
};

// What a step sees of its run.
class RunContext final : public StepContext {
public:
    // `counted`: what the step reports moves the job's progress; an undo's does not.
    RunContext(Run& run, std::stop_token stop, std::string branch, bool counted)
        : run_(run),
          stop_(std::move(stop)),
          id_(run.saga_->job()),
          branch_(std::move(branch)),
          counted_(counted) {}
    const JobId& job() const override { return id_; }
    std::stop_token stop() const override { return stop_; }
    Output output_of(std::string_view trunk_step) const override;
    void progress(std::int64_t done, std::int64_t total) override;
    void come_back(std::chrono::milliseconds pause) override { pause_ = pause; }
    bool others_wait() const override { return run_.services_.locks.wanted(held_); }
    void holds(std::vector<std::string> names) { held_ = std::move(names); }
    double reported() const { return reported_; }
    std::optional<std::chrono::milliseconds> pause() const { return pause_; }

private:
    Run& run_;
    std::stop_token stop_;
    JobId id_;
    std::string branch_;
    bool counted_;
    double reported_ = 0;  // share of this step, 0..1
    std::optional<std::chrono::milliseconds> pause_;
    std::vector<std::string> held_;
};

}  // namespace ramet::workflow
