#include "http/answers.hpp"

namespace ramet::http {

Result<Answer> answer_of(Result<std::string> json) {
    if (!json.has_value()) return std::unexpected(std::move(json.error()));
    return Answer{Body{std::move(*json)}};
}

Result<Answer> answer_of(Result<void> done) {
    if (!done.has_value()) return std::unexpected(std::move(done.error()));
    return Answer{Body{}};
}

Result<Answer> answer_of(Result<JobId> job) {
    if (!job.has_value()) return std::unexpected(std::move(job.error()));
    return Answer{Started{std::move(*job)}};
}

Result<Answer> answer_of(Result<std::optional<JobId>> job) {
    if (!job.has_value()) return std::unexpected(std::move(job.error()));
    if (!job->has_value()) return Answer{Body{}};
    return Answer{Started{std::move(**job)}};
}

}  // namespace ramet::http
