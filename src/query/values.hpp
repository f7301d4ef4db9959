// A condition on one column: its operator and its text value, made into SQL of the column's type.
#pragma once

#include <string>

#include "query/query.hpp"

namespace ramet::query {

// Collects parameters; the only way a value gets into a statement.
class Binder {
public:
    std::string bind(store::Value value) {
        values_.push_back(std::move(value));
        return "$" + std::to_string(values_.size());
    }
    std::size_t count() const { return values_.size(); }
    store::Values take() { return std::move(values_); }

private:
    store::Values values_;
};

// `column` is SQL ("t.\"name\""), `shown` the name the caller wrote. bad_query when the value is not of the field's type or the operator
// makes no sense on it.
Result<std::string> column_condition(const FieldInfo& field, const std::string& column, Operator op, const std::string& value,
                                     const std::string& shown, Binder& binder);

// A row is wanted if it does NOT satisfy the positive form: tags are asked this way (contract 6.4).
struct Positive {
    Operator op;
    bool negated;
};
Positive positive_form(Operator op);

// "Nov 14, 2017 10:20:57 PM" or "2017-11-14 22:20:57", in the server's time zone; milliseconds. Nothing: not a date.
std::optional<std::int64_t> parse_date(std::string_view text);

}  // namespace ramet::query
