#include "query/expansion.hpp"

#include <map>
#include <utility>

#include "model/resources.hpp"
#include "model/snapshots.hpp"
#include "model/vm.hpp"

namespace ramet::query {
namespace {

using Key = std::pair<const TypeInfo*, std::string_view>;
using Table = std::map<Key, std::vector<Hop>>;

template <class Row>
void one(Table& table, std::string_view name, std::string_view from, const TypeInfo& target, std::string_view to) {
    table[{&describe<Row>(), name}] = {Hop{from, &target, to}};
}

// To one: our column holds the other's uuid. To many: the other's column holds our uuid.
template <class Row, class Target>
void to_one(Table& table, std::string_view name, std::string_view column) {
    one<Row>(table, name, column, describe<Target>(), "uuid");
}
template <class Row, class Target>
void to_many(Table& table, std::string_view name, std::string_view column) {
    one<Row>(table, name, "uuid", describe<Target>(), column);
}
template <class Row, class Reference, class Target>
void through(Table& table, std::string_view name, std::string_view own_column, std::string_view other_column) {
    table[{&describe<Row>(), name}] = {Hop{"uuid", &describe<Reference>(), own_column}, Hop{other_column, &describe<Target>(), "uuid"}};
}

void add_machines(Table& table) {
    to_one<VmInstance, Zone>(table, "zone", "zoneUuid");
    to_one<VmInstance, Cluster>(table, "cluster", "clusterUuid");
    to_one<VmInstance, Host>(table, "host", "hostUuid");
    to_one<VmInstance, Image>(table, "image", "imageUuid");
    to_one<VmInstance, InstanceOffering>(table, "instanceOffering", "instanceOfferingUuid");
    to_one<VmInstance, Volume>(table, "rootVolume", "rootVolumeUuid");
    to_one<VmInstance, L3Network>(table, "defaultL3Network", "defaultL3NetworkUuid");
    to_many<VmInstance, VmNic>(table, "vmNics", "vmInstanceUuid");
    to_many<VmInstance, Volume>(table, "allVolumes", "vmInstanceUuid");
    to_many<VmInstance, VmCdRom>(table, "vmCdRoms", "vmInstanceUuid");
    to_one<VmNic, VmInstance>(table, "vmInstance", "vmInstanceUuid");
    to_one<VmNic, L3Network>(table, "l3Network", "l3NetworkUuid");
    to_many<VmNic, UsedIp>(table, "usedIp", "vmNicUuid");
    to_many<VmNic, UsedIp>(table, "usedIps", "vmNicUuid");
    to_one<VmCdRom, VmInstance>(table, "vmInstance", "vmInstanceUuid");
    to_one<Volume, VmInstance>(table, "vmInstance", "vmInstanceUuid");
    to_one<Volume, DiskOffering>(table, "diskOffering", "diskOfferingUuid");
    to_one<Volume, PrimaryStorage>(table, "primaryStorage", "primaryStorageUuid");
    to_one<Volume, Image>(table, "image", "rootImageUuid");
    to_many<InstanceOffering, VmInstance>(table, "vmInstance", "instanceOfferingUuid");
    to_many<DiskOffering, Volume>(table, "volume", "diskOfferingUuid");
}

void add_places(Table& table) {
    to_one<Host, Zone>(table, "zone", "zoneUuid");
    to_one<Host, Cluster>(table, "cluster", "clusterUuid");
    to_many<Host, VmInstance>(table, "vmInstance", "hostUuid");
    to_one<Cluster, Zone>(table, "zone", "zoneUuid");
    to_many<Cluster, Host>(table, "host", "clusterUuid");
    to_many<Cluster, VmInstance>(table, "vmInstance", "clusterUuid");
    through<Cluster, L2NetworkClusterRef, L2Network>(table, "l2Network", "clusterUuid", "l2NetworkUuid");
    through<Cluster, PrimaryStorageClusterRef, PrimaryStorage>(table, "primaryStorage", "clusterUuid", "primaryStorageUuid");
    to_many<Zone, VmInstance>(table, "vmInstance", "zoneUuid");
    to_many<Zone, Cluster>(table, "cluster", "zoneUuid");
    to_many<Zone, Host>(table, "host", "zoneUuid");
    to_many<Zone, PrimaryStorage>(table, "primaryStorage", "zoneUuid");
    to_many<Zone, L2Network>(table, "l2Network", "zoneUuid");
    to_many<Zone, L3Network>(table, "l3Network", "zoneUuid");
    through<Zone, BackupStorageZoneRef, BackupStorage>(table, "backupStorage", "zoneUuid", "backupStorageUuid");
}

void add_storages(Table& table) {
    to_one<PrimaryStorage, Zone>(table, "zone", "zoneUuid");
    to_many<PrimaryStorage, Volume>(table, "volume", "primaryStorageUuid");
    through<PrimaryStorage, PrimaryStorageClusterRef, Cluster>(table, "cluster", "primaryStorageUuid", "clusterUuid");
    through<BackupStorage, BackupStorageZoneRef, Zone>(table, "zone", "backupStorageUuid", "zoneUuid");
    through<BackupStorage, ImageBackupStorageRef, Image>(table, "image", "backupStorageUuid", "imageUuid");
    through<Image, ImageBackupStorageRef, BackupStorage>(table, "backupStorage", "imageUuid", "backupStorageUuid");
    to_many<Image, ImageBackupStorageRef>(table, "backupStorageRefs", "imageUuid");
    to_many<Image, ImageBackupStorageRef>(table, "backupStorageRef", "imageUuid");
    to_many<Image, Volume>(table, "volume", "rootImageUuid");
    to_many<Image, VmInstance>(table, "vmInstance", "imageUuid");
}

void add_networks(Table& table) {
    to_one<L2Network, Zone>(table, "zone", "zoneUuid");
    to_many<L2Network, L3Network>(table, "l3Network", "l2NetworkUuid");
    through<L2Network, L2NetworkClusterRef, Cluster>(table, "cluster", "l2NetworkUuid", "clusterUuid");
    to_one<L3Network, Zone>(table, "zone", "zoneUuid");
    to_one<L3Network, L2Network>(table, "l2Network", "l2NetworkUuid");
    to_many<L3Network, VmNic>(table, "vmNic", "l3NetworkUuid");
    to_many<L3Network, IpRange>(table, "ipRanges", "l3NetworkUuid");
    to_many<L3Network, UsedIp>(table, "usedIp", "l3NetworkUuid");
    to_one<IpRange, L3Network>(table, "l3Network", "l3NetworkUuid");
    to_many<IpRange, UsedIp>(table, "usedIp", "ipRangeUuid");
    to_one<UsedIp, IpRange>(table, "ipRange", "ipRangeUuid");
    to_one<UsedIp, L3Network>(table, "l3Network", "l3NetworkUuid");
    to_one<UsedIp, VmNic>(table, "vmNic", "vmNicUuid");
}

void add_snapshots(Table& table) {
    to_one<VolumeSnapshot, Volume>(table, "volume", "volumeUuid");
    to_one<VolumeSnapshot, VolumeSnapshotTree>(table, "tree", "treeUuid");
    to_one<VolumeSnapshot, PrimaryStorage>(table, "primaryStorage", "primaryStorageUuid");
    to_one<VolumeSnapshot, VolumeSnapshotGroup>(table, "group", "groupUuid");
    to_one<VolumeSnapshot, VolumeSnapshot>(table, "parent", "parentUuid");
    to_one<VolumeSnapshotTree, Volume>(table, "volume", "volumeUuid");
    to_many<VolumeSnapshotTree, VolumeSnapshot>(table, "snapshot", "treeUuid");
    to_one<VolumeSnapshotGroup, VmInstance>(table, "vmInstance", "vmInstanceUuid");
    to_many<VolumeSnapshotGroup, VolumeSnapshotGroupRef>(table, "volumeSnapshotRefs", "volumeSnapshotGroupUuid");
    to_many<VolumeSnapshotGroup, VolumeSnapshot>(table, "snapshot", "groupUuid");
    to_one<VolumeSnapshotGroupRef, VolumeSnapshotGroup>(table, "group", "volumeSnapshotGroupUuid");
    to_one<VolumeSnapshotGroupRef, VolumeSnapshot>(table, "snapshot", "volumeSnapshotUuid");
    to_many<Volume, VolumeSnapshot>(table, "snapshot", "volumeUuid");
    to_many<PrimaryStorage, VolumeSnapshot>(table, "volumeSnapshot", "primaryStorageUuid");
    to_many<VmInstance, Checkpoint>(table, "checkpoints", "vmInstanceUuid");
    to_one<Checkpoint, VmInstance>(table, "vmInstance", "vmInstanceUuid");
    to_many<Checkpoint, CheckpointVolume>(table, "volumes", "checkpointUuid");
}

}  // namespace

const std::vector<Hop>* find_expansion(const TypeInfo& row, std::string_view name) {
    static const Table table = [] {
        Table made;
        add_machines(made);
        add_places(made);
        add_storages(made);
        add_networks(made);
        add_snapshots(made);
        return made;
    }();
    const auto found = table.find({&row, name});
    return found == table.end() ? nullptr : &found->second;
}

const ListColumn* find_list_column(const TypeInfo& row, std::string_view name) {
    static const std::map<Key, ListColumn> table{
        {{&describe<PrimaryStorage>(), "attachedClusterUuids"},
         {{"uuid", &describe<PrimaryStorageClusterRef>(), "primaryStorageUuid"}, "clusterUuid"}},
        {{&describe<L2Network>(), "attachedClusterUuids"}, {{"uuid", &describe<L2NetworkClusterRef>(), "l2NetworkUuid"}, "clusterUuid"}},
        {{&describe<BackupStorage>(), "attachedZoneUuids"}, {{"uuid", &describe<BackupStorageZoneRef>(), "backupStorageUuid"}, "zoneUuid"}}};
    const auto found = table.find({&row, name});
    return found == table.end() ? nullptr : &found->second;
}

}  // namespace ramet::query
