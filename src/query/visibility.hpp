// Which rows a caller may see, as SQL. Admins see everything. Others see their own resources and what belongs to them (NICs, volumes,
// addresses, tags), the infrastructure that is shared by nature (zones, hosts, storages, networks, offerings), and images of admins.
// A row type that is not listed is shown to admins alone.
#pragma once

#include <string>
#include <string_view>

#include "base/describe.hpp"
#include "identity/caller.hpp"

namespace ramet::query {

// A condition over rows of `row` under the alias, or nothing when every row is visible. `account` is the parameter ("$3") that holds
// the caller's account.
std::string visible_rows(const TypeInfo& row, std::string_view alias, const identity::Caller& caller, std::string_view account);

}  // namespace ramet::query
