// The parts of a request target: path segments and parameters, percent-decoded once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace ramet::http {

struct Target {
    std::string path;                   // encoded, without scheme, host and query
    std::vector<std::string> segments;  // "/a//b/" gives "a", "", "b"
    std::vector<std::pair<std::string, std::string>> parameters;
};

// malformed when a percent-escape is broken.
Result<Target> parse_target(std::string_view target);
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace ramet::http
