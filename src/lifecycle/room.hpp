// Room on primary storages for disks to be made. Two bounds:
// - what is written at once (copies, preallocated disks) has to fit beside what disks that are being made will write still. Such a promise is the
//   volume's own row: while it is Creating, its actualSize is what it will occupy. An overlay promises nothing, and asks for no promises.
// - the virtual sizes of all volumes of a storage, beside its size: mevoco.overProvisioning.primaryStorage, when it is set.
// Both are settled in the transaction that reserves the volumes, so that two calls cannot be given the same room.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lifecycle/parts.hpp"
#include "placement/placement.hpp"

namespace ramet::lifecycle {

// The storages as a request finds them when it is planned.
struct Room {
    std::vector<placement::StorageFacts> storages;  // available: less what the promises known here have not written yet
    std::set<std::string> promised;                 // the volumes whose promises these are
};

struct WantedRoom {
    PrimaryStorageId storage;
    std::int64_t to_write = 0;  // bytes; 0: overlays alone, or disks that grow as they are written
    std::int64_t size = 0;      // virtual bytes
};

// Not inside a transaction: it asks the storages.
Result<Room> survey_room(Parts& parts);
// Takes what is promised off the storages' room; for those who are about to write a disk.
Result<void> heed_promises(Parts& parts, Room& room);

// Part of the reserving transaction, before the rows are inserted. storage_full says what is wanted and what is left.
Result<void> require_room(store::Transaction& transaction, const Room& room, const std::vector<WantedRoom>& wanted);

}  // namespace ramet::lifecycle
