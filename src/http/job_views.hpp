// Jobs as the API shows them.
#pragma once

#include <string>
#include <vector>

#include "api/message.hpp"
#include "http/exchange.hpp"
#include "model/account.hpp"

namespace ramet::http {

bool has_ended(const Job& job);
// The final body: the stored result as it is, or {"error":{...}}.
std::string result_body(const Job& job);
// 200 or 503 with the final body. With `schema_of` set, a result without a schema gets one.
Response finished_response(const Job& job, const api::MessageInfo* schema_of);
// 202 with the place to poll.
Response accepted_response(const Request& request, const JobId& job, const std::string& fallback_authority);
// The whole job with its steps, for GET /zstack/v1/jobs/{uuid}.
std::string job_detail(const Job& job, const std::vector<JobStep>& steps);

}  // namespace ramet::http
