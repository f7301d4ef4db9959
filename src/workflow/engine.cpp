#include "workflow/engine.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "base/limits.hpp"
#include "telemetry/log.hpp"
#include "workflow/run.hpp"
#include "workflow/step_error.hpp"

namespace ramet::workflow {
namespace {

constexpr std::size_t kCancelThreads = 2;              // for jobs that are cancelled before a worker takes them
constexpr std::chrono::milliseconds kForeignPoll{50};  // a job that no thread of this engine knows: its row is looked at this often

Error no_such_job(const JobId& job) {
    return Error{ErrorCode::not_found, "there is no job with uuid '" + job.text() + "'; it may be too old to be kept", {}, nullptr, {}};
}

}  // namespace

class Engine::Impl {
public:
    Impl(SagaLog& log, Clock& clock, EngineOptions options)
        : log_(log),
          options_(complete(std::move(options))),
          branch_pool_(std::make_unique<ThreadPool>(std::max<std::size_t>(options_.branch_threads, 1), limits::kJobQueueMax)),
          slow_branch_pool_(std::make_unique<ThreadPool>(std::max<std::size_t>(options_.slow_branch_threads, 1), limits::kJobQueueMax)),
          undo_pool_(std::make_unique<ThreadPool>(std::max<std::size_t>(options_.branch_threads, 1), limits::kJobQueueMax)),
          services_{log,
                    clock,
                    options_,
                    locks_,
                    *branch_pool_,
                    *slow_branch_pool_,
                    *undo_pool_,
                    *timer_,
                    [this](const JobId& job) { wake(job); },
                    shutdown_.get_token(),
                    [this](const Job& job) { return build(job); }} {
        for (const auto& [lane, threads] : {std::pair{&quick_, options_.job_threads}, std::pair{&slow_, options_.slow_job_threads}})
            for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) workers_.emplace_back([this, lane] { work(*lane); });
    }

    ~Impl() {
        std::vector<std::shared_ptr<Run>> runs;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            for (const auto& [job, run] : runs_) runs.push_back(run);
        }
        shutdown_.request_stop();
        for (const std::shared_ptr<Run>& run : runs) run->interrupt();
        quick_.ready.notify_all();
        slow_.ready.notify_all();
        workers_.clear();
        cancelling_.reset();
        timer_.reset();
        branch_pool_.reset();  // what is out on the pools ends early; nobody goes on from there
        slow_branch_pool_.reset();
        undo_pool_.reset();
    }

    void add_kind(std::string kind, SagaFactory factory, Pace pace) {
        const std::lock_guard lock(mutex_);
        kinds_[std::move(kind)] = {std::move(factory), pace};
    }

    void add_listener(std::function<void(const Job&)> listener) {
        const std::lock_guard lock(mutex_);
        listeners_.push_back(std::move(listener));
    }

    Result<void> start(const Job& job) {
        if (known(job.uuid) != nullptr) return {};
        const Result<std::optional<Job>> found = log_.find_job(job.uuid);
        // The caller has committed it: a log that cannot be read now must not leave it queued until the next start.
        const std::optional<Job> row = found.has_value() ? *found : job;
        if (!row) return Result<void>(no_such_job(job.uuid));
        if (is_terminal(row->state)) return {};
        return enqueue(std::make_shared<Run>(services_, *row, row->state != JobState::queued));
    }

    Result<Job> wait(const JobId& job, std::chrono::milliseconds patience) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        for (;;) {
            if (const std::shared_ptr<Run> run = known(job)) {
                run->wait_until(deadline);
                return run->job();
            }
            TRY_ASSIGN(std::optional<Job> row, log_.find_job(job));
            if (!row) return Result<Job>(no_such_job(job));
            const auto now = std::chrono::steady_clock::now();
            if (is_terminal(row->state) || now >= deadline) return std::move(*row);
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now) + std::chrono::milliseconds(1);
            if (!pause(std::min(kForeignPoll, left), shutdown_.get_token())) return std::move(*row);
        }
    }

    Result<void> cancel(const JobId& job) {
        std::shared_ptr<Run> run = known(job);
        bool mine = false;  // no worker has it: it goes back on a thread of its own, past the queue
        if (run == nullptr) {
            // Committed as queued, but start() has not come yet: taken up here, past the queue.
            TRY_ASSIGN(const std::optional<Job> row, log_.find_job(job));
            if (!row) return Result<void>(no_such_job(job));
            if (is_terminal(row->state)) return fail(ErrorCode::wrong_state, "the job has ended; there is nothing left to cancel");
            TRY_ASSIGN(run, adopt(*row, row->state != JobState::queued, mine));
        }
        mine = mine || take_from_queue(*run);
        const Result<void> asked = run->cancel();
        if (!mine)
            wake(job);
        else if (!cancelling_->post([this, run] { execute(run); }))
            execute(run);
        return asked;
    }

    Result<void> retry(const JobId& job) {
        TRY_ASSIGN(const bool reopened, log_.reopen(job));
        TRY_ASSIGN(const std::optional<Job> row, log_.find_job(job));
        if (!row) return Result<void>(no_such_job(job));
        if (!reopened)
            return fail(ErrorCode::wrong_state, "only a job that is Stuck can be tried again; this one is " + std::string(name_of(row->state)));
        TRY(take_up({*row}));
        return {};
    }

    Result<std::size_t> recover() {
        TRY_ASSIGN(const std::vector<Job> jobs, log_.unfinished_jobs());
        return take_up(jobs);
    }

    std::optional<LiveJob> look(const JobId& job, std::size_t changes_from) const {
        const std::shared_ptr<Run> run = known(job);
        if (run == nullptr) return std::nullopt;
        return run->look(changes_from);
    }

    std::size_t running_jobs() const { return running_; }

