#include "lifecycle/vm_names.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "base/text.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

Result<void> require_unique_names(store::Transaction& transaction, const std::vector<WantedName>& wanted, const VmId& renamed) {
    TRY_ASSIGN(const std::string unique, resources::global_config(transaction, "vm", "uniqueVmName"));
    if (unique != "true") return {};
    for (auto it = wanted.begin(); it != wanted.end(); ++it) {
        TRY_ASSIGN(const std::vector<VmInstance> owners, store::list<VmInstance>(transaction, {{"name", it->name}}));
        const bool taken = std::ranges::any_of(owners, [&](const VmInstance& vm) { return vm.uuid != renamed; });
        const bool twice = std::any_of(wanted.begin(), it, [&](const WantedName& other) { return equal_ignoring_case(other.name, it->name); });
        if (!taken && !twice) continue;
        return fail(ErrorCode::invalid_argument,
                    fmt::format("{} '{}' is taken; vm.uniqueVmName asks for distinct names: choose another", it->place, it->name));
    }
    return {};
}

}  // namespace ramet::lifecycle
