#include "lifecycle/reconcile.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "lifecycle/firmware.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

Result<std::set<std::string>> vms_of_unfinished_jobs(Transaction& transaction) {
    std::set<std::string> busy;
    for (const JobState state : {JobState::queued, JobState::running, JobState::undoing}) {
        TRY_ASSIGN(const std::vector<Job> jobs, store::list<Job>(transaction, {{"state", std::string(name_of(state))}}));
        for (const Job& job : jobs) {
            if (job.target_uuid) busy.insert(*job.target_uuid);
            TRY_ASSIGN(const std::vector<VmInstance> vms, store::list<VmInstance>(transaction, {{"ownerJobUuid", job.uuid.text()}}));
            for (const VmInstance& vm : vms) busy.insert(vm.uuid.text());
        }
    }
    return busy;
}

void compare_layers(const Survey& survey, std::vector<Finding>& findings) {
    const Rows& rows = survey.rows;
    std::set<std::string> needed_tops, parents, on_disk;
    for (const Volume& volume : rows.volumes)
        if (volume.status == VolumeStatus::ready && volume.top_layer_uuid) needed_tops.insert(volume.top_layer_uuid->text());
    for (const LayerId& kept : rows.kept_layers) needed_tops.insert(kept.text());
    for (const Layer& layer : rows.layers)
        if (layer.parent_uuid) parents.insert(layer.parent_uuid->text());
    for (const Objects::Folder& folder : survey.objects.storages)
        for (const std::string& path : folder.files) on_disk.insert(folder.root + "/" + path);
    for (const Layer& layer : rows.layers) {
        const auto storage = std::ranges::find(rows.storages, layer.primary_storage_uuid, &PrimaryStorage::uuid);
        if (storage == rows.storages.end()) continue;  // its own finding: a dangling reference
        const bool needed = needed_tops.contains(layer.uuid.text()) || parents.contains(layer.uuid.text());
        if (needed && !on_disk.contains(storage->url + "/" + layer.path)) findings.push_back({"row without file", layer.path});
        if (layer.deleting) findings.push_back({"removal not finished", layer.path});
        const bool unused = !needed && !layer.image_uuid &&
                            std::ranges::none_of(rows.volumes, [&](const Volume& volume) { return volume.top_layer_uuid == layer.uuid; });
        if (unused) findings.push_back({"layer without user", layer.path});
    }
}

void compare_vms(const Survey& survey, std::vector<Finding>& findings) {
    const Rows& rows = survey.rows;
    const std::vector<VmId>& domains = survey.objects.domains;
    std::set<std::string> nics, taps_wanted, taps_known;
    for (const VmInstance& vm : rows.vms) {
        const bool runs = std::ranges::find(domains, vm.uuid) != domains.end();
        if (runs && !is_on(vm.state)) findings.push_back({"process without VM", vm.uuid.text()});
        if (!runs && is_on(vm.state)) findings.push_back({"VM without process", vm.uuid.text()});
        if (vm.owner_job_uuid) findings.push_back({"VM still being made", vm.uuid.text()});
    }
    for (const VmNic& nic : rows.nics) {
        nics.insert(nic.uuid.text());
        taps_known.insert(nic.internal_name);
        const VmInstance* vm = rows.vm(nic.vm_instance_uuid.text());
        if (vm == nullptr)
            findings.push_back({"NIC without VM", nic.uuid.text()});
        else if (is_on(vm->state))
            taps_wanted.insert(nic.internal_name);
    }
    for (const std::string& tap : survey.objects.taps)
        if (taps_known.contains(tap) && !taps_wanted.contains(tap)) findings.push_back({"tap without NIC", tap});
    for (const UsedIp& address : rows.addresses)
        if (!nics.contains(address.vm_nic_uuid.text())) findings.push_back({"address without NIC", address.ip});
    for (const std::string& seed : survey.objects.seeds) {
        const VmInstance* vm = rows.vm(std::filesystem::path(seed).stem().string());
        if (vm != nullptr && !is_on(vm->state)) findings.push_back({"seed without VM", seed});
    }
}

}  // namespace

Result<void> reconcile_at_start(Parts& parts) {
    struct Work {
        std::vector<VmInstance> vms;
        std::set<std::string> busy;
    };
    TRY_ASSIGN(const Work work, store::read(parts.database(), [](Transaction& transaction) -> Result<Work> {
                   Work found;
                   TRY_ASSIGN(found.vms, store::list<VmInstance>(transaction));
                   TRY_ASSIGN(found.busy, vms_of_unfinished_jobs(transaction));
                   return found;
               }));
    for (const VmInstance& vm : work.vms) {
        if (work.busy.contains(vm.uuid.text())) continue;
        TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(vm.uuid));
        if (is_on(vm.state) && state == hypervisor::DomainState::shut_off) {
            telemetry::log_info("VM {} ended while the server was away", vm.uuid.text());
            TRY(note_exit(parts, vm.uuid));
        }
    }
    TRY(remove_doomed_memory_images(parts));
    TRY(keep_processes_ready(parts));
    return remove_doomed_layers(parts);
}

Result<std::vector<Finding>> find_orphaned_state(Parts& parts, const Survey& survey) {
    std::vector<Finding> findings;
    TRY(compare_firmware(parts, survey.objects.domains, survey.objects.tpms, findings));
    TRY(compare_memory_images(parts, findings));
    return findings;
}

Result<std::vector<Finding>> find_orphans(Parts& parts, const Survey& survey) {
    TRY_ASSIGN(std::vector<Finding> findings, find_orphaned_state(parts, survey));
    compare_layers(survey, findings);
    compare_vms(survey, findings);
    for (const Unowned& thing : unowned(survey)) findings.push_back({thing.kind, thing.what});
    for (const Garbage& thing : survey.rows.garbage)
        if (thing.moved_to) findings.push_back({"in quarantine", thing.root + "/" + *thing.moved_to});
    for (const Job& job : survey.rows.unfinished)
        findings.push_back({"unfinished job", job.uuid.text() + " " + job.api_name + " " + std::string(name_of(job.state))});
    return findings;
}

}  // namespace ramet::lifecycle
