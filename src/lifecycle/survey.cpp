#include "lifecycle/survey.hpp"

#include <algorithm>
#include <filesystem>

#include "lifecycle/snapshot_rows.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;
namespace fs = std::filesystem;

namespace {

template <class Row>
Result<void> read_all(Transaction& transaction, std::vector<Row>& rows) {
    TRY_ASSIGN(rows, store::list<Row>(transaction));
    return {};
}

Result<Rows> load_rows(Transaction& transaction) {
    Rows rows;
    TRY(read_all(transaction, rows.vms));
    TRY(read_all(transaction, rows.nics));
    TRY(read_all(transaction, rows.addresses));
    TRY(read_all(transaction, rows.volumes));
    TRY(read_all(transaction, rows.layers));
    TRY_ASSIGN(rows.kept_layers, kept_layers(transaction));
    TRY(read_all(transaction, rows.storages));
    TRY(read_all(transaction, rows.image_stores));
    TRY(read_all(transaction, rows.image_files));
    TRY(read_all(transaction, rows.networks));
    TRY(read_all(transaction, rows.hosts));
    TRY(read_all(transaction, rows.checkpoints));
    TRY(read_all(transaction, rows.memory_images));
    TRY(read_all(transaction, rows.garbage));
    for (const JobState state : {JobState::queued, JobState::running, JobState::undoing, JobState::stuck}) {
        TRY_ASSIGN(const std::vector<Job> jobs, store::list<Job>(transaction, {{"state", std::string(name_of(state))}}));
        rows.unfinished.insert(rows.unfinished.end(), jobs.begin(), jobs.end());
    }
    return rows;
}

bool in_quarantine(std::string_view path) { return path.starts_with(kQuarantine) && path.substr(kQuarantine.size()).starts_with("/"); }

// Ordinary files below `root`; links are not followed. What cannot be read is left out: it is then not judged either.
Objects::Folder files_below(const std::string& root) {
    Objects::Folder folder{root, {}};
    std::error_code error;
    for (fs::recursive_directory_iterator entry(root, fs::directory_options::skip_permission_denied, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->symlink_status(error).type() != fs::file_type::regular) continue;
        std::string path = entry->path().string().substr(root.size() + 1);
        if (!in_quarantine(path)) folder.files.push_back(std::move(path));
    }
    return folder;
}

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
        names.push_back(entry->path().filename().string());
    std::erase(names, kQuarantine);
    return names;
}

Result<Objects> look_around(Parts& parts) {
    Objects objects;
    struct Places {
        std::vector<PrimaryStorage> storages;
        std::vector<BackupStorage> image_stores;
    };
    TRY_ASSIGN(const Places places, store::read(parts.database(), [](Transaction& transaction) -> Result<Places> {
                   Places found;
                   TRY(read_all(transaction, found.storages));
                   TRY(read_all(transaction, found.image_stores));
                   return found;
               }));
    for (const PrimaryStorage& storage : places.storages) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> opened, parts.shared.storages.open(storage.url));
        TRY_ASSIGN(const std::vector<storage::StoredFile> files, opened->list());
        Objects::Folder folder{storage.url, {}};
        for (const storage::StoredFile& file : files)
            if (!in_quarantine(file.path)) folder.files.push_back(file.path);
        objects.storages.push_back(std::move(folder));
    }
    for (const BackupStorage& store : places.image_stores) objects.image_stores.push_back(files_below(store.url));
    TRY_ASSIGN(objects.domains, parts.hypervisor.running_domains());
    TRY_ASSIGN(objects.taps, parts.shared.plumbing.taps());
    TRY_ASSIGN(const std::vector<std::string> ports, parts.shared.plumbing.ports());
    for (const std::string& port : ports)
        if (std::ranges::find(objects.taps, port) == objects.taps.end()) objects.taps.push_back(port);
    TRY_ASSIGN(objects.networks, parts.shared.plumbing.networks());
    objects.seeds = names_in(parts.shared.data_dir + "/seeds");
    objects.firmware = names_in(parts.shared.data_dir + "/firmware");
    objects.memory_images = names_in(parts.shared.data_dir + "/memory");
    TRY_ASSIGN(objects.tpms, parts.hypervisor.running_tpms());
    for (const std::string& name : names_in(parts.shared.data_dir + "/run")) {
        const Result<VmId> vm = VmId::parse(name);
        if (vm.has_value()) objects.run_directories.push_back(*vm);
    }
    return objects;
}

}  // namespace

