#include "model/vo_types.hpp"

#include "model/account.hpp"
#include "model/event.hpp"
#include "model/resources.hpp"
#include "model/snapshots.hpp"
#include "model/vm.hpp"

namespace ramet {

const std::vector<const TypeInfo*>& all_row_types() {
    static const std::vector<const TypeInfo*> types{&describe<Account>(),
                                                    &describe<Session>(),
                                                    &describe<AccountResourceRef>(),
                                                    &describe<Job>(),
                                                    &describe<JobStep>(),
                                                    &describe<IdempotencyKey>(),
                                                    &describe<PendingWebHook>(),
                                                    &describe<Zone>(),
                                                    &describe<Cluster>(),
                                                    &describe<Host>(),
                                                    &describe<PrimaryStorage>(),
                                                    &describe<BackupStorage>(),
                                                    &describe<PrimaryStorageClusterRef>(),
                                                    &describe<BackupStorageZoneRef>(),
                                                    &describe<Image>(),
                                                    &describe<InstanceOffering>(),
                                                    &describe<ImageBackupStorageRef>(),
                                                    &describe<DiskOffering>(),
                                                    &describe<L2Network>(),
                                                    &describe<IpRange>(),
                                                    &describe<L2NetworkClusterRef>(),
                                                    &describe<L3Network>(),
                                                    &describe<UsedIp>(),
                                                    &describe<SystemTag>(),
                                                    &describe<UserTag>(),
                                                    &describe<GlobalConfig>(),
                                                    &describe<Event>(),
                                                    &describe<Garbage>(),
                                                    &describe<VmNic>(),
                                                    &describe<VmCdRom>(),
                                                    &describe<Volume>(),
                                                    &describe<Layer>(),
                                                    &describe<VmInstance>(),
                                                    &describe<VolumeSnapshot>(),
                                                    &describe<VolumeSnapshotTree>(),
                                                    &describe<VolumeSnapshotGroup>(),
                                                    &describe<VolumeSnapshotGroupRef>(),
                                                    &describe<Checkpoint>(),
                                                    &describe<CheckpointVolume>()};
    return types;
}

const TypeInfo* type_of_vo(std::string_view vo_type) {
    for (const TypeInfo* type : all_row_types()) {
        if (type->vo_type == vo_type) return type;
    }
    return nullptr;
}

}  // namespace ramet
