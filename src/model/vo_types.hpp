// Resource types by the names the wire uses for them ("VmInstanceVO").
#pragma once

#include <string_view>

#include "base/describe.hpp"

namespace ramet {

// The row type of a VO name, or null.
const TypeInfo* type_of_vo(std::string_view vo_type);

}  // namespace ramet
