#include "lifecycle/memory_images.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/crash_point.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/survey.hpp"
#include "model/snapshots.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

// Marks it as being removed when nothing needs it any more; true when it is marked.
Result<bool> doom(Transaction& transaction, MemoryImage& image) {
    TRY_ASSIGN(const std::int64_t users, store::count<MemoryImageUser>(transaction, {{"memoryImageUuid", image.uuid.text()}}));
    TRY_ASSIGN(const std::int64_t checkpoints, store::count<Checkpoint>(transaction, {{"memoryImageUuid", image.uuid.text()}}));
    TRY_ASSIGN(const std::int64_t groups, store::count<VolumeSnapshotGroup>(transaction, {{"memoryImageUuid", image.uuid.text()}}));
    if (users > 0 || checkpoints > 0 || groups > 0 || image.owner_job_uuid) return false;
    image.deleting = true;
    TRY(store::update(transaction, image));
    return true;
}

}  // namespace

Result<void> remove_memory_image(Parts& parts, const MemoryImage& image) {
    crash_point("memory-doomed");
    TRY(parts.hypervisor.remove_memory(place_of(image)));
    crash_point("memory-removed");
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(store::erase<MemoryImage>(transaction, {{"uuid", image.uuid.text()}}));
        return {};
    });
}

MemoryImageId memory_image_uuid(const JobId& job) { return MemoryImageId::derived(job.text(), "memory"); }

Result<MemoryImage> reserve_memory_image(Parts& parts, const JobId& job, const VmId& source) {
    std::error_code error;
    std::filesystem::create_directories(parts.memory_dir, error);
    if (error) return fail(ErrorCode::operation_failed, "the directory for memory images cannot be made", parts.memory_dir + ": " + error.message());
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<MemoryImage> {
        const MemoryImageId uuid = memory_image_uuid(job);
        TRY_ASSIGN(std::optional<MemoryImage> present, store::find<MemoryImage>(transaction, {{"uuid", uuid.text()}}));
        if (present) return std::move(*present);
        MemoryImage image;
        image.uuid = uuid;
        image.source_vm_uuid = source;
        image.directory = parts.memory_dir + "/" + uuid.text();
        image.owner_job_uuid = job;
        image.create_date = parts.now();
        TRY(store::insert(transaction, image));
        return image;
    });
}

Result<void> keep_memory_image(Parts& parts, MemoryImage image, const hypervisor::MemoryFacts& facts) {
    image.state = MemoryImageState::ready;
    image.memory_size = facts.memory_bytes;
    image.allocated_size = facts.allocated_bytes;
    image.state_size = facts.state_bytes;
    image.checksum = facts.checksum;
    image.layout = facts.layout;
    image.hypervisor_version = parts.hypervisor.capabilities().version;
    return parts.database().write([&](Transaction& transaction) { return store::update(transaction, image); });
}

Result<void> disown_memory_image(Parts& parts, const JobId& job) {
    TRY_ASSIGN(const std::optional<MemoryImage> doomed,
               store::write(parts.database(), [&](Transaction& transaction) -> Result<std::optional<MemoryImage>> {
                   TRY_ASSIGN(std::optional<MemoryImage> image, store::find<MemoryImage>(transaction, {{"uuid", memory_image_uuid(job).text()}}));
                   if (!image) return image;
                   image->owner_job_uuid.reset();
                   TRY(store::update(transaction, *image));
                   return forsake_memory_image(transaction, image->uuid);
               }));
    return doomed ? remove_memory_image(parts, *doomed) : Result<void>();
}

hypervisor::MemoryPlace place_of(const MemoryImage& image) { return {image.directory, false, image.checksum}; }

Result<void> require_usable(const MemoryImage& image) {
    if (image.state == MemoryImageState::damaged) {
        return fail(
            ErrorCode::operation_failed,
            "memory: what was kept is damaged, as `ramet doctor --memory` has found; leave memory out, or delete what keeps it and make it anew");
    }
    if (image.state == MemoryImageState::ready && !image.deleting) return {};
    return fail(ErrorCode::operation_failed, "the memory image to start from is not there any more; capture again");
}

namespace {

Result<MemoryImage> usable_memory_image(Transaction& transaction, const MemoryImageId& id) {
    TRY_ASSIGN(std::optional<MemoryImage> image, store::find<MemoryImage>(transaction, {{"uuid", id.text()}}));
    if (!image) return fail(ErrorCode::operation_failed, "the memory image to start from is not there any more; capture again");
    TRY(require_usable(*image));
    return std::move(*image);
}

}  // namespace

