#include "api/json.hpp"
#include "clone/clone_vm.hpp"
#include "http/routes.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/destroy.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/garbage.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/invariants.hpp"
#include "lifecycle/lease.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/reconcile.hpp"
#include "lifecycle/settings.hpp"
#include "lifecycle/volumes.hpp"

namespace ramet::http {
namespace {

lifecycle::Request request_of(const Call& call) { return {call.caller, call.job, call.web_hook, call.key}; }

Result<Answer> started(Result<JobId> job) {
    if (!job.has_value()) return std::unexpected(std::move(job.error()));
    return Answer{Started{std::move(*job)}};
}

// No job: there was nothing to delete, which is success.
Result<Answer> started_or_done(Result<std::optional<JobId>> job) {
    if (!job.has_value()) return std::unexpected(std::move(job.error()));
    if (!job->has_value()) return Answer{Body{}};
    return Answer{Started{std::move(**job)}};
}

Result<Answer> body(Result<std::string> json) {
    if (!json.has_value()) return std::unexpected(std::move(json.error()));
    return Answer{Body{std::move(*json)}};
}

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
        return message.dry_run ? body(clone::dry_run(parts, request_of(call), message)) : started(clone::clone_vm(parts, request_of(call), message));
    });
    routes.bind<api::CreateVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::create_vm(parts, request_of(call), message)); });
    routes.bind<api::StartVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::start_vm(parts, request_of(call), message)); });
    routes.bind<api::StopVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::stop_vm(parts, request_of(call), message)); });
    routes.bind<api::RebootVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::reboot_vm(parts, request_of(call), message)); });
    routes.bind<api::PauseVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::pause_vm(parts, request_of(call), message)); });
    routes.bind<api::ResumeVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::resume_vm(parts, request_of(call), message)); });
    routes.bind<api::DestroyVmInstance>(
        [&parts](const Call& call, auto& message) { return started_or_done(lifecycle::destroy_vm(parts, request_of(call), message)); });
    routes.bind<api::RecoverVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::recover_vm(parts, request_of(call), message)); });
    routes.bind<api::ExpungeVmInstance>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::expunge_vm(parts, request_of(call), message)); });
    routes.bind<api::UpdateVmInstance>([&parts](const Call&, auto& message) { return body(lifecycle::update_vm(parts, message)); });
    routes.bind<api::SetVmHostname>(
        [&parts](const Call& call, auto& message) { return body(lifecycle::set_host_name(parts, call.caller, message)); });
    routes.bind<api::GetVmHostname>([&parts](const Call&, auto& message) { return body(lifecycle::get_host_name(parts, message)); });
    routes.bind<api::DeleteVmHostname>([&parts](const Call&, auto& message) { return body(lifecycle::delete_host_name(parts, message)); });
    routes.bind<api::GetVmConsoleAddress>([&parts](const Call&, auto& message) { return body(lifecycle::console_address(parts, message)); });
    routes.bind<api::ChangeVmNicState>([&parts](const Call&, auto& message) { return body(lifecycle::change_nic_state(parts, message)); });
    routes.bind<api::GetVmInstanceIdentity>([&parts](const Call&, auto& message) { return body(lifecycle::get_identity(parts, message)); });
    routes.bind<api::SetVmBootMode>(
        [&parts](const Call& call, auto& message) { return body(lifecycle::set_vm_boot_mode(parts, call.caller, message)); });
    routes.bind<api::DeleteVmBootMode>([&parts](const Call&, auto& message) { return body(lifecycle::delete_vm_boot_mode(parts, message)); });
    routes.bind<api::SetImageBootMode>(
        [&parts](const Call& call, auto& message) { return body(lifecycle::set_image_boot_mode(parts, call.caller, message)); });
    routes.bind<api::ExtendVmInstanceLease>([&parts](const Call&, auto& message) { return body(lifecycle::extend_lease(parts, message)); });
    routes.bind<api::SetVmInstanceLease>([&parts](const Call&, auto& message) { return body(lifecycle::set_lease(parts, message)); });
    routes.bind<api::CheckInvariants>([&parts](const Call&, auto&) { return body(examine(parts)); });
    routes.bind<api::CleanGarbage>([&parts](const Call& call, auto&) { return started(lifecycle::clean_garbage(parts, request_of(call))); });
    routes.bind<api::CreateDataVolume>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::create_data_volume(parts, request_of(call), message)); });
    routes.bind<api::AttachDataVolumeToVm>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::attach_data_volume(parts, request_of(call), message)); });
    routes.bind<api::DetachDataVolumeFromVm>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::detach_data_volume(parts, request_of(call), message)); });
    routes.bind<api::DeleteDataVolume>(
        [&parts](const Call& call, auto& message) { return started_or_done(lifecycle::delete_data_volume(parts, request_of(call), message)); });
    routes.bind<api::ExpungeDataVolume>(
        [&parts](const Call& call, auto& message) { return started(lifecycle::expunge_data_volume(parts, request_of(call), message)); });
    routes.bind<api::RecoverDataVolume>([&parts](const Call&, auto& message) { return body(lifecycle::recover_data_volume(parts, message)); });
    routes.bind<api::UpdateVolume>([&parts](const Call&, auto& message) { return body(lifecycle::update_volume(parts, message)); });
    routes.bind<api::ChangeVolumeState>([&parts](const Call&, auto& message) { return body(lifecycle::change_volume_state(parts, message)); });
}

}  // namespace ramet::http
