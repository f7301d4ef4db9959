// Jobs as the API shows them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/message.hpp"
#include "http/exchange.hpp"
#include "model/account.hpp"
#include "workflow/engine.hpp"

namespace ramet::http {

bool has_ended(const Job& job);
// The final body: the stored result as it is, or {"error":{...}}.
std::string result_body(const Job& job);
// 200 or 503 with the final body. With `schema_of` set, a result without a schema gets one.
// The same with the answer's `schema` when its message is given.
std::string finished_body(const Job& job, const api::MessageInfo* schema_of);
Response finished_response(const Job& job, const api::MessageInfo* schema_of);
// 202 with the place to poll.
Response accepted_response(const Request& request, const JobId& job, const std::string& fallback_authority);
// X-Job-Batch of a web hook: SUCCESS, FAIL or PARTIAL; nothing for calls that make one thing.
std::optional<std::string_view> batch_outcome(const Job& job);

// The engine's own rows among a job's steps, which are shown to nobody.
bool is_internal_step(const JobStep& step);
// One entry of a job's steps.
std::string step_json(const JobStep& step);
// How far a job is, with its branches and without steps.
std::string progress_json(const workflow::LiveJob& live);
// The whole job; `live` may be null.
std::string job_json(const Job& job, const std::vector<JobStep>& steps, const workflow::LiveJob* live);

}  // namespace ramet::http
