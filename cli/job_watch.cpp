#include "job_watch.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "commands.hpp"
#include "output.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr std::size_t kBarWidth = 30;
constexpr std::size_t kLabelWidth = 24;
constexpr std::size_t kRowsMax = 20;  // of clones; the others are in the last line
constexpr std::chrono::milliseconds kPollPause{500};
constexpr std::chrono::milliseconds kLinePause{1000};

std::string amounts(const json::value& progress) {
    if (number_field(progress, "total") <= 0) return {};
    std::string text = fmt::format("{} of {}", human_bytes(number_field(progress, "done")), human_bytes(number_field(progress, "total")));
    if (number_field(progress, "rate") > 0) text += fmt::format(", {}/s", human_bytes(number_field(progress, "rate")));
    if (number_field(progress, "secondsLeft") > 0) text += fmt::format(", {} s left", number_field(progress, "secondsLeft"));
    return text;
}

std::string bar(std::int64_t percent) {
    const auto filled = static_cast<std::size_t>(std::clamp<std::int64_t>(percent, 0, 100)) * kBarWidth / 100;
    return fmt::format("[{}{}] {:3}%", std::string(filled, '#'), std::string(kBarWidth - filled, ' '), percent);
}

struct Terminal {
    std::size_t rows = 24, columns = 80;
};

Terminal terminal() {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
    return {size.ws_row, size.ws_col};
}

}  // namespace

int exit_code_of(const json::value& final_job) {
    const std::string state = field_text(final_job, "state");
    if (!state.empty() && state != "Succeeded") return kFailed;
    const json::value* entries = &final_job;
    for (const char* name : {"result", "result", "inventories"}) {
        const json::value* inner = entries->is_object() ? entries->as_object().if_contains(name) : nullptr;
        if (inner != nullptr) entries = inner;
    }
    return entries->is_array() ? exit_code_of_entries(entries->as_array()) : kDone;
}

int exit_code_of_entries(const json::array& entries) {
    const auto has_error = [](const json::value& entry) { return !field_text(entry, "error").empty(); };
    const auto errors = std::ranges::count_if(entries, has_error);
    if (errors == 0) return kDone;
    return static_cast<std::size_t>(errors) == entries.size() ? kFailed : kPartlyDone;
}

void JobScreen::event(const std::string& name, const json::value& data) {
    if (name == "progress") {
        if (const json::value* branches = data.as_object().if_contains("branches"); branches != nullptr && branches->is_array()) {
            for (const json::value& branch : branches->as_array()) labels_[field_text(branch, "branch")] = field_text(branch, "name");
        }
        if (style_ == Style::bars) draw(data);
        if (style_ == Style::lines) print_progress(data);
    } else if (name == "step") {
        if (style_ == Style::lines) print_step(data);
    } else if (name == "end") {
        clear();
        end_ = data;
    }
}

std::string JobScreen::label(const std::string& branch) const {
    const auto found = labels_.find(branch);
    return found == labels_.end() || found->second.empty() ? branch : found->second;
}

void JobScreen::draw(const json::value& progress) {
    clear();
    const Terminal screen = terminal();
    std::vector<std::string> lines;
    std::size_t waiting = 0;
    std::size_t finished = 0;
    const json::value* branches = progress.as_object().if_contains("branches");
    const json::array none;
    for (const json::value& branch : branches != nullptr && branches->is_array() ? branches->as_array() : none) {
        const std::string status = field_text(branch, "status");
        const bool is_finished = number_field(branch, "progress") >= 100;
        finished += is_finished ? 1 : 0;
        waiting += status == "pending" ? 1 : 0;
        if (is_finished || status == "pending" || lines.size() + 3 > std::min(screen.rows, kRowsMax)) continue;
        lines.push_back(fmt::format("{:<{}} {} {:<12} {}", label(field_text(branch, "branch")).substr(0, kLabelWidth), kLabelWidth,
                                    bar(number_field(branch, "progress")), field_text(branch, "step"), amounts(branch)));
    }
    std::string all =
        fmt::format("{:<{}} {} {}", field_text(progress, "state"), kLabelWidth, bar(number_field(progress, "progress")), amounts(progress));
    if (finished + waiting > 0) all += fmt::format("  {} done, {} waiting", finished, waiting);
    lines.push_back(std::move(all));
    for (const std::string& line : lines) fmt::print(stderr, "{}\n", line.substr(0, screen.columns - 1));
    std::fflush(stderr);
    lines_drawn_ = lines.size();
}

void JobScreen::clear() {
    if (lines_drawn_ == 0) return;
    fmt::print(stderr, "\x1b[{}A\x1b[J", lines_drawn_);
    std::fflush(stderr);
    lines_drawn_ = 0;
}

void JobScreen::print_step(const json::value& step) {
    const std::string status = field_text(step, "status");
    if (status == "pending" || status == "running") return;
    const std::string branch = field_text(step, "branch");
    const std::string error = field_text(step, "error.details");
    fmt::print("{}{} {}{}{}\n", branch.empty() ? "" : label(branch) + ": ", field_text(step, "name"), status,
               status == "done" ? fmt::format(" in {} ms", number_field(step, "ms")) : "", error.empty() ? "" : ": " + error);
    std::fflush(stdout);
}

void JobScreen::print_progress(const json::value& progress) {
    const auto now = std::chrono::steady_clock::now();
    const std::string amount = amounts(progress);
    const bool news = !amount.empty() && !printed_amounts_;  // bytes begin to be counted
    if (now - printed_ < kLinePause && !news) return;
    std::string line =
        fmt::format("{} {}%{}", field_text(progress, "state"), number_field(progress, "progress"), amount.empty() ? "" : ", " + amount);
    if (line == last_line_) return;
    fmt::print("{}\n", line);
    std::fflush(stdout);
    last_line_ = std::move(line);
    printed_ = now;
    printed_amounts_ = printed_amounts_ || news;
}

Result<json::value> watch_job(ApiClient& api, const std::string& job, JobScreen& screen) {
    for (;;) {
        const Result<void> streamed = api.events("/jobs/" + job + "/events", [&](const std::string& name, const std::string& data) {
            boost::system::error_code failed;
            const json::value parsed = json::parse(data, failed);
            if (!failed && parsed.is_object()) screen.event(name, parsed);
        });
        if (!screen.end().is_null()) return screen.end();
        // The stream ended early: the server was restarted, or has too many watchers.
        TRY_ASSIGN(const json::object detail, api.job(job));
        const std::string state = field_text(detail, "state");
        const bool going = state == "Queued" || state == "Running" || state == "Undoing";
        screen.event(going ? "progress" : "end", detail);
        if (going) std::this_thread::sleep_for(kPollPause);
    }
}

}  // namespace ramet::cli
