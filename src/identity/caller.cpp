#include "identity/caller.hpp"

#include <algorithm>
#include <array>

#include "model/account.hpp"
#include "model/vo_types.hpp"
#include "store/table.hpp"

namespace ramet::identity {
namespace {

using store::Transaction;

// What every account may name in a request, and only an admin may change.
constexpr std::array<std::string_view, 10> kInfrastructure{"ZoneVO",      "ClusterVO",   "HostVO",    "PrimaryStorageVO",   "BackupStorageVO",
                                                           "L2NetworkVO", "L3NetworkVO", "IpRangeVO", "InstanceOfferingVO", "DiskOfferingVO"};

bool is_infrastructure(std::string_view vo_type) { return std::ranges::find(kInfrastructure, vo_type) != kInfrastructure.end(); }

std::unexpected<Error> not_there(std::string_view uuid, std::string_view vo_type, std::string_view field) {
    return fail(ErrorCode::not_found, std::string(field) + " names no " + std::string(vo_type) + ": there is no resource with uuid '" + std::string(uuid.substr(0, 64)) + "'; check the uuid");
}

Result<void> must_exist(Transaction& transaction, std::string_view uuid, std::string_view vo_type, std::string_view field) {
    if (!is_uuid_text(uuid)) return not_there(uuid, vo_type, field);
    const TypeInfo* type = type_of_vo(vo_type);
    if (type == nullptr) return fail(ErrorCode::internal, "unknown resource type " + std::string(vo_type));
    TRY_ASSIGN(const std::int64_t rows, store::erased::count(transaction, *type, {{"uuid", std::string(uuid)}}));
    if (rows == 0) return not_there(uuid, vo_type, field);
    return {};
}

Result<std::optional<AccountResourceRef>> owner_of(Transaction& transaction, std::string_view uuid) {
    return store::find<AccountResourceRef>(transaction, {{"resourceUuid", std::string(uuid)}});
}

}  // namespace

Result<void> own(Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type) {
    AccountResourceRef ref;
    ref.resource_uuid = resource_uuid;
    ref.account_uuid = caller.account;
    ref.resource_type = vo_type;
    return store::insert(transaction, ref);
}

Result<void> disown(Transaction& transaction, std::string_view resource_uuid) {
    TRY(store::erase<AccountResourceRef>(transaction, {{"resourceUuid", std::string(resource_uuid)}}));
    return {};
}

Result<void> may_operate(Transaction& transaction, const Caller& caller, std::string_view uuid, std::string_view vo_type, std::string_view field) {
    TRY(must_exist(transaction, uuid, vo_type, field));
    if (caller.admin) return {};
    if (is_infrastructure(vo_type)) return fail(ErrorCode::denied, "only an admin may change a " + std::string(vo_type));
    TRY_ASSIGN(const std::optional<AccountResourceRef> owner, owner_of(transaction, uuid));
    if (owner && owner->account_uuid == caller.account) return {};
    return fail(ErrorCode::not_owner, "permission denied: " + std::string(field) + " names a resource that is not yours");
}

Result<void> may_refer(Transaction& transaction, const Caller& caller, std::string_view uuid, std::string_view vo_type, std::string_view field) {
    TRY(must_exist(transaction, uuid, vo_type, field));
    if (caller.admin || is_infrastructure(vo_type)) return {};
    TRY_ASSIGN(const std::optional<AccountResourceRef> owner, owner_of(transaction, uuid));
    if (owner && owner->account_uuid == caller.account) return {};
    if (owner && vo_type == "ImageVO") {
        TRY_ASSIGN(const std::optional<Account> account, store::find<Account>(transaction, {{"uuid", owner->account_uuid.text()}}));
        if (account && account->is_admin()) return {};
    }
    return fail(ErrorCode::denied, std::string(field) + " names a resource that is not yours to use");
}

}  // namespace ramet::identity