private:
    struct Kind {
        SagaFactory factory;
        Pace pace = Pace::quick;
    };
    struct Lane {  // jobs of one pace and the threads that work on them
        std::deque<std::shared_ptr<Run>> queue;
        std::condition_variable ready;
    };

    static EngineOptions complete(EngineOptions options) {
        if (!options.error_to_json) options.error_to_json = error_to_text;
        return options;
    }

    Result<Saga> build(const Job& job) const {
        SagaFactory factory;
        {
            const std::lock_guard lock(mutex_);
            const auto found = kinds_.find(job.kind);
            if (found != kinds_.end()) factory = found->second.factory;
        }
        if (!factory) return fail(ErrorCode::internal, "this server does not know jobs of kind '" + job.kind + "'; was it made by a newer version?");
        Result<Saga> saga = factory(job);
        if (saga.has_value() && options_.on_built) options_.on_built(*saga);
        return saga;
    }

    Result<std::size_t> take_up(const std::vector<Job>& jobs) {
        std::vector<std::shared_ptr<Run>> runs;
        for (const Job& job : jobs) {
            if (const std::shared_ptr<Run> run = known(job.uuid); run != nullptr && !run->ended()) continue;
            runs.push_back(std::make_shared<Run>(services_, job, true));
            if (job.state != JobState::queued) runs.back()->take_up();
        }
        for (const std::shared_ptr<Run>& run : runs) TRY(enqueue(run));
        return runs.size();
    }

    std::shared_ptr<Run> known(const JobId& job) const {
        const std::lock_guard lock(mutex_);
        const auto found = runs_.find(job);
        return found == runs_.end() ? nullptr : found->second;
    }

    Result<void> enqueue(const std::shared_ptr<Run>& run) {
        const std::lock_guard lock(mutex_);
        const auto found = runs_.find(run->job().uuid);
        if (found != runs_.end() && !found->second->ended()) return {};
        if (stopping_) return fail(ErrorCode::overloaded, "the server is stopping; the job starts when it is up again");
        if (runs_.size() >= limits::kJobQueueMax) return fail(ErrorCode::overloaded, "too many jobs are waiting; try again later");
        runs_.insert_or_assign(run->job().uuid, run);  // one that has ended may not have left yet
        push(run);
        return {};
    }

    void push(std::shared_ptr<Run> run) {  // under mutex_
        // What goes back waits for no worker.
        if (run->is_claimed() && cancelling_ && cancelling_->post([this, run] { execute(run); })) return;
        const auto kind = kinds_.find(run->job().kind);
        Lane& lane = kind != kinds_.end() && kind->second.pace == Pace::slow ? slow_ : quick_;
        lane.queue.push_back(std::move(run));
        lane.ready.notify_one();
    }

    // A parked run goes on. One that is on its way to being parked learns it there; for any other it means one look too many.
    void wake(const JobId& job) {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;  // the runs go, one after the other, and let go of what others wait for
        const auto found = runs_.find(job);
        if (found == runs_.end()) return;
        if (parked_.erase(job) > 0)
            push(found->second);
        else
            woken_.insert(job);
    }

    void park(const std::shared_ptr<Run>& run) {
        const JobId job = run->job().uuid;
        const std::lock_guard lock(mutex_);
        if (woken_.erase(job) > 0)
            push(run);
        else
            parked_.insert(job);
    }

    // The run of a job that this engine does not know yet; `mine`: the caller executes it. Another thread may be quicker.
    Result<std::shared_ptr<Run>> adopt(const Job& job, bool has_history, bool& mine) {
        const std::lock_guard lock(mutex_);
        if (const auto found = runs_.find(job.uuid); found != runs_.end()) return found->second;
        if (stopping_) return fail(ErrorCode::overloaded, "the server is stopping; cancel the job when it is up again");
        mine = true;
        return runs_.emplace(job.uuid, std::make_shared<Run>(services_, job, has_history)).first->second;
    }

    bool take_from_queue(const Run& run) {
        const std::lock_guard lock(mutex_);
        const auto is_it = [&](const std::shared_ptr<Run>& queued) { return queued.get() == &run; };
        return std::erase_if(quick_.queue, is_it) + std::erase_if(slow_.queue, is_it) > 0;
    }

    void work(Lane& lane) {
        for (;;) {
            std::shared_ptr<Run> run;
            {
                std::unique_lock lock(mutex_);
                lane.ready.wait(lock, [&] { return stopping_ || !lane.queue.empty(); });
                if (stopping_) return;
                run = std::move(lane.queue.front());
                lane.queue.pop_front();
            }
            execute(run);
        }
    }

    void execute(const std::shared_ptr<Run>& run) {
        ++running_;
        const bool ended = run->execute();
        --running_;
        if (!ended) return park(run);
        const Job job = run->job();
        std::vector<std::function<void(const Job&)>> listeners;
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = runs_.find(job.uuid); found != runs_.end() && found->second == run) {
                runs_.erase(found);
                woken_.erase(job.uuid);
            }
            listeners = listeners_;
        }
        if (!is_terminal(job.state)) return;
        for (const auto& listener : listeners) {
            try {
                listener(job);
            } catch (const std::exception& thrown) { telemetry::log_error("job {}: a listener failed: {}", job.uuid.text(), thrown.what()); }
        }
    }

    SagaLog& log_;
    const EngineOptions options_;
    std::stop_source shutdown_;
    LockTable locks_;
    std::unique_ptr<ThreadPool> branch_pool_, slow_branch_pool_, undo_pool_;
    std::unique_ptr<Timer> timer_ = std::make_unique<Timer>();
    const RunServices services_;
    std::atomic<std::size_t> running_{0};

    mutable std::mutex mutex_;
    bool stopping_ = false;
    Lane quick_, slow_;
    std::unordered_map<JobId, std::shared_ptr<Run>> runs_;  // queued, running and parked
    std::unordered_set<JobId> parked_;
    std::unordered_set<JobId> woken_;  // on a thread or queued when their wake came
    std::unordered_map<std::string, Kind> kinds_;
    std::vector<std::function<void(const Job&)>> listeners_;
    std::optional<ThreadPool> cancelling_{std::in_place, kCancelThreads, limits::kJobQueueMax};
    std::vector<std::jthread> workers_;  // last: they use all of the above
};

Engine::Engine(SagaLog& log, Clock& clock, EngineOptions options) : impl_(std::make_unique<Impl>(log, clock, std::move(options))) {}
Engine::~Engine() = default;
void Engine::add_kind(std::string kind, SagaFactory factory, Pace pace) { impl_->add_kind(std::move(kind), std::move(factory), pace); }
Result<void> Engine::start(const Job& job) { return impl_->start(job); }
Result<Job> Engine::wait(const JobId& job, std::chrono::milliseconds patience) { return impl_->wait(job, patience); }
Result<void> Engine::cancel(const JobId& job) { return impl_->cancel(job); }
Result<void> Engine::retry(const JobId& job) { return impl_->retry(job); }
void Engine::on_finished(std::function<void(const Job&)> listener) { impl_->add_listener(std::move(listener)); }
Result<std::size_t> Engine::recover() { return impl_->recover(); }
std::optional<LiveJob> Engine::look(const JobId& job, std::size_t changes_from) const { return impl_->look(job, changes_from); }
std::size_t Engine::running_jobs() const { return impl_->running_jobs(); }

}  // namespace ramet::workflow
