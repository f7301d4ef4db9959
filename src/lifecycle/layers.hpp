// The layers under volumes: who needs them, and removing those that nobody needs any more. A layer's file goes before the row that owns it,
// so that a crash in between leaves a row that says "deleting" and never a file without an owner.
#pragma once

#include <functional>
#include <vector>

#include "lifecycle/parts.hpp"
#include "model/vm.hpp"

namespace ramet::lifecycle {

// Everything that refers to a layer. Whatever comes to refer to layers is counted here, and nowhere else.
struct LayerUsers {
    std::int64_t children = 0;     // layers that stand on it and are not being removed
    std::int64_t volumes = 0;      // volumes whose top it is
    std::int64_t snapshots = 0;    // volume snapshots that keep it
    std::int64_t checkpoints = 0;  // volumes of checkpoints that keep it
    bool image_cache = false;
    bool any() const { return children > 0 || volumes > 0 || snapshots > 0 || checkpoints > 0 || image_cache; }
};
Result<LayerUsers> users_of(store::Transaction& transaction, const Layer& layer);

// Marks the layer and every sealed layer below that then has no user any more as being removed; top first.
Result<std::vector<Layer>> doom_chain(store::Transaction& transaction, LayerId first);

// The same of several layers whose users this transaction has taken away; their chains may meet. Children come before parents in the answer.
Result<std::vector<Layer>> doom_chains(store::Transaction& transaction, const std::vector<LayerId>& firsts);
// After that transaction: removes their files and rows. What cannot be removed now stays marked for remove_doomed_layers.
void discard_layers(Parts& parts, const std::vector<Layer>& doomed);

// Removes layers that doom_chain() marked: each file, then its row. Repeatable.
Result<void> remove_layers(Parts& parts, const std::vector<Layer>& doomed);

// Removes the volume's snapshots, its own layers and every sealed layer below that nothing needs any more; then its row. `may` is asked in
// the transaction that begins it, so that nobody changes the volume in between; behind it there is no way back.
using MayDemolish = std::function<Result<void>(const Volume&)>;
Result<void> demolish_volume(Parts& parts, const VolumeId& volume, const MayDemolish& may = {});
// After a process that could write to the volume has ended: its top layer no longer counts as untouched.
Result<void> note_guest_writes(store::Transaction& transaction, const Volume& volume);
// Finishes removals that a crash cut off.
Result<void> remove_doomed_layers(Parts& parts);

}  // namespace ramet::lifecycle
