#include "lifecycle/new_disks.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "base/disk_size.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/image_cache.hpp"
#include "lifecycle/placing.hpp"
#include "lifecycle/volumes.hpp"
#include "placement/placement.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

struct Thick {
    bool root = false, data = false;
};

Result<Thick> thick_of(const api::CreateVmInstance& message) {
    Thick thick;
    TRY_ASSIGN(thick.root, wants_thick(message.root_volume_system_tags, "rootVolumeSystemTags"));
    TRY_ASSIGN(thick.data, wants_thick(message.data_volume_system_tags, "dataVolumeSystemTags"));
    return thick;
}

// --- from an image

constexpr std::string_view kRootMediaType = "RootVolumeTemplate";

// What is wrong with the image and what to do about it; empty when nothing is.
std::string why_unusable(const Image& image) {
    switch (image.status) {
    case ImageStatus::ready: break;
    case ImageStatus::deleted: return "is deleted; recover it (recoverImage)";
    case ImageStatus::error: return "is in Error, for it could not be brought in; add it again";
    case ImageStatus::creating:
    case ImageStatus::downloading: return fmt::format("is {}; wait until it is Ready", name_of(image.status));
    }
    return image.state == Enablement::enabled ? std::string() : "is disabled; enable it (changeImageState)";
}

Result<NewDisk> root_of_image(Transaction& transaction, const api::CreateVmInstance& message, const Image& image, bool thick) {
    if (image.media_type != kRootMediaType) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("imageUuid names an image whose mediaType is {}; choose one that is {}", image.media_type, kRootMediaType));
    }
    if (const std::string why = why_unusable(image); !why.empty())
        return fail(ErrorCode::operation_failed, fmt::format("imageUuid: the image '{}' {}, or name another", image.name, why));
    std::int64_t wanted = message.root_disk_size.value_or(0);
    if (message.root_disk_offering_uuid) {
        TRY_ASSIGN(const DiskOffering offering, usable_offering(transaction, *message.root_disk_offering_uuid, "rootDiskOfferingUuid"));
        wanted = offering.disk_size;
    }
    if (wanted != 0 && wanted < image.size) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("rootDiskSize {} is less than the image's {} bytes; a disk cannot be smaller than its image", wanted, image.size));
    }
    NewDisk root;
    root.type = VolumeType::root;
    root.size = whole_sectors(std::max(wanted, image.size));
    root.mode = thick ? LayerMode::copy : LayerMode::overlay;
    root.thick = thick;
    root.root_image = image.uuid;
    return root;
}

Result<NewDisks> disks_of_image(Transaction& transaction, const api::CreateVmInstance& message, const Thick& thick) {
    NewDisks found;
    if (!message.image_uuid) return fail(ErrorCode::invalid_argument, "imageUuid is missing; name the image the VM boots from");
    TRY_ASSIGN(found.image, store::get<Image>(transaction, message.image_uuid->text()));
    TRY_ASSIGN(NewDisk root, root_of_image(transaction, message, *found.image, thick.root));
    found.disks.push_back(std::move(root));
    NewDisk data;
    data.thick = thick.data;
    for (const std::int64_t size : message.data_disk_sizes) {
        data.size = whole_sectors(size);
        found.disks.push_back(data);
    }
    for (std::size_t i = 0; i < message.data_disk_offering_uuids.size(); ++i) {
        TRY_ASSIGN(const DiskOffering offering,
                   usable_offering(transaction, message.data_disk_offering_uuids[i], fmt::format("dataDiskOfferingUuids[{}]", i)));
        data.size = offering.disk_size;
        data.disk_offering = offering.uuid;
        found.disks.push_back(data);
    }
    return found;
}

// --- from snapshots

// Volumes as they were kept: the top of each is the kept layer.
Result<std::vector<Volume>> kept_volumes(Transaction& transaction, const api::CreateVmInstance& message) {
    if (message.volume_snapshot_group_uuid) {
        TRY_ASSIGN(KeptVm kept, load_snapshot_group(transaction, *message.volume_snapshot_group_uuid));
        return std::move(kept.rows.volumes);
    }
    TRY_ASSIGN(const VolumeSnapshot snapshot, store::get<VolumeSnapshot>(transaction, message.volume_snapshot_uuid->text()));
    TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, snapshot.volume_uuid.text()));
    volume.type = VolumeType::root;  // of a data volume too: whether it boots is the caller's to know
    volume.primary_storage_uuid = snapshot.primary_storage_uuid;
    volume.top_layer_uuid = snapshot.layer_uuid;
    return std::vector<Volume>{std::move(volume)};
}

