// Starting and stopping a VM's domain with its host network, and removing VMs with every trace.
#include <algorithm>
#include <filesystem>
#include <mutex>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "base/task_group.hpp"
#include "guest/seed.hpp"
#include "guest/user_data.hpp"
#include "lifecycle/firmware.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/snapshot_rows.hpp"
#include "network/addresses.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

struct Launch {
    VmRows rows;
    std::vector<hypervisor::NetworkSpec> networks;
    hypervisor::DomainSpec domain;
    std::string user_data;
};

Result<std::string> user_data_of(Transaction& transaction, const VmId& vm) {
    TRY_ASSIGN(const std::vector<SystemTag> tags, store::list<SystemTag>(transaction, {{"resourceUuid", vm.text()}}));
    constexpr std::string_view kUserData = "userdata::";
    std::string user_data;
    for (const SystemTag& tag : tags) {
        if (tag.tag.starts_with(kUserData)) user_data = tag.tag.substr(kUserData.size());
    }
    return user_data;
}

void revert(VmRows& rows, const Reverting& reverting) {
    rows.vm.revert_job_uuid = reverting.job;
    for (Volume& volume : rows.volumes)
        if (const auto other = reverting.tops.find(volume.uuid); other != reverting.tops.end()) volume.top_layer_uuid = other->second;
}

Result<Launch> load_launch(Parts& parts, const VmId& vm, const Reverting* reverting = nullptr) {
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<Launch> {
        Launch launch;
        TRY_ASSIGN(launch.rows, load_vm(transaction, vm));
        if (reverting != nullptr) revert(launch.rows, *reverting);
        for (const VmNic& nic : launch.rows.nics) {
            TRY_ASSIGN(hypervisor::NetworkSpec network, network_spec(transaction, nic.l3_network_uuid));
            launch.networks.push_back(std::move(network));
        }
        TRY_ASSIGN(launch.domain, domain_spec(transaction, launch.rows, seed_path(parts.shared.data_dir, vm), parts.shared.plumbing.privileged()));
        TRY(add_firmware(transaction, parts.shared.data_dir, launch.domain));
        TRY_ASSIGN(launch.user_data, user_data_of(transaction, vm));
        return launch;
    });
}

Result<guest::SeedSpec> seed_of(const VmRows& rows, const std::string& user_data) {
    guest::SeedSpec seed;
    seed.instance_id = rows.instance_id();
    seed.keeps_identity = rows.identity && rows.identity->mode == IdentityMode::keep;
    seed.host_name = rows.host_name;
    TRY_ASSIGN(seed.user_data, guest::decode_user_data(user_data));
    for (const VmNic& nic : rows.nics) seed.nics.push_back({nic.mac, "eth" + std::to_string(nic.device_id)});
    return seed;
}

Result<void> write_seed(Parts& parts, const Launch& launch) {
    TRY_ASSIGN(const guest::SeedSpec seed, seed_of(launch.rows, launch.user_data));
    return guest::write_seed(seed_path(parts.shared.data_dir, launch.rows.vm.uuid), seed);
}

Result<void> erase_vm_rows(Transaction& transaction, const VmId& vm) {
    const std::string& uuid = vm.text();
    TRY_ASSIGN(const std::vector<VmNic> nics, store::list<VmNic>(transaction, {{"vmInstanceUuid", uuid}}));
    for (const VmNic& nic : nics) {
        TRY(network::release_ips(transaction, nic.uuid));
        TRY(resources::remove_tags_of(transaction, nic.uuid.text()));
        TRY(identity::disown(transaction, nic.uuid.text()));
    }
    TRY(store::erase<VmNic>(transaction, {{"vmInstanceUuid", uuid}}));
    TRY(dissolve_groups_of(transaction, vm));
    TRY(resources::remove_tags_of(transaction, uuid));
    TRY(identity::disown(transaction, uuid));
    TRY(store::erase<VmIdentity>(transaction, {{"vmInstanceUuid", uuid}}));
    TRY(store::erase<VmInstance>(transaction, {{"uuid", uuid}}));
    return {};
}

Result<void> plug_nics(Parts& parts, const Launch& launch) {
    for (const hypervisor::NetworkSpec& network : launch.networks) TRY(parts.shared.plumbing.ensure_network(network));
    for (const VmNic& nic : launch.rows.nics) {
        TRY(parts.shared.plumbing.plug(port_spec(launch.rows, nic)));
        crash_point("nic-plugged");
    }
    return {};
}

}  // namespace

