// Who calls, and what they may touch.
#pragma once

#include <string>
#include <string_view>

#include "base/id.hpp"
#include "base/result.hpp"
#include "store/database.hpp"

namespace ramet::identity {

struct Caller {
    AccountId account;
    std::string account_name;
    bool admin = false;
};

// Makes the caller the owner of a new resource; part of the transaction that makes the resource.
Result<void> own(store::Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type);
Result<void> disown(store::Transaction& transaction, std::string_view resource_uuid);
// not_found when no such resource exists; not_owner (SYS.1006) when another account's. Infrastructure (zones, hosts, storages, public
// networks and offerings and images of an admin) may be read and referred to by everyone.
Result<void> may_operate(store::Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type,
                         std::string_view field);
Result<void> may_refer(store::Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type,
                       std::string_view field);

}  // namespace ramet::identity
