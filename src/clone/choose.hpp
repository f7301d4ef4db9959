// How one volume of the source is cloned: linked, by reflink, or as a full copy, and why.
//
//   copy      thick provisioning   another storage          else
//   auto      full                 reflink if cheap, full   reflink if cheap, linked
//   linked    refused              refused                  linked
//   reflink   refused              reflink or refused       reflink or refused
//   full      full                 full                     full
//
// Cheap: the file system can, and all clones together share no more than kReflinkExtentsMax pieces
// (docs/decisions/0007-copying-disks.md). An explicit choice that cannot be had is an error, never another choice.
#pragma once

#include <functional>
#include <string>

#include "clone/plan.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::clone {

inline constexpr std::int64_t kReflinkExtentsMax = 256;  // of one call: about 5 ms on XFS; beyond it `auto` links layers

// What the request asks of one volume.
struct CopyWish {
    VolumeId volume;
    VolumeType type = VolumeType::root;
    std::string copy = "auto";
    bool thick = false;
    PrimaryStorageId source_storage;
    std::optional<PrimaryStorageId> wanted_storage;
    std::int64_t clones = 1;
};

// What the target storage says; asked only as far as the choice needs it, for looking into a disk's tables takes a while.
struct CopyFacts {
    std::function<Result<storage::CopyEstimate>()> reflink;  // unsupported with the reason: it cannot
    std::function<Result<storage::CopyEstimate>()> full;
};

// Pure but for the facts. invalid_argument: names the field, why it cannot be had and what to do.
Result<PlannedVolume> choose_strategy(const CopyWish& wish, const CopyFacts& facts);

std::string_view storage_field(VolumeType type);  // of the request
std::string_view tags_field(VolumeType type);

}  // namespace ramet::clone
