#include "query/visibility.hpp"

#include <algorithm>

#include "model/account.hpp"
#include "model/event.hpp"
#include "model/resources.hpp"
#include "model/snapshots.hpp"
#include "model/vm.hpp"

namespace ramet::query {
namespace {

bool is_any_of(const TypeInfo& row, std::initializer_list<const TypeInfo*> types) {
    return std::find(types.begin(), types.end(), &row) != types.end();
}

bool is_shared_by_nature(const TypeInfo& row) {
    return is_any_of(
        row, {&describe<Zone>(), &describe<Cluster>(), &describe<Host>(), &describe<PrimaryStorage>(), &describe<PrimaryStorageClusterRef>(),
              &describe<BackupStorage>(), &describe<BackupStorageZoneRef>(), &describe<InstanceOffering>(), &describe<DiskOffering>(),
              &describe<L2Network>(), &describe<L2NetworkClusterRef>(), &describe<L3Network>(), &describe<IpRange>(), &describe<GlobalConfig>()});
}

std::string owned(const std::string& column, std::string_view account) {
    const TypeInfo& refs = describe<AccountResourceRef>();
    return column + " IN (SELECT o.\"resourceUuid\" FROM \"" + std::string(refs.table) + "\" o WHERE o.\"accountUuid\" = " + std::string(account) +
           ")";
}

std::string owned_by_admin(const std::string& column) {
    const TypeInfo& refs = describe<AccountResourceRef>();
    const TypeInfo& accounts = describe<Account>();
    return column + " IN (SELECT o.\"resourceUuid\" FROM \"" + std::string(refs.table) + "\" o JOIN \"" + std::string(accounts.table) +
           "\" a ON a.\"uuid\" = o.\"accountUuid\" WHERE a.\"type\" = 'SystemAdmin')";
}

}  // namespace

std::string visible_rows(const TypeInfo& row, std::string_view alias, const identity::Caller& caller, std::string_view account) {
    if (caller.admin || is_shared_by_nature(row)) return {};
    const auto column = [&](std::string_view name) { return std::string(alias) + ".\"" + std::string(name) + "\""; };
    if (is_any_of(row, {&describe<VmInstance>(), &describe<Volume>(), &describe<VolumeSnapshot>(), &describe<VolumeSnapshotGroup>(),
                        &describe<Checkpoint>()}))
        return owned(column("uuid"), account);
    if (&row == &describe<VolumeSnapshotTree>()) return owned(column("volumeUuid"), account);
    if (&row == &describe<VolumeSnapshotGroupRef>()) return owned(column("volumeSnapshotGroupUuid"), account);
    if (&row == &describe<CheckpointVolume>()) return owned(column("checkpointUuid"), account);
    if (is_any_of(row, {&describe<VmNic>(), &describe<VmCdRom>()})) return owned(column("vmInstanceUuid"), account);
    if (is_any_of(row, {&describe<SystemTag>(), &describe<UserTag>()})) return owned(column("resourceUuid"), account);
    if (&row == &describe<UsedIp>()) {
        return column("vmNicUuid") + " IN (SELECT n.\"uuid\" FROM \"" + std::string(describe<VmNic>().table) + "\" n WHERE " +
               owned("n.\"vmInstanceUuid\"", account) + ")";
    }
    if (&row == &describe<Image>()) return "(" + owned(column("uuid"), account) + " OR " + owned_by_admin(column("uuid")) + ")";
    if (&row == &describe<ImageBackupStorageRef>())
        return "(" + owned(column("imageUuid"), account) + " OR " + owned_by_admin(column("imageUuid")) + ")";
    if (&row == &describe<Account>()) return column("uuid") + " = " + std::string(account);
    if (is_any_of(row, {&describe<Job>(), &describe<Session>(), &describe<AccountResourceRef>(), &describe<Event>()}))
        return column("accountUuid") + " = " + std::string(account);
    return "1 = 0";
}

}  // namespace ramet::query
