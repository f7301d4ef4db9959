// What the disks of a VM to be made hold: an image and empty data disks, or what a snapshot or a group of snapshots keeps.
#pragma once

#include <optional>
#include <vector>

#include "api/messages_vm.hpp"
#include "lifecycle/make_vm.hpp"
#include "lifecycle/room.hpp"

namespace ramet::lifecycle {

struct NewDisk {
    VolumeType type = VolumeType::data;
    std::int64_t size = 0;  // virtual bytes
    LayerMode mode = LayerMode::empty;
    bool thick = false;
    PrimaryStorageId storage;        // filled in by place_disks
    std::optional<LayerId> content;  // what it begins as; of a root volume from an image it comes with place_disks
    std::optional<ImageId> root_image;
    std::optional<DiskOfferingId> disk_offering;
};

struct NewDisks {
    std::optional<Image> image;        // absent: from something kept
    std::optional<VmInstance> source;  // whose volumes were kept, when it is there still
    std::optional<ZoneId> zone;        // of what is kept
    std::vector<NewDisk> disks;        // the root volume first
    Room room;                         // as they were placed with
};

// The disk offering, which must be Enabled, with the size a disk of it has. `field` names it in the refusal.
Result<DiskOffering> usable_offering(store::Transaction& transaction, const DiskOfferingId& uuid, std::string_view field);
// Reads and checks what the request names.
Result<NewDisks> disks_of(store::Transaction& transaction, const api::CreateVmInstance& message);
// What writing the disk takes at once, beside an overlay's few blocks: 0 where it grows as it is written.
std::int64_t bytes_at_once(const NewDisk& disk);
std::vector<WantedRoom> wanted_room(const NewDisks& disks);
// Chooses the storages. Not inside a transaction: it asks the storages for their room.
Result<void> place_disks(Parts& parts, const api::CreateVmInstance& message, NewDisks& disks);

// What keeping shares and what it has to copy: a layer is stood on where it is, and copied for another storage or for thick provisioning.
LayerMode mode_from_kept(const PrimaryStorageId& kept_on, const PrimaryStorageId& wanted, bool thick);
// Part of the reserving transaction: the layer is there still. From here on the layer that names it as its parent keeps it.
Result<void> require_layer(store::Transaction& transaction, const std::optional<LayerId>& layer);

}  // namespace ramet::lifecycle
