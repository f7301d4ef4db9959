// Brace expansion of clone names: 'web-{01..10}', '{a,b}-{1..3}'. Zero padding is kept; several braces multiply, the last one fastest.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace ramet::cli {

// invalid_argument: an unclosed brace, a range that is no range, or more than `names_max` names.
Result<std::vector<std::string>> expand_names(const std::string& pattern, std::size_t names_max);

}  // namespace ramet::cli