Result<void> reserve_memory_user(Transaction& transaction, const VmId& vm, const MemoryImageId& id) {
    TRY(usable_memory_image(transaction, id));
    TRY_ASSIGN(const std::optional<MemoryImageUser> user, store::find<MemoryImageUser>(transaction, {{"vmUuid", vm.text()}}));
    return user ? Result<void>() : store::insert(transaction, MemoryImageUser{vm, id});
}

Result<std::optional<MemoryImage>> forsake_memory_image(Transaction& transaction, const MemoryImageId& id) {
    TRY_ASSIGN(std::optional<MemoryImage> image, store::find<MemoryImage>(transaction, {{"uuid", id.text()}}));
    if (!image) return image;
    TRY_ASSIGN(const bool unused, doom(transaction, *image));
    return unused ? image : std::nullopt;
}

Result<MemoryImage> use_memory_image(Parts& parts, const VmId& vm, const MemoryImageId& id) {
    // A clone of a checkpoint has reserved its part already: a read costs no commit.
    TRY_ASSIGN(std::optional<MemoryImage> reserved,
               store::read(parts.database(), [&](Transaction& transaction) -> Result<std::optional<MemoryImage>> {
                   TRY_ASSIGN(const std::int64_t users, store::count<MemoryImageUser>(transaction, {{"vmUuid", vm.text()}}));
                   if (users == 0) return std::nullopt;
                   return usable_memory_image(transaction, id);
               }));
    if (reserved) return std::move(*reserved);
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<MemoryImage> {
        TRY(reserve_memory_user(transaction, vm, id));
        return usable_memory_image(transaction, id);
    });
}

Result<void> release_memory_image(Parts& parts, const VmId& vm) {
    // Most VMs map none: a read costs no turn of the one writer.
    TRY_ASSIGN(const std::optional<MemoryImageUser> mapped, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::find<MemoryImageUser>(transaction, {{"vmUuid", vm.text()}});
               }));
    if (!mapped) return {};
    TRY_ASSIGN(const std::optional<MemoryImage> doomed,
               store::write(parts.database(), [&](Transaction& transaction) -> Result<std::optional<MemoryImage>> {
                   TRY(store::erase<MemoryImageUser>(transaction, {{"vmUuid", vm.text()}}));
                   return forsake_memory_image(transaction, mapped->memory_image_uuid);
               }));
    return doomed ? remove_memory_image(parts, *doomed) : Result<void>();
}

namespace {

Result<std::vector<hypervisor::DiskSpec>> kept_disks(Transaction& transaction, const CheckpointId& checkpoint) {
    std::vector<hypervisor::DiskSpec> disks;
    TRY_ASSIGN(const std::vector<CheckpointVolume> volumes, store::list<CheckpointVolume>(transaction, {{"checkpointUuid", checkpoint.text()}}));
    for (const CheckpointVolume& volume : volumes) {
        hypervisor::DiskSpec& disk = disks.emplace_back(hypervisor::DiskSpec{volume.volume_uuid, volume.device_id, {}});
        TRY_ASSIGN(disk.chain_top_first, chain_of(transaction, volume.layer_uuid));
    }
    return disks;
}

}  // namespace

Result<void> keep_processes_ready(Parts& parts) {
    if (parts.ready_processes == 0) return {};
    TRY_ASSIGN(const std::vector<hypervisor::KeptMemory> kept,
               store::read(parts.database(), [](Transaction& transaction) -> Result<std::vector<hypervisor::KeptMemory>> {
                   TRY_ASSIGN(const std::vector<Checkpoint> checkpoints, store::list<Checkpoint>(transaction));
                   std::vector<hypervisor::KeptMemory> found;
                   for (const Checkpoint& checkpoint : checkpoints) {
                       if (!checkpoint.memory_image_uuid) continue;
                       TRY_ASSIGN(const std::optional<MemoryImage> image,
                                  store::find<MemoryImage>(transaction, {{"uuid", checkpoint.memory_image_uuid->text()}}));
                       if (!image) {  // the server starts all the same
                           telemetry::log_error("checkpoint '{}': its memory is not there; delete it and make it anew", checkpoint.name);
                           continue;
                       }
                       if (image->state != MemoryImageState::ready) continue;
                       hypervisor::KeptMemory& memory = found.emplace_back(hypervisor::KeptMemory{place_of(*image), image->layout, {}});
                       TRY_ASSIGN(memory.disks, kept_disks(transaction, checkpoint.uuid));
                   }
                   return found;
               }));
    for (const hypervisor::KeptMemory& memory : kept) parts.hypervisor.keep_ready(memory, parts.ready_processes);
    return {};
}

Result<void> remove_doomed_memory_images(Parts& parts) {
    TRY_ASSIGN(const std::vector<MemoryImage> doomed, store::read(parts.database(), [](Transaction& transaction) {
                   return store::list<MemoryImage>(transaction, {{"deleting", std::int64_t{1}}});
               }));
    for (const MemoryImage& image : doomed) TRY(remove_memory_image(parts, image));
    return {};
}

