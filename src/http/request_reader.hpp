// From a routed HTTP request to the one call it means and its fields (contract 1.2, 1.3, 6.1). Every failure here is
// ErrorCode::malformed, an immediate 400, unless said otherwise.
#pragma once

#include <boost/json/object.hpp>

#include "http/exchange.hpp"
#include "http/router.hpp"
#include "http/url.hpp"
#include "query/query.hpp"

namespace ramet::http {

struct ReadCall {
    const Endpoint* endpoint = nullptr;
    boost::json::object fields;  // what api::read_json() reads; empty for queries
    query::Parameters query;     // for queries
};

// Chooses among the candidates by the body's key: exactly first, then ignoring case. The path's variables win over the body.
Result<ReadCall> read_call(const Found& found, const Request& request, const Target& target);

// invalid_argument for a filterName without a type, or a limit beyond the server's.
Result<query::Parameters> read_query_parameters(const Target& target);

}  // namespace ramet::http
