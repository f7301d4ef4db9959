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
#include "lifecycle/snapshot_rows.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

bool is_on(VmState state) {
    return state == VmState::running || state == VmState::paused || state == VmState::starting || state == VmState::stopping ||
           state == VmState::rebooting || state == VmState::pausing || state == VmState::resuming || state == VmState::unknown;
}

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

struct Rows {
    std::vector<VmInstance> vms;
    std::vector<VmNic> nics;
    std::vector<UsedIp> addresses;
    std::vector<Volume> volumes;
    std::vector<Layer> layers;
    std::vector<LayerId> kept_layers;  // by snapshots and checkpoints
    std::vector<PrimaryStorage> storages;
    std::vector<Job> unfinished;
};

Result<Rows> load_rows(Transaction& transaction) {
    Rows rows;
    TRY_ASSIGN(rows.vms, store::list<VmInstance>(transaction));
    TRY_ASSIGN(rows.nics, store::list<VmNic>(transaction));
    TRY_ASSIGN(rows.addresses, store::list<UsedIp>(transaction));
    TRY_ASSIGN(rows.volumes, store::list<Volume>(transaction));
    TRY_ASSIGN(rows.layers, store::list<Layer>(transaction));
    TRY_ASSIGN(rows.kept_layers, kept_layers(transaction));
    TRY_ASSIGN(rows.storages, store::list<PrimaryStorage>(transaction));
    for (const JobState state : {JobState::queued, JobState::running, JobState::undoing, JobState::stuck}) {
        TRY_ASSIGN(const std::vector<Job> jobs, store::list<Job>(transaction, {{"state", std::string(name_of(state))}}));
        rows.unfinished.insert(rows.unfinished.end(), jobs.begin(), jobs.end());
    }
    return rows;
}

Result<void> compare_files(Parts& parts, const Rows& rows, std::vector<Finding>& findings) {
    std::set<std::string> needed_tops;
    for (const Volume& volume : rows.volumes) {
        if (volume.status == VolumeStatus::ready && volume.top_layer_uuid) needed_tops.insert(volume.top_layer_uuid->text());
    }
    for (const LayerId& kept : rows.kept_layers) needed_tops.insert(kept.text());
    std::set<std::string> parents;
    for (const Layer& layer : rows.layers) {
        if (layer.parent_uuid) parents.insert(layer.parent_uuid->text());
    }
    for (const PrimaryStorage& storage : rows.storages) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> opened, parts.shared.storages.open(storage.url));
        TRY_ASSIGN(const std::vector<storage::StoredFile> files, opened->list());
        std::set<std::string> on_disk;
        for (const storage::StoredFile& file : files) on_disk.insert(file.path);
        std::set<std::string> owned;
        for (const Layer& layer : rows.layers) {
            if (layer.primary_storage_uuid != storage.uuid) continue;
            owned.insert(layer.path);
            const bool needed = needed_tops.contains(layer.uuid.text()) || parents.contains(layer.uuid.text());
            if (needed && !on_disk.contains(layer.path)) findings.push_back({"row without file", layer.path});
            if (layer.deleting) findings.push_back({"removal not finished", layer.path});
            const bool unused = !needed && !layer.image_uuid &&
                                std::ranges::none_of(rows.volumes, [&](const Volume& volume) { return volume.top_layer_uuid == layer.uuid; });
            if (unused) findings.push_back({"layer without user", layer.path});
        }
        for (const std::string& path : on_disk) {
            if (!owned.contains(path)) findings.push_back({"file without row", path});
        }
    }
    return {};
}

Result<void> compare_processes(Parts& parts, const Rows& rows, std::vector<Finding>& findings) {
    TRY_ASSIGN(const std::vector<VmId> domains, parts.hypervisor.running_domains());
    for (const VmId& domain : domains) {
        const auto row = std::ranges::find(rows.vms, domain, &VmInstance::uuid);
        if (row == rows.vms.end() || !is_on(row->state)) findings.push_back({"process without VM", domain.text()});
    }
    for (const VmInstance& vm : rows.vms) {
        if (is_on(vm.state) && std::ranges::find(domains, vm.uuid) == domains.end()) findings.push_back({"VM without process", vm.uuid.text()});
        if (vm.owner_job_uuid) findings.push_back({"VM still being made", vm.uuid.text()});
    }
    return {};
}

Result<void> compare_network(Parts& parts, const Rows& rows, std::vector<Finding>& findings) {
    std::set<std::string> nics, taps_wanted;
    for (const VmNic& nic : rows.nics) {
        nics.insert(nic.uuid.text());
        const auto vm = std::ranges::find(rows.vms, nic.vm_instance_uuid, &VmInstance::uuid);
        if (vm == rows.vms.end())
            findings.push_back({"NIC without VM", nic.uuid.text()});
        else if (is_on(vm->state))
            taps_wanted.insert(nic.internal_name);
    }
    for (const UsedIp& address : rows.addresses) {
        if (!nics.contains(address.vm_nic_uuid.text())) findings.push_back({"address without NIC", address.ip});
    }
    TRY_ASSIGN(const std::vector<std::string> taps, parts.shared.plumbing.taps());
    for (const std::string& tap : taps) {
        if (!taps_wanted.contains(tap)) findings.push_back({"tap without NIC", tap});
    }
    return {};
}

void compare_seeds(Parts& parts, const Rows& rows, std::vector<Finding>& findings) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(parts.shared.data_dir + "/seeds", error)) {
        const std::string name = entry.path().stem().string();
        const auto vm = std::ranges::find_if(rows.vms, [&](const VmInstance& row) { return row.uuid.text() == name; });
        if (vm == rows.vms.end() || !is_on(vm->state)) findings.push_back({"seed without VM", entry.path().filename().string()});
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
            TRY(vm_exited(parts, vm.uuid));
        }
    }
    TRY(remove_doomed_memory_images(parts));
    return remove_doomed_layers(parts);
}

Result<std::vector<Finding>> find_orphans(Parts& parts) {
    TRY_ASSIGN(const Rows rows, store::read(parts.database(), [](Transaction& transaction) { return load_rows(transaction); }));
    std::vector<Finding> findings;
    TRY(compare_files(parts, rows, findings));
    TRY(compare_processes(parts, rows, findings));
    TRY(compare_network(parts, rows, findings));
    compare_seeds(parts, rows, findings);
    TRY(compare_firmware(parts, rows.vms, findings));
    TRY(compare_memory_images(parts, findings));
    for (const Job& job : rows.unfinished)
        findings.push_back({"unfinished job", job.uuid.text() + " " + job.api_name + " " + std::string(name_of(job.state))});
    return findings;
}

}  // namespace ramet::lifecycle
