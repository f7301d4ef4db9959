// One instant of some volumes: every volume's top layer is sealed under a new, empty overlay that the volume goes on with. Snapshots, groups,
// checkpoints and clones all begin with it; each then keeps the sealed layers in its own way. A source whose overlays are still empty is not
// touched at all: the layer below has the same content.
//
//   base ◄─ top            ─►   base ◄─ top (sealed) ◄─ overlay (the volume's)
//                                          ▲
//                                          └──────── snapshot, checkpoint, clone, clone
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "hypervisor/hypervisor.hpp"
#include "lifecycle/parts.hpp"
#include "lifecycle/rows.hpp"
#include "model/vm.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

struct CutFacts {
    std::string source_state;  // "Running", "Paused", "Stopped"; empty for a detached volume
    std::int64_t paused_microseconds = 0;
    bool layers_reused = false;  // nothing had been written since the last cut: no pause, no new layer
    hypervisor::Consistency consistency = hypervisor::Consistency::crash;
    std::optional<std::string> consistency_reason;  // why it is not `filesystem`
    std::int64_t frozen_file_systems = 0;
    std::int64_t frozen_microseconds = 0;
    // With memory.
    std::optional<bool> live;  // the source ran on while its memory was saved
    std::optional<std::string> live_reason;
    std::optional<std::int64_t> memory_microseconds, memory_bytes, allocated_bytes, state_bytes;
};

// What is to be cut, from the job's plan alone: the overlays' uuids are derived from the job's, so a repeated cut meets its own leftovers.
struct CutOrder {
    JobId job;
    std::string message;     // the API call, for error texts: "CloneVmInstance"
    std::optional<VmId> vm;  // whose volumes; absent: one volume that is attached to none
    std::vector<VolumeId> volumes;
    bool all_attached = false;  // the volumes must be all that the VM has when the cut is made
    hypervisor::Quiesce quiesce = hypervisor::Quiesce::never;
    // The instant's bytes are copied: a copy does not tell of which instant it is, so a power cut must not take the instant back.
    bool is_copied = false;
    // What else is taken at the instant: called while the vCPUs of a running source stand, or of one that is off before anything is cut. It may
    // be called again. Set: a running source is paused for it even where its disks have nothing new.
    hypervisor::WhileStopped while_stopped{};
    // Cuts a source that runs or is paused in place of Hypervisor::snapshot_disks, and notes what it did. Set: the source is always cut.
    std::function<Result<void>(const std::vector<hypervisor::OverlaySpec>&, CutFacts&)> take{};
};

// operation_failed when the volume has no disk, or one that others write to at the same time.
Result<void> require_cuttable(const Volume& volume);

// The layer that holds the instant of each volume, in the order of CutOrder::volumes.
using SealedLayers = std::vector<LayerId>;

class Cut {
public:
    Cut(Parts& parts, CutOrder order) : parts_(parts), order_(std::move(order)) {}
    // `keep` says what the instant is for. It runs in the transaction in which the rows follow the disks, and again when the cut is repeated.
    using Keep = std::function<Result<void>(store::Transaction&, const SealedLayers&)>;
    Result<CutFacts> run(const Keep& keep, workflow::StepContext& step);
    // Would run() leave the volumes alone? Asks, and changes nothing.
    Result<bool> would_reuse();
    // The volumes keep whatever they write to; an overlay that none of them uses is removed. What `keep` did is its caller's to take back first.
    Result<void> undo();
    // What has to be held while it runs.
    std::vector<std::string> locks() const;

private:
    struct Source;
    Result<Source> load(store::Transaction& transaction) const;
    Result<Source> load_and_check();
    Result<bool> needs_no_cut(const Source& source, CutFacts& facts);
    Result<bool> can_reuse(const Source& source, CutFacts& facts);
    bool has_nothing_to_freeze(const Source& source, CutFacts& facts);
    Result<void> reserve_overlays(const Source& source);
    Result<void> write_overlays(const Source& source);
    Result<void> cut_disks(const Source& source, CutFacts& facts);
    Result<void> adopt(const Source& source, bool reused, const Keep& keep);
    Result<void> remove_overlays_of_changed_source();
    Parts& parts_;
    CutOrder order_;
};

}  // namespace ramet::lifecycle

namespace ramet {
template <> const TypeInfo& describe<lifecycle::CutFacts>();
}  // namespace ramet