Result<NewDisks> disks_of_snapshots(Transaction& transaction, const api::CreateVmInstance& message, const Thick& thick) {
    NewDisks found;
    TRY_ASSIGN(const std::vector<Volume> volumes, kept_volumes(transaction, message));
    for (const Volume& volume : volumes) {
        NewDisk disk;
        disk.type = volume.type;
        disk.size = volume.size;
        disk.thick = volume.type == VolumeType::root ? thick.root : thick.data;
        const auto& wanted = volume.type == VolumeType::root && message.primary_storage_uuid_for_root_volume
                                 ? message.primary_storage_uuid_for_root_volume
                                 : message.primary_storage_uuid;
        disk.storage = wanted.value_or(*volume.primary_storage_uuid);
        disk.mode = mode_from_kept(*volume.primary_storage_uuid, disk.storage, disk.thick);
        disk.content = volume.top_layer_uuid;
        disk.root_image = volume.root_image_uuid;
        disk.disk_offering = volume.disk_offering_uuid;
        found.disks.push_back(std::move(disk));
    }
    if (found.disks.empty() || found.disks.front().type != VolumeType::root)
        return fail(ErrorCode::operation_failed, "the group has no snapshot of a root volume; a VM instance needs one");
    if (const std::optional<VmId>& vm = volumes.front().vm_instance_uuid) {
        TRY_ASSIGN(found.source, store::find<VmInstance>(transaction, {{"uuid", vm->text()}}));
    }
    TRY_ASSIGN(const PrimaryStorage storage, store::get<PrimaryStorage>(transaction, found.disks.front().storage.text()));
    found.zone = storage.zone_uuid;
    return found;
}

Result<void> check_data_volume_count(Transaction& transaction, std::int64_t count, bool of_snapshots) {
    if (count < 1) return {};
    TRY_ASSIGN(const std::int64_t most, resources::data_volumes_max(transaction));
    if (count <= most) return {};
    if (of_snapshots)
        return fail(ErrorCode::operation_failed,
                    fmt::format("volumeSnapshotGroupUuid: the group has {} data volumes, and kvm.dataVolume.maxNum allows a VM instance {}; "
                                "make it of its root volume's snapshot",
                                count, most));
    return fail(ErrorCode::invalid_argument,
                fmt::format("dataDiskSizes and dataDiskOfferingUuids ask for {} data volumes, and kvm.dataVolume.maxNum allows a VM instance {}; "
                            "ask for fewer",
                            count, most));
}

std::int64_t bytes_to_write(const NewDisk& disk) { return std::max(bytes_at_once(disk), storage::kOverlayFileBytes); }

}  // namespace

Result<DiskOffering> usable_offering(Transaction& transaction, const DiskOfferingId& uuid, std::string_view field) {
    TRY_ASSIGN(DiskOffering offering, store::get<DiskOffering>(transaction, uuid.text()));
    if (offering.state != Enablement::enabled)
        return fail(ErrorCode::operation_failed, fmt::format("{} names a disk offering that is Disabled; enable it or choose another", field));
    offering.disk_size = whole_sectors(offering.disk_size);  // of one that was made before its own size was
    return offering;
}

Result<NewDisks> disks_of(Transaction& transaction, const api::CreateVmInstance& message) {
    TRY_ASSIGN(const Thick thick, thick_of(message));
    const bool of_snapshots = message.volume_snapshot_uuid || message.volume_snapshot_group_uuid;
    TRY_ASSIGN(NewDisks found, of_snapshots ? disks_of_snapshots(transaction, message, thick) : disks_of_image(transaction, message, thick));
    TRY(check_data_volume_count(transaction, std::ssize(found.disks) - 1, of_snapshots));
    return found;
}

std::int64_t bytes_at_once(const NewDisk& disk) { return disk.mode == LayerMode::copy || disk.thick ? disk.size : 0; }

std::vector<WantedRoom> wanted_room(const NewDisks& disks) {
    std::vector<WantedRoom> wanted;
    wanted.reserve(disks.disks.size());
    for (const NewDisk& disk : disks.disks) wanted.push_back({disk.storage, bytes_at_once(disk), disk.size});
    return wanted;
}

Result<void> place_disks(Parts& parts, const api::CreateVmInstance& message, NewDisks& disks) {
    TRY_ASSIGN(disks.room, survey_room(parts));
    if (std::ranges::any_of(disks.disks, [](const NewDisk& disk) { return bytes_at_once(disk) > 0; })) TRY(heed_promises(parts, disks.room));
    const std::vector<placement::StorageFacts>& storages = disks.room.storages;
    if (disks.image) {
        std::int64_t bytes = disks.image->actual_size;
        for (const NewDisk& disk : disks.disks) bytes += bytes_at_once(disk);
        TRY_ASSIGN(const placement::StorageDecision chosen,
                   placement::choose_primary_storage(storages, bytes, message.primary_storage_uuid_for_root_volume, message.cluster_uuid));
        for (NewDisk& disk : disks.disks) disk.storage = chosen.storage;
        disks.disks.front().content = cache_layer_uuid(disks.image->uuid, chosen.storage);
        return {};
    }
    std::map<std::string, std::int64_t> bytes_on;
    for (const NewDisk& disk : disks.disks) {
        std::int64_t& bytes = bytes_on[disk.storage.text()];
        bytes += bytes_to_write(disk);
        TRY(placement::choose_primary_storage(storages, bytes, disk.storage, message.cluster_uuid));
    }
    return {};
}

LayerMode mode_from_kept(const PrimaryStorageId& kept_on, const PrimaryStorageId& wanted, bool thick) {
    return thick || kept_on != wanted ? LayerMode::copy : LayerMode::overlay;
}

Result<void> require_layer(Transaction& transaction, const std::optional<LayerId>& layer) {
    TRY_ASSIGN(const std::optional<Layer> found, store::find<Layer>(transaction, {{"uuid", layer.value_or(LayerId{}).text()}}));
    if (found && !found->deleting) return {};
    return fail(ErrorCode::operation_failed, "what it was to be made from was deleted meanwhile; make it from something else");
}

}  // namespace ramet::lifecycle
