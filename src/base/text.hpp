// Text of the wire: ASCII where it has a meaning, UTF-8 where it is somebody's.
#pragma once

#include <string_view>

namespace ramet {

bool equal_ignoring_case(std::string_view left, std::string_view right);  // ASCII letters only, whatever the locale

}  // namespace ramet
