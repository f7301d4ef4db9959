#include "resources/computed_query.hpp"

#include "base/limits.hpp"

namespace ramet::resources {

Result<std::optional<ComputedQuery>> split_computed(const TypeInfo& row, const query::Parameters& parameters) {
    ComputedQuery split;
    split.of_computed = parameters;
    split.of_computed.conditions.clear();
    for (const std::string& text : parameters.conditions) {
        TRY_ASSIGN(const query::Condition condition, query::parse_condition(text));
        (query::is_computed(row, condition.name) ? split.of_computed : split.of_stored).conditions.push_back(text);
    }
    std::string_view sort = parameters.sort;
    if (sort.starts_with('-') || sort.starts_with('+') || sort.starts_with(' ')) sort.remove_prefix(1);
    if (split.of_computed.conditions.empty() && !query::is_computed(row, sort)) return std::optional<ComputedQuery>{};
    split.of_stored.uuid = parameters.uuid;
    split.of_stored.limit = limits::kQueryLimitMax;
    return std::optional<ComputedQuery>{std::move(split)};
}

}  // namespace ramet::resources
