#include "workflow/progress.hpp"

#include <algorithm>
#include <cmath>

#include "workflow/step_state.hpp"

namespace ramet::workflow {
namespace {

constexpr std::chrono::milliseconds kSampleMin{50};  // reports that come closer together count as one

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }
double faded(std::chrono::steady_clock::duration age) { return std::exp(-seconds(age) / seconds(RateMeter::kFade)); }

Progress progress_of(std::int64_t percent, std::int64_t done, std::int64_t total, double rate) {
    Progress out{percent, done, std::max(total, done), static_cast<std::int64_t>(rate), std::nullopt};
    if (out.total > out.done && rate >= 1) out.seconds_left = static_cast<std::int64_t>(std::ceil(static_cast<double>(out.total - out.done) / rate));
    if (out.total > 0 && out.total == out.done) out.seconds_left = 0;
    return out;
}

}  // namespace

void RateMeter::report(Time now, std::int64_t done) {
    if (!since_) {
        since_ = now;
        done_ = done;
        return;
    }
    if (now - *since_ < kSampleMin) return;
    const double present = static_cast<double>(done - done_) / seconds(now - *since_);
    const double old_share = faded(now - *since_);
    rate_ = rate_ ? *rate_ * old_share + present * (1 - old_share) : present;
    since_ = now;
    done_ = done;
}

double RateMeter::per_second(Time now) const {
    if (!rate_) return 0;
    // A report is expected twice a second; a silence beyond it fades the rate.
    const auto silent = now - *since_ - std::chrono::milliseconds(500);
    return silent.count() > 0 ? *rate_ * faded(silent) : *rate_;
}

void ProgressBoard::add_lane(std::string branch, std::string label, std::size_t steps) {
    const std::lock_guard lock(mutex_);
    const auto [known, added] = by_branch_.emplace(branch, lanes_.size());
    if (!added) {
        lanes_[known->second].steps += steps;
        return;
    }
    Lane& lane = lanes_.emplace_back();
    lane.branch = std::move(branch);
    lane.label = std::move(label);
    lane.steps = steps;
}

void ProgressBoard::count(Lane& lane) {
    const double share = lane.total > 0 ? static_cast<double>(lane.done) / static_cast<double>(lane.total) : 0;
    const double steps = static_cast<double>(std::max<std::size_t>(lane.steps, 1));
    const auto percent = static_cast<std::int64_t>(100.0 * (static_cast<double>(lane.steps_done) + share) / steps);
    lane.percent = std::max(lane.percent, std::min<std::int64_t>(percent, 100));
}

void ProgressBoard::step_changed(const JobStep& row) {
    const std::lock_guard lock(mutex_);
    const auto found = by_branch_.find(row.branch);
    if (found == by_branch_.end()) return;
    Lane& lane = lanes_[found->second];
    if (row.status == StepStatus::done && !goes_back(lane.status)) {
        ++lane.steps_done;
        done_ += lane.total - lane.done;
        lane.earlier += lane.total;
        lane.done = lane.total = 0;
        count(lane);
    }
    lane.step = row.name;
    lane.status = row.status;
    JobStep& change = changes_.emplace_back(row);
    change.output.clear();
}

void ProgressBoard::report(const std::string& branch, std::int64_t done, std::int64_t total) {
    const std::lock_guard lock(mutex_);
    const auto found = by_branch_.find(branch);
    if (found == by_branch_.end() || total <= 0) return;
    Lane& lane = lanes_[found->second];
    const std::int64_t before = lane.done;
    lane.total = std::max(lane.total, total);
    lane.done = std::max(before, std::clamp<std::int64_t>(done, 0, lane.total));
    done_ += lane.done - before;
    const auto now = std::chrono::steady_clock::now();
    lane.meter.report(now, lane.earlier + lane.done);
    meter_.report(now, done_);
    count(lane);
}

JobProgress ProgressBoard::look(std::int64_t percent) const {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    JobProgress out;
    std::int64_t total = 0;
    std::int64_t counted = 0;  // branches whose size is known
    std::int64_t counted_total = 0;
    std::int64_t unknown = 0;  // branches that have not begun: taken to be as large as the others
    for (const Lane& lane : lanes_) {
        const std::int64_t lane_total = lane.earlier + lane.total;
        total += lane_total;
        if (lane.branch.empty()) continue;
        if (lane_total > 0) {
            ++counted;
            counted_total += lane_total;
        } else if (lane.status == StepStatus::pending) {
            ++unknown;
        }
        out.branches.push_back({lane.branch, lane.label, lane.step, lane.status,
                                progress_of(lane.percent, lane.earlier + lane.done, lane_total, lane.meter.per_second(now))});
    }
    if (counted > 0) total += counted_total / counted * unknown;
    total_shown_ = std::max(total_shown_, total);
    out.whole = progress_of(percent, done_, total_shown_, meter_.per_second(now));
    return out;
}

std::vector<JobStep> ProgressBoard::changes(std::size_t from) const {
    const std::lock_guard lock(mutex_);
    if (from >= changes_.size()) return {};
    return {changes_.begin() + static_cast<std::ptrdiff_t>(from), changes_.end()};
}

}  // namespace ramet::workflow
