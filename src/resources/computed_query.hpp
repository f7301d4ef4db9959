// Searching and sorting by fields that no row holds (computed_fields.hpp): the database answers all other conditions, the rows it finds are
// completed, and then the rest is asked of them. The types with such fields have few rows: hosts and storages.
#pragma once

#include <optional>

#include "query/query.hpp"

namespace ramet::resources {

struct ComputedQuery {
    query::Parameters of_stored;    // finds every row that may be wanted
    query::Parameters of_computed;  // of those, the ones that are wanted, and in which order
};

// Nothing when the database alone can answer.
Result<std::optional<ComputedQuery>> split_computed(const TypeInfo& row, const query::Parameters& parameters);

}  // namespace ramet::resources