const VmInstance* Rows::vm(std::string_view uuid) const {
    const auto found = std::ranges::find_if(vms, [&](const VmInstance& row) { return row.uuid.text() == uuid; });
    return found == vms.end() ? nullptr : &*found;
}

bool is_on(VmState state) {
    return state == VmState::running || state == VmState::paused || state == VmState::starting || state == VmState::stopping ||
           state == VmState::rebooting || state == VmState::pausing || state == VmState::resuming || state == VmState::unknown;
}

Result<Survey> survey(Parts& parts) {
    Survey all;
    TRY_ASSIGN(all.objects, look_around(parts));
    TRY_ASSIGN(all.rows, store::read(parts.database(), [](Transaction& transaction) { return load_rows(transaction); }));
    return all;
}

std::vector<Unowned> unowned(const Survey& survey) {
    const Rows& rows = survey.rows;
    std::vector<Unowned> all;
    const auto without = [&](std::string_view kind, const std::string& root, const std::string& what) {
        all.push_back({std::string(kind), root, what});
    };
    std::set<std::string> owned, vms, domains, taps, networks;
    for (const VmInstance& vm : rows.vms) vms.insert(vm.uuid.text());
    for (const VmId& domain : survey.objects.domains) domains.insert(domain.text());
    for (const VmNic& nic : rows.nics) taps.insert(nic.internal_name);
    for (const L3Network& network : rows.networks) networks.insert(network.uuid.text());
    for (const Layer& layer : rows.layers) {
        const auto storage = std::ranges::find(rows.storages, layer.primary_storage_uuid, &PrimaryStorage::uuid);
        if (storage != rows.storages.end()) owned.insert(storage->url + "/" + layer.path);
    }
    for (const ImageBackupStorageRef& file : rows.image_files) {
        owned.insert(file.install_path);
        owned.insert(file.install_path + ".partial");
    }
    for (const Objects::Folder& folder : survey.objects.storages)
        for (const std::string& path : folder.files)
            if (!owned.contains(folder.root + "/" + path)) without(kFileWithoutRow, folder.root, path);
    for (const Objects::Folder& folder : survey.objects.image_stores)
        for (const std::string& path : folder.files)
            if (!owned.contains(folder.root + "/" + path)) without(kImageFileWithoutRow, folder.root, path);
    for (const VmId& domain : survey.objects.domains)
        if (!vms.contains(domain.text())) without(kProcessWithoutVm, {}, domain.text());
    for (const VmId& vm : survey.objects.run_directories)
        if (!domains.contains(vm.text()) && !vms.contains(vm.text())) without(kRunDirectoryWithoutVm, {}, vm.text());
    for (const std::string& tap : survey.objects.taps)
        if (!taps.contains(tap)) without(kTapWithoutNic, {}, tap);
    for (const L3NetworkId& network : survey.objects.networks)
        if (!networks.contains(network.text())) without(kNetworkWithoutRow, {}, network.text());
    for (const std::string& seed : survey.objects.seeds)
        if (!vms.contains(fs::path(seed).stem().string())) without(kSeedWithoutVm, {}, seed);
    std::set<std::string> with_firmware = vms;
    for (const Checkpoint& checkpoint : rows.checkpoints) with_firmware.insert(checkpoint.uuid.text());
    for (const Job& job : rows.unfinished) with_firmware.insert(job.uuid.text());
    for (const std::string& owner : survey.objects.firmware)
        if (!with_firmware.contains(owner)) without(kFirmwareWithoutVm, {}, owner);
    std::set<std::string> images;
    for (const MemoryImage& image : rows.memory_images) images.insert(image.uuid.text());
    for (const std::string& name : survey.objects.memory_images)
        if (!images.contains(name)) without(kMemoryWithoutRow, {}, name);
    for (const VmId& tpm : survey.objects.tpms) {
        const VmInstance* const vm = rows.vm(tpm.text());
        if (!domains.contains(tpm.text()) && (vm == nullptr || !is_on(vm->state))) without(kTpmWithoutVm, {}, tpm.text());  // a start makes it first
    }
    return all;
}

}  // namespace ramet::lifecycle
