// The `userdata::<base64>` system tag.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ramet::guest {

// The text behind the tag; empty in, empty out. invalid_argument when it is not base64.
Result<std::string> decode_user_data(std::string_view base64);

}  // namespace ramet::guest
