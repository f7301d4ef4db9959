// Steps of two jobs never work on one resource at once: nobody changes it while a call of another job is under way, or between two calls of a
// step that holds its lock. What only looks may come between, and two may remove what is doomed: nobody refers to it any more.
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
    struct Holder {
        std::string job;
        int steps = 0;  // of the job that hold it
        bool has_called = false;
        std::string intrusion{};  // of another job since then
    };
    std::map<std::string, Holder> held_;  // by resource
    struct Call {
        std::string job;
        bool removes = false;
    };
    std::map<std::string, std::vector<Call>> calls_under_way_;  // by resource
};

}  // namespace ramet::sim
