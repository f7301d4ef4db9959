// A job's progress on the terminal: a bar per clone, redrawn in place; plain lines where there is no terminal.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "api_client.hpp"

namespace ramet::cli {

// How a job or a call ended, as an exit code: done, failed, or partly done.
int exit_code_of(const boost::json::value& final_job);
int exit_code_of_entries(const boost::json::array& entries);  // one per clone; those that failed have an `error`

class JobScreen {
public:
    enum class Style : unsigned char { bars, lines, silent };
    explicit JobScreen(Style style) : style_(style) {}
    ~JobScreen() { clear(); }
    void event(const std::string& name, const boost::json::value& data);
    const boost::json::value& end() const { return end_; }  // the `end` event; null before

private:
    void draw(const boost::json::value& progress);
    void print_step(const boost::json::value& step);
    void print_progress(const boost::json::value& progress);
    void clear();
    std::string label(const std::string& branch) const;

    Style style_;
    std::size_t lines_drawn_ = 0;
    std::map<std::string, std::string> labels_;  // of branches
    std::chrono::steady_clock::time_point printed_{};
    std::string last_line_;
    bool printed_amounts_ = false;
    boost::json::value end_;
};

// Follows the job to its end, over restarts of the server; the `end` event's data. Without a stream (an old server, too many watchers) it polls.
Result<boost::json::value> watch_job(ApiClient& api, const std::string& job, JobScreen& screen);

}  // namespace ramet::cli
