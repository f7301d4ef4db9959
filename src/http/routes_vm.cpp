#include "api/json.hpp"
#include "clone/clone_vm.hpp"
#include "http/answers.hpp"
#include "http/routes.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/destroy.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/garbage.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/invariants.hpp"
#include "lifecycle/lease.hpp"
#include "lifecycle/memory_check.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/reconcile.hpp"
#include "lifecycle/settings.hpp"
#include "lifecycle/volumes.hpp"

namespace ramet::http {
namespace {

Result<std::string> examine(lifecycle::Parts& parts) {
    TRY_ASSIGN(const lifecycle::Survey survey, lifecycle::survey(parts));
    TRY_ASSIGN(const std::vector<lifecycle::Invariant> invariants, lifecycle::check_invariants(parts, survey));
    api::CheckInvariantsReply reply;
    TRY_ASSIGN(const std::vector<lifecycle::Finding> orphans, lifecycle::find_orphans(parts, survey));
    for (const lifecycle::Finding& finding : orphans) reply.findings.push_back({finding.kind, finding.what});
    for (const lifecycle::Invariant& invariant : invariants) {
        api::InvariantState state{std::string(invariant.number), std::string(invariant.claim), std::string(name_of(invariant.verdict)), {}, {}};
        if (!invariant.reason.empty()) state.reason = invariant.reason;
        state.findings = invariant.findings;
        reply.invariants.push_back(std::move(state));
    }
    std::string json = api::to_json(reply);
    json.pop_back();
    return json + ",\"success\":true}";
}

}  // namespace

void bind_vm_routes(Routes& routes, lifecycle::Parts& parts) {
    routes.bind<api::CloneVmInstance>([&parts](const Call& call, auto& message) {
        return message.dry_run ? answer_of(clone::dry_run(parts, request_of(call), message))
                               : answer_of(clone::clone_vm(parts, request_of(call), message));
    });
    routes.bind<api::CreateVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::create_vm(parts, request_of(call), message)); });
    routes.bind<api::StartVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::start_vm(parts, request_of(call), message)); });
    routes.bind<api::StopVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::stop_vm(parts, request_of(call), message)); });
    routes.bind<api::RebootVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::reboot_vm(parts, request_of(call), message)); });
    routes.bind<api::PauseVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::pause_vm(parts, request_of(call), message)); });
    routes.bind<api::ResumeVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::resume_vm(parts, request_of(call), message)); });
    routes.bind<api::DestroyVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::destroy_vm(parts, request_of(call), message)); });
    routes.bind<api::RecoverVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::recover_vm(parts, request_of(call), message)); });
    routes.bind<api::ExpungeVmInstance>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::expunge_vm(parts, request_of(call), message)); });
    routes.bind<api::UpdateVmInstance>([&parts](const Call&, auto& message) { return answer_of(lifecycle::update_vm(parts, message)); });
    routes.bind<api::SetVmHostname>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::set_host_name(parts, call.caller, message)); });
    routes.bind<api::GetVmHostname>([&parts](const Call&, auto& message) { return answer_of(lifecycle::get_host_name(parts, message)); });
    routes.bind<api::DeleteVmHostname>([&parts](const Call&, auto& message) { return answer_of(lifecycle::delete_host_name(parts, message)); });
    routes.bind<api::GetVmConsoleAddress>([&parts](const Call&, auto& message) { return answer_of(lifecycle::console_address(parts, message)); });
    routes.bind<api::ChangeVmNicState>([&parts](const Call&, auto& message) { return answer_of(lifecycle::change_nic_state(parts, message)); });
    routes.bind<api::GetVmInstanceIdentity>([&parts](const Call&, auto& message) { return answer_of(lifecycle::get_identity(parts, message)); });
    routes.bind<api::SetVmBootMode>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::set_vm_boot_mode(parts, call.caller, message)); });
    routes.bind<api::DeleteVmBootMode>([&parts](const Call&, auto& message) { return answer_of(lifecycle::delete_vm_boot_mode(parts, message)); });
    routes.bind<api::SetImageBootMode>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::set_image_boot_mode(parts, call.caller, message)); });
    routes.bind<api::ExtendVmInstanceLease>([&parts](const Call&, auto& message) { return answer_of(lifecycle::extend_lease(parts, message)); });
    routes.bind<api::SetVmInstanceLease>([&parts](const Call&, auto& message) { return answer_of(lifecycle::set_lease(parts, message)); });
    routes.bind<api::CheckInvariants>([&parts](const Call&, auto&) { return answer_of(examine(parts)); });
    routes.bind<api::CleanGarbage>([&parts](const Call& call, auto&) { return answer_of(lifecycle::clean_garbage(parts, request_of(call))); });
    routes.bind<api::VerifyMemoryImages>(
        [&parts](const Call& call, auto&) { return answer_of(lifecycle::verify_memory_images(parts, request_of(call))); });
    routes.bind<api::CreateDataVolume>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::create_data_volume(parts, request_of(call), message)); });
    routes.bind<api::AttachDataVolumeToVm>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::attach_data_volume(parts, request_of(call), message)); });
    routes.bind<api::DetachDataVolumeFromVm>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::detach_data_volume(parts, request_of(call), message)); });
    routes.bind<api::DeleteDataVolume>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::delete_data_volume(parts, request_of(call), message)); });
    routes.bind<api::ExpungeDataVolume>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::expunge_data_volume(parts, request_of(call), message)); });
    routes.bind<api::RecoverDataVolume>([&parts](const Call&, auto& message) { return answer_of(lifecycle::recover_data_volume(parts, message)); });
    routes.bind<api::UpdateVolume>([&parts](const Call&, auto& message) { return answer_of(lifecycle::update_volume(parts, message)); });
    routes.bind<api::ChangeVolumeState>([&parts](const Call&, auto& message) { return answer_of(lifecycle::change_volume_state(parts, message)); });
}

}  // namespace ramet::http
