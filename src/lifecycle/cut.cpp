#include "lifecycle/cut.hpp"

#include <algorithm>

#include "base/crash_point.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/shorten.hpp"
#include "store/table.hpp"

namespace ramet {

template <> const TypeInfo& describe<lifecycle::CutFacts>() {
    using lifecycle::CutFacts;
    static const TypeInfo info = object<CutFacts>(
        "CutFacts", "What a capture did to its source.", field<&CutFacts::source_state>("sourceState", "The source's state."),
        field<&CutFacts::paused_microseconds>("pausedMicroseconds", "How long its vCPUs stood."),
        field<&CutFacts::layers_reused>("layersReused", "Whether nothing had to be captured."),
        field<&CutFacts::consistency>("consistency",
                                      "filesystem: the guest had written everything out and was frozen; crash: as after a power cut; paused: "
                                      "the same, of a paused source; stopped: the source was off; memory: its memory was taken "
                                      "too."),
        field<&CutFacts::consistency_reason>("consistencyReason", "Why the file systems were not frozen."),
        field<&CutFacts::frozen_file_systems>("frozenFileSystems", "How many file systems were frozen, as the guest agent says."),
        field<&CutFacts::frozen_microseconds>("frozenMicroseconds", "How long they were, from the question to the thaw's answer."),
        field<&CutFacts::live>("live", "Whether it ran on while its memory was saved."),
        field<&CutFacts::live_reason>("liveReason", "Why so, or why not."),
        field<&CutFacts::memory_microseconds>("memoryMicroseconds", "How long the memory took."),
        field<&CutFacts::memory_bytes>("memoryBytes", "The memory's size."),
        field<&CutFacts::allocated_bytes>("allocatedBytes", "What it takes on disk."),
        field<&CutFacts::state_bytes>("stateBytes", "The size of all other state."));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;

namespace {

// The overlay that this job puts over a volume.
LayerId overlay_uuid(const JobId& job, const VolumeId& volume) { return LayerId::derived(job.text(), "capture/" + volume.text()); }

}  // namespace

// The volumes as the rows have them now.
struct Cut::Source {
    std::optional<VmInstance> vm;
    hypervisor::DomainState domain = hypervisor::DomainState::shut_off;
    std::int64_t attached = 0;  // volumes that the VM has
    struct Disk {
        Volume volume;
        Layer top;  // what is to be sealed
        storage::Place top_place;
        Layer overlay;  // what goes over it
        storage::Place overlay_place;
        bool reserved = false;   // the overlay has its row, from before anything is cut until nothing uses it
        bool doomed = false;     // and is being removed
        bool adopted = false;    // the overlay is the volume's top already: this step, run again
        bool overtaken = false;  // the rows had adopted it, and another cut has been made since
    };
    std::vector<Disk> disks;

    std::vector<VolumeId> to_be_cut() const {
        std::vector<VolumeId> volumes;
        for (const Disk& disk : disks) {
            if (!disk.adopted) volumes.push_back(disk.volume.uuid);
        }
        return volumes;
    }
};

Result<void> require_cuttable(const Volume& volume) {
    if (volume.is_shareable)
        return fail(ErrorCode::operation_failed, "volume '" + volume.name + "' is shareable and cannot be kept at one instant; detach it first");
    if (volume.status == VolumeStatus::ready && volume.top_layer_uuid) return {};
    return fail(ErrorCode::operation_failed,
                "volume '" + volume.name + "' is " + std::string(name_of(volume.status)) + "; it must be Ready to be kept");
}

std::vector<std::string> Cut::locks() const {
    std::vector<std::string> names;
    if (order_.vm) names.push_back(order_.vm->text());
    for (const VolumeId& volume : order_.volumes) names.push_back(volume.text());
    return names;
}

Result<Cut::Source> Cut::load(Transaction& transaction) const {
    Source source;
    if (order_.vm) {
        TRY_ASSIGN(source.vm, store::get<VmInstance>(transaction, order_.vm->text()));
        TRY_ASSIGN(source.attached, store::count<Volume>(transaction, {{"vmInstanceUuid", order_.vm->text()}}));
    }
    for (const VolumeId& wanted : order_.volumes) {
        Source::Disk disk;
        TRY_ASSIGN(disk.volume, store::get<Volume>(transaction, wanted.text()));
        if (disk.volume.vm_instance_uuid != order_.vm || !disk.volume.top_layer_uuid) {
            return fail(ErrorCode::operation_failed,
                        "volume '" + disk.volume.name + "' was attached or detached while " + order_.message + " was being prepared; call it again");
        }
        disk.overlay.uuid = overlay_uuid(order_.job, wanted);
        disk.adopted = *disk.volume.top_layer_uuid == disk.overlay.uuid;
        TRY_ASSIGN(Layer top, store::get<Layer>(transaction, disk.volume.top_layer_uuid->text()));
        if (disk.adopted) { TRY_ASSIGN(top, store::get<Layer>(transaction, top.parent_uuid.value_or(LayerId{}).text())); }
        disk.top = std::move(top);
        TRY_ASSIGN(disk.top_place, place_of(transaction, disk.top));
        TRY_ASSIGN(const std::optional<Layer> reserved, store::find<Layer>(transaction, {{"uuid", disk.overlay.uuid.text()}}));
        disk.reserved = reserved.has_value();
        disk.doomed = reserved && reserved->deleting;
        disk.overtaken = !disk.adopted && reserved && reserved->parent_uuid != disk.top.uuid;
        disk.overlay.primary_storage_uuid = disk.top.primary_storage_uuid;
        // The volume's own directory, although the top may be a layer that another volume began.
        const Layer own_first{.path = disk.volume.install_path->substr(disk.top_place.root.size() + 1)};
        disk.overlay.path = later_layer_path(own_first, disk.overlay.uuid);
        disk.overlay.size = disk.volume.size;
        disk.overlay.parent_uuid = disk.top.uuid;
        disk.overlay.volume_uuid = disk.volume.uuid;
        disk.overlay.untouched = true;
        disk.overlay.create_date = parts_.now();
        disk.overlay_place = {disk.top_place.root, disk.overlay.path, DiskFormat::qcow2};
        source.disks.push_back(std::move(disk));
    }
    return source;
}

Result<Cut::Source> Cut::load_and_check() {
    TRY_ASSIGN(Source source, store::read(parts_.database(), [this](Transaction& transaction) { return load(transaction); }));
    if (!source.vm) return source;
    TRY(require_state(ErrorCode::operation_failed, *source.vm, order_.message, {VmState::running, VmState::paused, VmState::stopped}, order_.job));
    if (order_.all_attached && source.attached != std::ssize(order_.volumes)) {
        return fail(ErrorCode::operation_failed,
                    "a volume was attached to the VM instance while " + order_.message + " was being prepared; call it again");
    }
    TRY_ASSIGN(source.domain, parts_.hypervisor.state(*order_.vm));
    return source;
}

// Nothing was written since the present overlays were made: what is below them is this very instant.
Result<bool> Cut::can_reuse(const Source& source, CutFacts& facts) {
    const bool all_empty = std::ranges::all_of(
        source.disks, [](const Source::Disk& disk) { return !disk.adopted && disk.top.untouched && disk.top.parent_uuid.has_value(); });
    if (!all_empty) return false;
    // Its process has ended and nobody has noted yet what the guest wrote before.
    if (source.domain == hypervisor::DomainState::shut_off) return !source.vm || !is_on(source.vm->state);
    // "Untouched" is said of the layers QEMU has on top: after a crash between the cut and the rows these are not the rows' tops.
    TRY_ASSIGN(const std::vector<hypervisor::DiskTop> tops, parts_.hypervisor.disk_tops(*order_.vm));
    for (const Source::Disk& disk : source.disks) {
        const auto top = std::ranges::find(tops, disk.volume.uuid, &hypervisor::DiskTop::volume);
        if (top == tops.end() || top->place.path != disk.top.path) return false;
    }
    TRY_ASSIGN(const bool untouched, parts_.hypervisor.disks_untouched(*order_.vm));
    return untouched && has_nothing_to_freeze(source, facts);
}

// A freeze would write what the guest still holds in memory, so only a guest that is not going to be frozen is as its disks are.
bool Cut::has_nothing_to_freeze(const Source& source, CutFacts& facts) {
    if (source.domain == hypervisor::DomainState::paused) {
        facts.consistency = hypervisor::Consistency::paused;
        facts.consistency_reason = "The VM is paused: its guest cannot freeze anything";
        return order_.quiesce != hypervisor::Quiesce::required;
    }
    if (order_.quiesce == hypervisor::Quiesce::required) return false;
    facts.consistency_reason = "No freeze was asked for";
    if (order_.quiesce == hypervisor::Quiesce::never) return true;
    const Result<void> answers = parts_.hypervisor.agent_answers(*order_.vm);
    if (answers.has_value()) return false;
    facts.consistency_reason = answers.error().message;
    return true;
}

Result<void> Cut::reserve_overlays(const Source& source) {
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        for (const Source::Disk& disk : source.disks) {
            // A cut that a crash interrupted and that others overtook: its overlay stands on what is no longer the volume's top.
            if (disk.overtaken)
                return fail(ErrorCode::operation_failed, "the disks changed while " + order_.message + " was interrupted; call it again");
            if (!disk.reserved) TRY(store::insert(transaction, disk.overlay));
        }
        return {};
    });
}

