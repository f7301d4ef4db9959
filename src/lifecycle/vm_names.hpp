// The global setting vm.uniqueVmName: whether no two VM instances may have the same name.
#pragma once

#include <string>
#include <vector>

#include "model/vm.hpp"
#include "store/database.hpp"

namespace ramet::lifecycle {

struct WantedName {
    std::string place;  // for the error text: "name", "names[3]"
    std::string name;
};

// invalid_argument while the setting is true and a name is wanted twice, or is that of a VM instance other than `renamed`. A destroyed one
// keeps its name until it is expunged; upper and lower case are the same. Part of the transaction that takes the names, so that of two calls
// at the same time one is refused.
Result<void> require_unique_names(store::Transaction& transaction, const std::vector<WantedName>& wanted, const VmId& renamed = {});

}  // namespace ramet::lifecycle
