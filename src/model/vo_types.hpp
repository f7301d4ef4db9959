// The registry of row types: from the name of a resource type on the wire ("VmInstanceVO") to its description.
#pragma once

#include <string_view>
#include <vector>

#include "base/describe.hpp"

namespace ramet {

const std::vector<const TypeInfo*>& all_row_types();
const TypeInfo* type_of_vo(std::string_view vo_type);  // null: no such type

}  // namespace ramet