Result<void> Cut::write_overlays(const Source& source) {
    for (const Source::Disk& disk : source.disks) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts_.shared.storages.open(disk.overlay_place.root));
        TRY(storage->create_overlay(disk.overlay.path, disk.top_place, disk.overlay.size));
        crash_point("overlay-written");
    }
    return {};
}

// The only place where the disks of a running VM are cut: freeze, cut, thaw. What cannot be frozen is told by the source's state.
Result<void> Cut::cut_disks(const Source& source, CutFacts& facts) {
    if (source.domain == hypervisor::DomainState::shut_off && !order_.take) return {};  // who takes more than disks finds that nothing runs
    std::vector<hypervisor::OverlaySpec> overlays;
    overlays.reserve(source.disks.size());
    for (const Source::Disk& disk : source.disks) overlays.push_back({disk.volume.uuid, disk.overlay_place});
    if (order_.take) return order_.take(overlays, facts);
    TRY_ASSIGN(const hypervisor::CaptureFacts captured, parts_.hypervisor.snapshot_disks(*order_.vm, overlays, order_.quiesce, order_.while_stopped));
    facts.paused_microseconds = captured.paused.count();
    facts.consistency = captured.freeze.consistency;
    facts.consistency_reason = captured.freeze.reason.empty() ? std::nullopt : std::optional(captured.freeze.reason);
    facts.frozen_file_systems = captured.freeze.file_systems;
    facts.frozen_microseconds = captured.freeze.frozen.count();
    // A cut that an ended server made cannot be vouched for (see snapshot_disks).
    if (order_.quiesce == hypervisor::Quiesce::required && facts.consistency != hypervisor::Consistency::filesystem)
        return fail(ErrorCode::operation_failed, "quiesce 'require': " + captured.freeze.reason + "; clone again");
    return {};
}

