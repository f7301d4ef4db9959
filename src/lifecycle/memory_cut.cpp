#include "lifecycle/memory_cut.hpp"

#include "base/crash_point.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

constexpr std::chrono::milliseconds kAgentPatience{1500};        // one that is there answers in a few milliseconds
constexpr std::chrono::milliseconds kKnownAgentPatience{4'000};  // of a guest that had one: it is there and busy, and its clones need it

// The source's NICs as the guest in the image knows them, and whether an agent in it can change that.
Result<void> note_source(Parts& parts, MemoryImage& image, const VmId& source) {
    TRY_ASSIGN(const VmRows rows, store::read(parts.database(), [&](Transaction& transaction) { return load_vm(transaction, source); }));
    image.source_macs.clear();
    for (const VmNic& nic : rows.nics) image.source_macs.push_back(nic.mac);
    const bool known = rows.vm.identity_state != IdentityState::pending;
    if (rows.vm.state == VmState::running)
        image.agent = parts.hypervisor.agent_ping(source, known ? kKnownAgentPatience : kAgentPatience).has_value();
    // A paused guest cannot answer; that it has an agent is known from its identity, which the agent gave.
    if (rows.vm.state == VmState::paused) image.agent = known;
    return {};
}

}  // namespace

Result<void> require_memory(const VmInstance& vm, std::string_view field) {
    if (vm.state != VmState::stopped) return {};
    return fail(ErrorCode::operation_failed, std::string(field) + ": the VM instance is Stopped; only a Running or Paused one has a memory to keep");
}

Result<void> take_memory(Parts& parts, const MemoryCut& cut, const std::vector<hypervisor::OverlaySpec>& overlays, CutFacts& report,
                         const std::stop_token& stop) {
    TRY_ASSIGN(MemoryImage image, reserve_memory_image(parts, cut.job, cut.source));
    report.consistency = hypervisor::Consistency::memory;
    report.consistency_reason = "The memory was captured with the disks: what the guest had not written out yet is in it";
    if (image.state == MemoryImageState::ready) return {};
    const hypervisor::MemoryPlace place{image.directory, cut.durable};
    TRY(parts.hypervisor.remove_memory(place));  // of a run that was cut off
    TRY(note_source(parts, image, cut.source));
    TRY_ASSIGN(const hypervisor::MemoryFacts facts, parts.hypervisor.capture_memory(cut.source, overlays, place, stop, cut.while_stopped));
    crash_point("memory-captured-before-row");
    TRY(keep_memory_image(parts, image, facts));
    report.paused_microseconds = facts.capture.paused.count();
    report.live = facts.live;
    report.live_reason = facts.reason;
    report.memory_microseconds = facts.taken.count();
    report.memory_bytes = facts.memory_bytes;
    report.allocated_bytes = facts.allocated_bytes;
    report.state_bytes = facts.state_bytes;
    return {};
}

}  // namespace ramet::lifecycle
