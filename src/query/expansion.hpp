// Which rows hang together, for nested field names (contract 6.3): row type and name to the rows behind it.
#pragma once

#include <string_view>
#include <vector>

#include "base/describe.hpp"

namespace ramet::query {

// Rows of `target` whose `to` column equals the `from` column of the row before.
struct Hop {
    std::string_view from;
    const TypeInfo* target;
    std::string_view to;
};

// One hop, or two through a table of references. Nothing: the row type has no such name.
const std::vector<Hop>* find_expansion(const TypeInfo& row, std::string_view name);

// A list of uuids that rows show but do not hold (attachedClusterUuids): the hop to the references and the column that has the uuid.
struct ListColumn {
    Hop hop;
    std::string_view column;
};
const ListColumn* find_list_column(const TypeInfo& row, std::string_view name);

}  // namespace ramet::query