// The rows follow what has happened to the disks: the new tops, the sealed layers, and what they are kept for, in one transaction.
Result<void> Cut::adopt(const Source& source, bool reused, const Keep& keep) {
    if (!reused) {
        for (const Source::Disk& disk : source.disks) {
            TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts_.shared.storages.open(disk.top_place.root));
            TRY(storage->seal(disk.top.path));
        }
    }
    const auto follow = [&](Transaction& transaction) -> Result<std::vector<Layer>> {
        SealedLayers sealed;
        std::vector<LayerId> overtaken;  // reserved before a crash; another job has made the cut since
        for (const Source::Disk& disk : source.disks) {
            sealed.push_back(reused ? *disk.top.parent_uuid : disk.top.uuid);
            if (reused && disk.reserved) overtaken.push_back(disk.overlay.uuid);
            if (reused || disk.adopted) continue;
            TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, disk.volume.uuid.text()));
            volume.top_layer_uuid = disk.overlay.uuid;
            volume.install_path = disk.overlay_place.root + "/" + disk.overlay.path;
            TRY(store::update(transaction, volume));
            TRY_ASSIGN(Layer top, store::get<Layer>(transaction, disk.top.uuid.text()));
            top.sealed = true;
            top.untouched = false;
            TRY(store::update(transaction, top));
        }
        if (keep) TRY(keep(transaction, sealed));
        return doom_chains(transaction, overtaken);
    };
    // Where nothing was cut and nothing is to be removed, a power cut takes back rows alone: the instant is found again, or another one if the
    // source has moved on meanwhile. An overlay tells on which it stands.
    const bool rows_alone = reused && !order_.is_copied && std::ranges::none_of(source.disks, &Source::Disk::reserved);
    const Durability durability = rows_alone ? Durability::with_next : Durability::at_once;
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts_.database(), follow, durability));
    discard_layers(parts_, doomed);
    return {};
}

Result<bool> Cut::would_reuse() {
    TRY_ASSIGN(const Source source, load_and_check());
    CutFacts facts;
    return needs_no_cut(source, facts);
}

// What else is taken of a source that is on needs it to stand still.
Result<bool> Cut::needs_no_cut(const Source& source, CutFacts& facts) {
    const bool is_off = source.domain == hypervisor::DomainState::shut_off;
    if (order_.take || (!is_off && order_.while_stopped)) return false;
    return can_reuse(source, facts);
}