void discard_memory_images(Parts& parts) {
    const Result<void> removed = remove_doomed_memory_images(parts);
    if (!removed.has_value()) telemetry::log_warning("a memory image will be removed later: {}: {}", removed.error().message, removed.error().detail);
}

namespace {

// Images stay where they were made when the server is started with another --memory-dir. The data directory's own are in the survey.
std::set<std::string> names_elsewhere(const Parts& parts, const std::vector<MemoryImage>& images) {
    std::set<std::string> directories{parts.memory_dir}, found;
    for (const MemoryImage& image : images) directories.insert(std::filesystem::path(image.directory).parent_path());
    directories.erase(parts.shared.data_dir + "/memory");
    std::error_code error;
    for (const std::string& directory : directories) {
        for (const auto& entry : std::filesystem::directory_iterator(directory, error))
            if (MemoryImageId::parse(entry.path().filename().string()).has_value()) found.insert(entry.path().filename());
    }
    return found;
}

struct ImagesAndUsers {
    std::vector<MemoryImage> images;
    std::vector<MemoryImageUser> users;
    std::set<std::string> being_made;  // VMs that have their part reserved and no process yet
    std::vector<Checkpoint> checkpoints;
    std::vector<VolumeSnapshotGroup> groups;
};

Result<ImagesAndUsers> load_images(Transaction& transaction) {
    ImagesAndUsers found;
    TRY_ASSIGN(found.images, store::list<MemoryImage>(transaction));
    TRY_ASSIGN(found.users, store::list<MemoryImageUser>(transaction));
    TRY_ASSIGN(found.checkpoints, store::list<Checkpoint>(transaction));
    TRY_ASSIGN(found.groups, store::list<VolumeSnapshotGroup>(transaction));
    for (const MemoryImageUser& user : found.users) {
        TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", user.vm_uuid.text()}}));
        if (vm && vm->owner_job_uuid) found.being_made.insert(user.vm_uuid.text());
    }
    return found;
}

bool is_kept(const ImagesAndUsers& rows, const MemoryImage& image) {
    const auto keeps = [&](const auto& keeper) { return keeper.memory_image_uuid == image.uuid; };
    return std::ranges::any_of(rows.users, keeps) || std::ranges::any_of(rows.checkpoints, keeps) || std::ranges::any_of(rows.groups, keeps);
}

// Of an image that is damaged: what an operator knows it by.
std::string needed_by(const MemoryImage& image, const ImagesAndUsers& rows) {
    std::string text = image.uuid.text();
    for (const Checkpoint& one : rows.checkpoints)
        if (one.memory_image_uuid == image.uuid) text += ", of the checkpoint '" + one.name + "': delete it and make it anew";
    for (const VolumeSnapshotGroup& one : rows.groups)
        if (one.memory_image_uuid == image.uuid) text += ", of the snapshot '" + one.name + "': delete it and make it anew";
    for (const MemoryImageUser& user : rows.users)
        if (user.memory_image_uuid == image.uuid) text += ", in use by VM instance " + user.vm_uuid.text() + ": stop and start it";
    return text;
}

}  // namespace

Result<void> compare_memory_images(Parts& parts, std::vector<Finding>& findings) {
    TRY_ASSIGN(const ImagesAndUsers rows, store::read(parts.database(), [](Transaction& transaction) { return load_images(transaction); }));
    std::set<std::string> elsewhere = names_elsewhere(parts, rows.images);
    for (const MemoryImage& image : rows.images) {
        std::error_code error;
        elsewhere.erase(image.uuid.text());
        const bool there = std::filesystem::exists(image.directory, error);
        if (image.state != MemoryImageState::capturing && !there) findings.push_back({"memory image without file", image.uuid.text()});
        if (image.state == MemoryImageState::damaged) findings.push_back({"memory image damaged", needed_by(image, rows)});
        if (!is_kept(rows, image) && !image.owner_job_uuid) findings.push_back({"memory image without user", image.uuid.text()});
    }
    for (const std::string& name : elsewhere) findings.push_back({std::string(kMemoryWithoutRow), name});
    TRY_ASSIGN(const std::vector<VmId> domains, parts.hypervisor.running_domains());
    for (const MemoryImageUser& user : rows.users) {
        if (std::ranges::find(domains, user.vm_uuid) == domains.end() && !rows.being_made.contains(user.vm_uuid.text()))
            findings.push_back({"memory image held by a VM that is off", user.vm_uuid.text()});
    }
    return {};
}

}  // namespace ramet::lifecycle