Result<std::int64_t> bytes_of_start(Transaction& transaction, const VmId& vm) {
    constexpr std::int64_t kSmallFileBytes = 4096;
    TRY_ASSIGN(const VmRows rows, load_vm(transaction, vm));
    TRY_ASSIGN(const std::string user_data, user_data_of(transaction, vm));
    TRY_ASSIGN(const guest::SeedSpec seed, seed_of(rows, user_data));
    TRY_ASSIGN(const std::int64_t bytes, guest::seed_bytes(seed));
    // The process's number and record; each NIC's port and its entry for DHCP.
    return bytes + kSmallFileBytes * (2 + 2 * std::ssize(rows.nics));
}

Result<void> start_domain(Parts& parts, const VmId& vm) {
    TRY(release_memory_image(parts, vm));  // a process that mapped one has ended: this one boots
    TRY_ASSIGN(const Launch launch, load_launch(parts, vm));
    TRY(plug_nics(parts, launch));
    TRY(write_seed(parts, launch));
    crash_point("seed-written");
    return parts.hypervisor.start(launch.domain);
}

Result<void> start_domain_from_memory(Parts& parts, const VmId& vm, const MemoryImage& image, std::size_t together, const Reverting* reverting) {
    TRY_ASSIGN(const Launch launch, load_launch(parts, vm, reverting));
    TRY(write_seed(parts, launch));
    crash_point("seed-written");
    return parts.hypervisor.start_from_memory(launch.domain, place_of(image), image.layout, together);
}

Result<void> plug_domain(Parts& parts, const VmId& vm) {
    TRY_ASSIGN(const Launch launch, load_launch(parts, vm));
    return plug_nics(parts, launch);
}

Result<void> stop_domain(Parts& parts, const VmId& vm, hypervisor::StopMode mode, std::stop_token stop) {
    TRY(parts.hypervisor.stop(vm, mode, std::move(stop)));
    TRY(release_memory_image(parts, vm));
    const Result<VmRows> rows = store::write(parts.database(), [&](Transaction& transaction) -> Result<VmRows> {
        TRY_ASSIGN(VmRows found, load_vm(transaction, vm));
        for (const Volume& volume : found.volumes) TRY(note_guest_writes(transaction, volume));
        return found;
    });
    if (!rows.has_value()) {
        if (rows.error().code == ErrorCode::not_found) return {};
        return std::unexpected(rows.error());
    }
    for (const VmNic& nic : rows->nics) TRY(parts.shared.plumbing.unplug(port_spec(*rows, nic)));
    std::error_code ignored;  // the seed is made again at the next start
    std::filesystem::remove(seed_path(parts.shared.data_dir, vm), ignored);
    return {};
}

Result<void> demolish_vm(Parts& parts, const VmId& vm) {
    TRY(stop_domain(parts, vm, hypervisor::StopMode::cold, {}));
    TRY(parts.hypervisor.forget(vm));
    TRY_ASSIGN(const std::vector<Volume> volumes, store::write(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Volume>> {
                   TRY_ASSIGN(std::optional<VmInstance> row, store::find<VmInstance>(transaction, {{"uuid", vm.text()}}));
                   if (!row) return std::vector<Volume>{};
                   const bool being_made = row->owner_job_uuid.has_value();
                   TRY_ASSIGN(std::vector<Volume> attached, store::list<Volume>(transaction, {{"vmInstanceUuid", vm.text()}}));
                   std::vector<Volume> doomed;
                   for (Volume& volume : attached) {
                       if (volume.type == VolumeType::root || being_made) {
                           doomed.push_back(volume);
                           continue;
                       }
                       volume.last_vm_instance_uuid = vm;
                       volume.vm_instance_uuid.reset();
                       volume.attach_job_uuid.reset();
                       volume.device_id.reset();
                       TRY(store::update(transaction, volume));
                   }
                   row->state = VmState::expunging;
                   TRY(store::update(transaction, *row));
                   return doomed;
               }));
    for (const Volume& volume : volumes) TRY(demolish_volume(parts, volume.uuid));
    TRY(remove_firmware(parts.shared.data_dir, vm.text()));
    crash_point("volumes-demolished");
    TRY(parts.database().write([&](Transaction& transaction) { return erase_vm_rows(transaction, vm); }));
    discard_memory_images(parts);  // of its groups of snapshots
    return {};
}

Result<void> demolish_vms_of_job(Parts& parts, const JobId& job) {
    TRY_ASSIGN(const std::vector<VmInstance> vms, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::list<VmInstance>(transaction, {{"ownerJobUuid", job.text()}});
               }));
    // Side by side: each is a handful of commits that the store makes together.
    std::mutex mutex;
    std::optional<Error> failure;
    for_each_parallel(vms.size(), limits::kBranchThreads, [&](std::size_t index) {
        const Result<void> gone = demolish_vm(parts, vms[index].uuid);
        if (gone.has_value()) return;
        const std::lock_guard lock(mutex);
        failure = gone.error();
    });
    if (failure) return std::move(*failure);
    return {};
}

}  // namespace ramet::lifecycle
