// From what a use case returns to what the edge answers; used by every routes_*.cpp.
#pragma once

#include "http/handler.hpp"
#include "lifecycle/action.hpp"

namespace ramet::http {

inline lifecycle::Request request_of(const Call& call) {
    return {call.caller, call.job, call.web_hook, call.key, call.web_hook_has_schema, call.validates_only};
}

Result<Answer> answer_of(Result<std::string> json);  // the whole body
Result<Answer> answer_of(Result<void> done);
Result<Answer> answer_of(Result<JobId> job);
Result<Answer> answer_of(Result<std::optional<JobId>> job);  // no job: there was nothing to do, which is success

}  // namespace ramet::http
