// The calls about volume snapshots, groups and checkpoints, one line each.
#include "clone/clone_vm.hpp"
#include "http/answers.hpp"
#include "http/routes.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/snapshots.hpp"
#include "lifecycle/volume_from_snapshot.hpp"

namespace ramet::http {
namespace {

template <class Request, class Outcome>
auto as_job(lifecycle::Parts& parts, Outcome (*use_case)(lifecycle::Parts&, const lifecycle::Request&, const Request&)) {
    return [&parts, use_case](const Call& call, Request& message) { return answer_of(use_case(parts, request_of(call), message)); };
}

template <class Request>
auto at_once(lifecycle::Parts& parts, Result<std::string> (*use_case)(lifecycle::Parts&, const Request&)) {
    return [&parts, use_case](const Call&, Request& message) { return answer_of(use_case(parts, message)); };
}

}  // namespace

void bind_snapshot_routes(Routes& routes, lifecycle::Parts& parts) {
    routes.bind<api::CreateVolumeSnapshot>(as_job(parts, &lifecycle::create_volume_snapshot));
    routes.bind<api::UpdateVolumeSnapshot>(at_once(parts, &lifecycle::update_volume_snapshot));
    routes.bind<api::DeleteVolumeSnapshot>(as_job(parts, &lifecycle::delete_volume_snapshot));
    routes.bind<api::BatchDeleteVolumeSnapshot>(as_job(parts, &lifecycle::delete_volume_snapshots));
    routes.bind<api::RevertVolumeFromSnapshot>(as_job(parts, &lifecycle::revert_volume));
    routes.bind<api::CreateVolumeSnapshotGroup>(as_job(parts, &lifecycle::create_snapshot_group));
    routes.bind<api::UpdateVolumeSnapshotGroup>(at_once(parts, &lifecycle::update_snapshot_group));
    routes.bind<api::DeleteVolumeSnapshotGroup>(as_job(parts, &lifecycle::delete_snapshot_group));
    routes.bind<api::RevertVmFromSnapshotGroup>(as_job(parts, &lifecycle::revert_vm));
    routes.bind<api::UngroupVolumeSnapshotGroup>(at_once(parts, &lifecycle::ungroup_snapshots));
    routes.bind<api::CheckVolumeSnapshotGroupAvailability>(at_once(parts, &lifecycle::check_group_availability));
    routes.bind<api::CreateCheckpoint>(as_job(parts, &lifecycle::create_checkpoint));
    routes.bind<api::UpdateCheckpoint>(at_once(parts, &lifecycle::update_checkpoint));
    routes.bind<api::DeleteCheckpoint>(as_job(parts, &lifecycle::delete_checkpoint));
    routes.bind<api::CreateDataVolumeFromVolumeSnapshot>(as_job(parts, &lifecycle::create_volume_from_snapshot));
    // The same request as CreateVmInstance's, on other paths.
    for (const api::MessageInfo* message : {&api::create_vm_from_snapshot_message(), &api::create_vm_from_snapshot_group_message()}) {
        routes.add(*message, [create = as_job(parts, &lifecycle::create_vm)](const Call& call, void* request) {
            return create(call, *static_cast<api::CreateVmInstance*>(request));
        });
    }
    // The same request as CloneVmInstance's, on another path.
    routes.add(api::clone_checkpoint_message(), [&parts](const Call& call, void* message) -> Result<Answer> {
        const auto& wanted = *static_cast<const api::CloneVmInstance*>(message);
        return wanted.dry_run ? answer_of(clone::dry_run(parts, request_of(call), wanted))
                              : answer_of(clone::clone_vm(parts, request_of(call), wanted));
    });
}

}  // namespace ramet::http
