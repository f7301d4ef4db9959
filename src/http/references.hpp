// Checks that every uuid of a request names something the caller may touch, before its handler runs.
#pragma once

#include <functional>
#include <string_view>

#include "api/message.hpp"
#include "identity/caller.hpp"
#include "store/database.hpp"

namespace ramet::http {

// One uuid of a request: `field` is its full name ("vmNicParams[1].l3NetworkUuid").
using ReferenceRule = std::function<Result<void>(std::string_view uuid, std::string_view vo_type, std::string_view field)>;

// Walks the fields with `names_a`: those in the path must be the caller's to operate (of a GET: to refer to), all others to refer to.
// The first failure ends it. Absent uuids are skipped; check_rules() has refused empty ones.
Result<void> check_references(const api::MessageInfo& message, void* request, const ReferenceRule& operate, const ReferenceRule& refer);

using ReferenceCheck = std::function<Result<void>(const identity::Caller& caller, const api::MessageInfo& message, void* request)>;

// The check against the store, in one read transaction; `database` must outlive it.
ReferenceCheck database_reference_check(store::Database& database);

}  // namespace ramet::http
