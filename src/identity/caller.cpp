#include "identity/caller.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "model/account.hpp"
#include "model/vo_types.hpp"
#include "store/table.hpp"

namespace ramet::identity {
namespace {

using store::Transaction;

// Everyone may build on these; an administrator makes, changes and removes them.
constexpr std::array<std::string_view, 14> kInfrastructure{"ZoneVO",
                                                           "ClusterVO",
                                                           "HostVO",
                                                           "PrimaryStorageVO",
                                                           "PrimaryStorageClusterRefVO",
                                                           "BackupStorageVO",
                                                           "BackupStorageZoneRefVO",
                                                           "L2NetworkVO",
                                                           "L2NetworkClusterRefVO",
                                                           "L3NetworkVO",
                                                           "IpRangeVO",
                                                           "InstanceOfferingVO",
                                                           "DiskOfferingVO",
                                                           "GlobalConfigVO"};

// Resources that belong to whoever owns the resource they name.
struct Belonging {
    std::string_view vo_type, column;
};
constexpr std::array<Belonging, 9> kBelongings{Belonging{"VmNicVO", "vmInstanceUuid"},
                                               Belonging{"VmCdRomVO", "vmInstanceUuid"},
                                               Belonging{"UsedIpVO", "vmNicUuid"},
                                               Belonging{"SystemTagVO", "resourceUuid"},
                                               Belonging{"UserTagVO", "resourceUuid"},
                                               Belonging{"ImageBackupStorageRefVO", "imageUuid"},
                                               Belonging{"VolumeSnapshotTreeVO", "volumeUuid"},
                                               Belonging{"VolumeSnapshotGroupRefVO", "volumeSnapshotGroupUuid"},
                                               Belonging{"CheckpointVolumeVO", "checkpointUuid"}};

// Rows that name their account themselves.
constexpr std::array<Belonging, 2> kAccountColumns{Belonging{"AccountVO", "uuid"}, Belonging{"JobVO", "accountUuid"}};

template <std::size_t N>
std::string_view column_of(const std::array<Belonging, N>& table, std::string_view vo_type) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const Belonging& entry) { return entry.vo_type == vo_type; });
    return found == table.end() ? std::string_view{} : found->column;
}

bool is_infrastructure(std::string_view vo_type) {
    return std::find(kInfrastructure.begin(), kInfrastructure.end(), vo_type) != kInfrastructure.end();
}

// The value of a text column of the row with this key; nothing when there is no such row. NULL reads as empty.
Result<std::optional<std::string>> column_value(Transaction& transaction, const TypeInfo& type, std::string_view column, std::string_view uuid) {
    const auto key = std::find_if(type.fields.begin(), type.fields.end(), [](const FieldInfo& info) { return info.rules.primary; });
    const auto quoted = [](std::string_view name) { return '"' + std::string(name) + '"'; };
    const std::string sql = "SELECT " + quoted(column) + " FROM " + quoted(type.table) + " WHERE " + quoted(key->name) + " = $1";
    TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(sql, {std::string(uuid)}));
    if (rows.empty()) return std::optional<std::string>{};
    const auto* text = std::get_if<std::string>(&rows.front().front());
    return std::optional<std::string>{text == nullptr ? std::string{} : *text};
}

Result<void> must_exist(Transaction& transaction, const TypeInfo& type, std::string_view uuid, std::string_view field) {
    const auto key = std::find_if(type.fields.begin(), type.fields.end(), [](const FieldInfo& info) { return info.rules.primary; });
    TRY_ASSIGN(const std::optional<std::string> found, column_value(transaction, type, key->name, uuid));
    if (found) return {};
    return fail(ErrorCode::not_found, std::string(field) + " names no " + std::string(type.vo_type) + ": there is no resource with uuid '" +
                                          std::string(uuid.substr(0, 64)) + "'; check the uuid");
}

struct Owner {
    std::string account;  // empty: nobody's
    bool admin = false;
};

Result<Owner> recorded_owner(Transaction& transaction, std::string_view uuid) {
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query("SELECT r.\"accountUuid\", a.\"type\" FROM account_resource_ref AS r "
                                 "JOIN account AS a ON a.\"uuid\" = r.\"accountUuid\" WHERE r.\"resourceUuid\" = $1",
                                 {std::string(uuid)}));
    if (rows.empty()) return Owner{};
    const auto text = [&](std::size_t column) { return std::get<std::string>(rows.front().at(column)); };
    return Owner{text(0), text(1) == "SystemAdmin"};
}

Result<Owner> owner_of(Transaction& transaction, const TypeInfo& type, std::string_view uuid) {
    if (const std::string_view column = column_of(kAccountColumns, type.vo_type); !column.empty()) {
        TRY_ASSIGN(const std::optional<std::string> account, column_value(transaction, type, column, uuid));
        return Owner{account.value_or(""), false};
    }
    TRY_ASSIGN(Owner owner, recorded_owner(transaction, uuid));
    const std::string_view column = column_of(kBelongings, type.vo_type);
    if (!owner.account.empty() || column.empty()) return owner;
    TRY_ASSIGN(const std::optional<std::string> parent, column_value(transaction, type, column, uuid));
    return recorded_owner(transaction, parent.value_or(""));
}

enum class Intent : std::uint8_t { operate, refer };

Result<void> check(Transaction& transaction, const Caller& caller, std::string_view uuid, std::string_view vo_type, std::string_view field,
                   Intent intent) {
    const TypeInfo* type = type_of_vo(vo_type);
    if (type == nullptr) {
        return fail(ErrorCode::invalid_argument,
                    std::string(field) + " names a resource of the unknown type '" + std::string(vo_type.substr(0, 64)) + "'");
    }
    TRY(must_exist(transaction, *type, uuid, field));
    if (caller.admin) return {};
    const std::string what = std::string(type->vo_type) + " with uuid '" + std::string(uuid) + "'";
    if (is_infrastructure(vo_type)) {
        if (intent == Intent::refer) return {};
        return fail(ErrorCode::denied, "only an administrator may change the " + what + " that " + std::string(field) + " names; log in as one");
    }
    TRY_ASSIGN(const Owner owner, owner_of(transaction, *type, uuid));
    if (!caller.account.empty() && owner.account == caller.account.text()) return {};
    if (intent == Intent::refer) {
        if (vo_type == "ImageVO" && owner.admin) return {};
        return fail(ErrorCode::denied, "permission denied: " + std::string(field) + " names the " + what + ", which belongs to another account");
    }
    return fail(ErrorCode::not_owner, "permission denied: the account is not the owner of the " + what + " that " + std::string(field) + " names");
}

}  // namespace

Result<void> own(Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type) {
    AccountResourceRef ref;
    ref.resource_uuid = resource_uuid;
    ref.account_uuid = caller.account;
    ref.resource_type = vo_type;
    ref.create_date = SystemClock{}.now();
    ref.last_op_date = ref.create_date;
    return store::insert(transaction, ref);
}

Result<void> disown(Transaction& transaction, std::string_view resource_uuid) {
    TRY(store::erase<AccountResourceRef>(transaction, {{"resourceUuid", std::string(resource_uuid)}}));
    return {};
}

Result<void> may_operate(Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type,
                         std::string_view field) {
    return check(transaction, caller, resource_uuid, vo_type, field, Intent::operate);
}

Result<void> may_refer(Transaction& transaction, const Caller& caller, std::string_view resource_uuid, std::string_view vo_type,
                       std::string_view field) {
    return check(transaction, caller, resource_uuid, vo_type, field, Intent::refer);
}

}  // namespace ramet::identity
