// Ctrl-C while a job is waited for ends the command, not the job: the user is told so, and how to get back to it.
#pragma once

#include <string>

namespace ramet::cli {

std::string job_goes_on(const std::string& job);  // with the commands that watch and cancel it

// While one lives, SIGINT prints job_goes_on() to stderr and exits with 130. Does nothing where SIGINT is ignored, and inside another one.
class InterruptNote {
public:
    explicit InterruptNote(const std::string& job);
    ~InterruptNote();
    InterruptNote(const InterruptNote&) = delete;
    InterruptNote& operator=(const InterruptNote&) = delete;

private:
    bool installed_ = false;
};

}  // namespace ramet::cli
