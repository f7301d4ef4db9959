// Rows of a type known only by its description, and the rows below them: what the inventory fills and shows.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "base/result.hpp"
#include "store/database.hpp"

namespace ramet::resources {

class RowSet {
public:
    virtual ~RowSet() = default;
    virtual void* append() = 0;
    virtual std::vector<void*> rows() = 0;  // valid until the next append()
};

// Null: no query shows rows of this type.
std::unique_ptr<RowSet> make_row_set(const TypeInfo& row);

// Every row that was read, those below others included, by type.
using RowsByType = std::map<const TypeInfo*, std::vector<void*>>;

// Fills the relations of `parents` (rows of one type) and of the rows below them: one query for each relation and bound on parameters,
// however many parents there are. `only_fields` names the relations wanted of `parents`; empty: all. Adds all rows, the parents too, to `seen`.
Result<void> fill_relations(store::Transaction& transaction, const TypeInfo& type, const std::vector<void*>& parents,
                            const std::vector<std::string>& only_fields, RowsByType& seen);

}  // namespace ramet::resources
