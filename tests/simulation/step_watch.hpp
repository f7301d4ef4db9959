// Steps of two jobs never work on one resource at once: a step that holds a resource's lock has it alone, and so has a call that is under way.
// What only looks may come between.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ramet::workflow {
class Saga;
}

namespace ramet::sim {

class StepWatch {
public:
    explicit StepWatch(std::function<void(const std::string& violation)> tell) : tell_(std::move(tell)) {}
    // Every step of the saga tells of itself from here on.
    void watch(workflow::Saga& saga);
    void forget();                     // the server is dead, and its steps with it
    std::string step_without_locks{};  // a mutant's

    // While it lives, what its thread does, and the threads that this one makes, is done for the job.
    class StepAtWork {
    public:
        StepAtWork(StepWatch& watch, const std::string& job, std::vector<std::string> locks);
        ~StepAtWork();
        StepAtWork(const StepAtWork&) = delete;
        StepAtWork& operator=(const StepAtWork&) = delete;

    private:
        StepWatch& watch_;
        std::vector<std::string> locks_;
        std::string before_;
    };

    // A call of a port, by whomever. `about`: a uuid, or a path whose file is named by one.
    class Visit {
    public:
        Visit(StepWatch& watch, std::string_view operation, const std::string& about);
        ~Visit();
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;

    private:
        StepWatch& watch_;
        std::string job_, resource_;  // empty: not a step's, or one that only looks
    };

private:
    std::function<void(const std::string&)> tell_;
    std::map<std::string, std::pair<std::string, int>> held_;          // by resource: the job, and how many of its steps
    std::map<std::string, std::vector<std::string>> calls_under_way_;  // by resource: the jobs
};

}  // namespace ramet::sim