Result<CutFacts> Cut::run(const Keep& keep, workflow::StepContext& step) {
    TRY_ASSIGN(Source source, load_and_check());
    CutFacts facts;
    const bool is_off = source.domain == hypervisor::DomainState::shut_off;
    TRY_ASSIGN(const bool reused, needs_no_cut(source, facts));
    if (is_off && order_.while_stopped) TRY(order_.while_stopped());
    if (!reused) {
        TRY_ASSIGN(const bool shortened, make_room(parts_, order_.job, source.to_be_cut(), step));
        if (shortened) { TRY_ASSIGN(source, load_and_check()); }
        TRY(reserve_overlays(source));
        TRY(write_overlays(source));
        TRY(cut_disks(source, facts));
        crash_point("captured-before-rows");
    }
    facts.layers_reused = reused;
    if (is_off) {
        facts.consistency = hypervisor::Consistency::stopped;
        facts.consistency_reason = "The source was off; whether it was shut down cleanly is not known";
    }
    if (source.vm) facts.source_state = std::string(name_of(source.vm->state));
    TRY(adopt(source, reused, keep));
    crash_point("captured");
    return facts;
}

// The source was destroyed, expunged or taken apart before this cut was taken back.
Result<void> Cut::remove_overlays_of_changed_source() {
    std::vector<hypervisor::DiskTop> tops;
    if (order_.vm) { TRY_ASSIGN(tops, parts_.hypervisor.disk_tops(*order_.vm)); }
    const auto plugged_in = [&](const VolumeId& id) { return std::ranges::find(tops, id, &hypervisor::DiskTop::volume) != tops.end(); };
    // All disks are cut or none, so one that is left tells of those that were detached; without any, what is on them stays.
    const bool told = tops.empty() || std::ranges::any_of(order_.volumes, plugged_in);
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts_.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                   std::vector<LayerId> overlays;
                   for (const VolumeId& id : order_.volumes) {
                       TRY_ASSIGN(const std::optional<Layer> overlay,
                                  store::find<Layer>(transaction, {{"uuid", overlay_uuid(order_.job, id).text()}}));
                       if (!overlay) continue;
                       const bool in_use = std::ranges::any_of(tops, [&](const auto& top) { return top.place.path == overlay->path; });
                       if (in_use) return std::vector<Layer>{};
                       TRY_ASSIGN(const std::int64_t present, store::count<Volume>(transaction, {{"uuid", id.text()}}));
                       if (told || present == 0) overlays.push_back(overlay->uuid);
                   }
                   return doom_chains(transaction, overlays);
               }));
    return remove_layers(parts_, doomed);
}

Result<void> Cut::undo() {
    const Result<Source> loaded = store::read(parts_.database(), [this](Transaction& transaction) { return load(transaction); });
    if (!loaded.has_value()) {
        const bool changed = loaded.error().code == ErrorCode::not_found || loaded.error().code == ErrorCode::operation_failed;
        return changed ? remove_overlays_of_changed_source() : Result<void>(loaded.error());
    }
    TRY(undo_make_room(parts_, order_.job, loaded->to_be_cut()));
    std::vector<hypervisor::DiskTop> tops;
    if (order_.vm) { TRY_ASSIGN(tops, parts_.hypervisor.disk_tops(*order_.vm)); }
    // Cut, and the rows do not know: they follow all disks at once or none. The record of a VM that was stopped since knows of no later cut and
    // of no merge, so what it says of a disk that the rows did follow is old.
    const auto unknown_to_rows = [&](const Source::Disk& disk) {
        return disk.reserved && !disk.doomed && !disk.adopted && !disk.overtaken && std::ranges::any_of(tops, [&](const hypervisor::DiskTop& top) {
                   return top.volume == disk.volume.uuid && top.place.path == disk.overlay.path;
               });
    };
    if (std::ranges::any_of(loaded->disks, unknown_to_rows))
        return adopt(*loaded, false, {});  // the source writes to the overlays: they are its disks now
    for (const Source::Disk& disk : loaded->disks) {
        if (disk.adopted) continue;
        // One that a later cut was made on, or that is kept, is a layer of the source's chain by now and stays.
        TRY_ASSIGN(const std::vector<Layer> doomed,
                   store::write(parts_.database(), [&](Transaction& transaction) { return doom_chain(transaction, disk.overlay.uuid); }));
        TRY(remove_layers(parts_, doomed));
    }
    return {};
}

}  // namespace ramet::lifecycle
