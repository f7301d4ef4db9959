// Making a volume's chain shorter: the volume's top comes to hold what the layers between it and `base` hold, and stands on `base` directly.
// No layer that anything else stands on is written, moved or removed, so others are not touched whatever they share with this volume.
//
//   a running VM: QEMU copies into the top            a stopped one: a new top is made beside the old
//   base ◄─ x ◄─ y ◄─ top     base ◄─ top             base ◄─ x ◄─ y ◄─ top     base ◄─ merged (the volume's top now)
//             ▲           ─►  base ◄─ x               the old top goes; x and y go when nothing needs them any more
//             other           (other still needs x)
#pragma once

#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "lifecycle/parts.hpp"
#include "model/vm.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

// Part of a job's plan.
struct ShortenOrder {
    VolumeId volume;
    std::optional<LayerId> base;  // absent: the volume is to stand alone
    LayerId merged;               // the new top, where one is made
    std::optional<VmId> vm;       // the volume's when the order was made; locked with the volume
};

struct ShortenPace {
    std::int64_t bytes_per_second_max = 0;  // 0: as fast as it goes
    storage::CopyObserver observer;
    std::stop_token stop;
};

// How many layers, counted from the top, are to be made one so that the chain has at most kChainDepthMerged layers: as few as will do, and
// every further one that is no larger than all those above it together. The bottom one is never among them. 0: the chain is short enough.
std::size_t layers_to_merge(std::span<const std::int64_t> bytes_top_first);

// Every layer from `top` down.
Result<std::vector<Layer>> layers_below(store::Transaction& transaction, const LayerId& top);
Result<std::vector<std::int64_t>> bytes_of(Parts& parts, const std::vector<Layer>& layers);

// The volume's VM is locked by the caller, or the volume when it has none. Repeatable; a volume that stands on `base` already is success.
// cancelled: the volume is as it was. wrong_state: it is in a condition that passes (a capture is being taken up after a crash).
Result<void> shorten_volume(Parts& parts, const ShortenOrder& order, const ShortenPace& pace);
// Ends what shorten_volume had begun, if it has not ended well. Repeatable.
Result<void> undo_shorten(Parts& parts, const ShortenOrder& order);

// Before a layer is put on these volumes' tops: chains that are full are shortened first, in the foreground. True: some volume has another
// top now. The layers made are known by the job, so that undo_make_room() finds them.
Result<bool> make_room(Parts& parts, const JobId& job, const std::vector<VolumeId>& volumes, workflow::StepContext& step);
// What make_room() would write for this volume, at most: where the layers hold the same place it is written once. `on`: its VM is.
Result<std::int64_t> bytes_to_make_room(Parts& parts, const VolumeId& volume, bool on);
Result<void> undo_make_room(Parts& parts, const JobId& job, const std::vector<VolumeId>& volumes);

}  // namespace ramet::lifecycle

namespace ramet {
template <> const TypeInfo& describe<lifecycle::ShortenOrder>();
}  // namespace ramet
