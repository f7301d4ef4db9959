#include "workflow/journal.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>

#include "base/limits.hpp"
#include "telemetry/log.hpp"
#include "workflow/step_state.hpp"

namespace ramet::workflow {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{10};
constexpr std::chrono::milliseconds kLastRetry{1000};

}  // namespace

bool pause(std::chrono::milliseconds duration, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, duration, [] { return false; });
    return !stop.stop_requested();
}

Journal::Journal(SagaLog& log, Clock& clock, std::chrono::milliseconds patience, std::stop_token shutdown, Job job)
    : log_(log),
      clock_(clock),
      patience_(patience),
      shutdown_(std::move(shutdown)),
      job_(std::move(job)) {}

Job Journal::job() const {
    const std::lock_guard lock(mutex_);
    return job_;
}

bool Journal::save(const JobStep& step, Durability durability) {
    return persist([&] { return log_.save_step(step, durability); });
}

bool Journal::change_job(const std::function<void(Job&)>& edit, Durability durability) {
    const std::lock_guard order(order_);
    Job changed = job();
    if (is_terminal(changed.state)) return true;
    edit(changed);
    changed.last_op_date = clock_.now();
    if (!persist([&] { return log_.save_job(changed, durability); })) return false;
    const std::lock_guard lock(mutex_);
    changed.progress = std::max(changed.progress, job_.progress);
    job_ = std::move(changed);
    return true;
}

bool Journal::read_steps(std::vector<JobStep>& steps) {
    const JobId id = job().uuid;
    return persist([&]() -> Result<void> {
        TRY_ASSIGN(steps, log_.steps_of(id));
        return {};
    });
}

void Journal::progress(std::int64_t percent) {
    {
        const std::lock_guard lock(mutex_);
        if (percent <= job_.progress) return;
        job_.progress = percent;
        const auto now = std::chrono::steady_clock::now();
        if (job_.state != JobState::running || now - progress_saved_ < limits::kProgressInterval) return;
        progress_saved_ = now;
    }
    // A failed write shows at the step's next commit.
    (void)change_job([](Job&) {}, Durability::with_next);
}

bool Journal::persist(const std::function<Result<void>()>& call) {
    if (down_) return false;
    const auto deadline = std::chrono::steady_clock::now() + patience_;
    for (auto wait = kFirstRetry;; wait = std::min(wait * 2, kLastRetry)) {
        Error error;
        try {
            Result<void> outcome = call();
            if (outcome.has_value()) return true;
            error = std::move(outcome.error());
        } catch (const std::exception& thrown) { error.message = thrown.what(); }
        // A full disk gets room again one day, and until then no job could go on.
        const bool over = error.code != ErrorCode::storage_full && std::chrono::steady_clock::now() + wait > deadline;
        if (over || !pause(wait, shutdown_)) {
            down_ = true;
            telemetry::log_error("job {}: its log cannot be written; it rests until the next start: {} {}", job().uuid.text(), error.message,
                                 error.detail);
            return false;
        }
    }
}

}  // namespace ramet::workflow
