#include "clone/capture.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "base/crash_point.hpp"
#include "lifecycle/rows.hpp"
#include "store/table.hpp"

namespace ramet {

template <> const TypeInfo& describe<clone::CaptureReport>() {
    using clone::CaptureReport;
    static const TypeInfo info = object<CaptureReport>("CaptureReport", "What the capture did to the source.",
                                                       field<&CaptureReport::source_state>("sourceState", "The source's state."),
                                                       field<&CaptureReport::paused_microseconds>("pausedMicroseconds", "How long its vCPUs stood."),
                                                       field<&CaptureReport::layers_reused>("layersReused", "Whether nothing had to be captured."),
                                                       field<&CaptureReport::live>("live", "Whether it ran on while its memory was saved."),
                                                       field<&CaptureReport::live_reason>("liveReason", "Why so, or why not."),
                                                       field<&CaptureReport::memory_microseconds>("memoryMicroseconds", "How long the memory took."),
                                                       field<&CaptureReport::memory_bytes>("memoryBytes", "The memory's size."),
                                                       field<&CaptureReport::allocated_bytes>("allocatedBytes", "What it takes on disk."),
                                                       field<&CaptureReport::state_bytes>("stateBytes", "The size of all other state."));
    return info;
}

}  // namespace ramet

namespace ramet::clone {

using store::Transaction;
using workflow::Output;
using workflow::StepContext;

// The cloned volumes of the source as the rows have them now.
struct Capture::Source {
    VmInstance vm;
    hypervisor::DomainState domain = hypervisor::DomainState::shut_off;
    struct Disk {
        Volume volume;
        Layer top;  // what is to be sealed
        storage::Place top_place;
        Layer overlay;  // what goes over it
        storage::Place overlay_place;
        bool adopted = false;  // the overlay is the volume's top already: this step, run again
    };
    std::vector<Disk> disks;
};

Result<Capture::Source> Capture::load(Transaction& transaction) const {
    Source source;
    TRY_ASSIGN(source.vm, store::get<VmInstance>(transaction, plan_.source.text()));
    for (const PlannedVolume& planned : plan_.volumes) {
        Source::Disk disk;
        TRY_ASSIGN(disk.volume, store::get<Volume>(transaction, planned.source.text()));
        if (disk.volume.vm_instance_uuid != plan_.source || !disk.volume.top_layer_uuid) {
            return fail(ErrorCode::operation_failed,
                        "volume '" + disk.volume.name + "' was detached from the source while the clone was being prepared; clone again");
        }
        disk.overlay.uuid = capture_layer_uuid(job_, planned.source);
        disk.adopted = *disk.volume.top_layer_uuid == disk.overlay.uuid;
        TRY_ASSIGN(Layer top, store::get<Layer>(transaction, disk.volume.top_layer_uuid->text()));
        if (disk.adopted) { TRY_ASSIGN(top, store::get<Layer>(transaction, top.parent_uuid.value_or(LayerId{}).text())); }
        disk.top = std::move(top);
        TRY_ASSIGN(disk.top_place, lifecycle::place_of(transaction, disk.top));
        disk.overlay.primary_storage_uuid = disk.top.primary_storage_uuid;
        // The volume's own directory, although the top may be a layer that another volume began.
        const Layer own_first{.path = disk.volume.install_path->substr(disk.top_place.root.size() + 1)};
        disk.overlay.path = lifecycle::later_layer_path(own_first, disk.overlay.uuid);
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

Result<Capture::Source> Capture::load_and_check() {
    TRY_ASSIGN(Source source, store::read(parts_.database(), [this](Transaction& transaction) { return load(transaction); }));
    TRY(lifecycle::require_state(ErrorCode::operation_failed, source.vm, "CloneVmInstance", {VmState::running, VmState::paused, VmState::stopped},
                                 job_));
    TRY_ASSIGN(source.domain, parts_.hypervisor.state(plan_.source));
    return source;
}

// Nothing was written since the present overlays were made: what is below them is this very instant.
Result<bool> Capture::can_reuse(const Source& source) {
    const bool all_empty = std::ranges::all_of(
        source.disks, [](const Source::Disk& disk) { return !disk.adopted && disk.top.untouched && disk.top.parent_uuid.has_value(); });
    if (!all_empty) return false;
    if (source.domain == hypervisor::DomainState::shut_off) return true;
    // "Untouched" is said of the layers QEMU has on top: after a crash between the cut and the rows these are not the rows' tops.
    TRY_ASSIGN(const std::vector<hypervisor::DiskTop> tops, parts_.hypervisor.disk_tops(plan_.source));
    for (const Source::Disk& disk : source.disks) {
        const auto top = std::ranges::find(tops, disk.volume.uuid, &hypervisor::DiskTop::volume);
        if (top == tops.end() || top->place.path != disk.top.path) return false;
    }
    return parts_.hypervisor.disks_untouched(plan_.source);
}

Result<void> Capture::reserve_overlays(const Source& source) {
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        for (const Source::Disk& disk : source.disks) {
            TRY_ASSIGN(const std::optional<Layer> present, store::find<Layer>(transaction, {{"uuid", disk.overlay.uuid.text()}}));
            if (!present) TRY(store::insert(transaction, disk.overlay));
        }
        return {};
    });
}

Result<void> Capture::write_overlays(const Source& source) {
    for (const Source::Disk& disk : source.disks) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts_.shared.storages.open(disk.overlay_place.root));
        TRY(storage->create_overlay(disk.overlay.path, disk.top_place, disk.overlay.size));
        crash_point("overlay-written");
    }
    return {};
}

// The rows follow what has happened to the disks: the new tops, the sealed layers, and the clones' parents, in one transaction.
Result<void> Capture::adopt(const Source& source, bool reused) {
    if (!reused) {
        for (const Source::Disk& disk : source.disks) {
            TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts_.shared.storages.open(disk.top_place.root));
            TRY(storage->seal(disk.top.path));
        }
    }
    return parts_.database().write([&](Transaction& transaction) -> Result<void> {
        for (std::size_t k = 0; k < source.disks.size(); ++k) {
            const Source::Disk& disk = source.disks[k];
            const LayerId base = reused ? *disk.top.parent_uuid : disk.top.uuid;
            if (!reused && !disk.adopted) {
                TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, disk.volume.uuid.text()));
                volume.top_layer_uuid = disk.overlay.uuid;
                volume.install_path = disk.overlay_place.root + "/" + disk.overlay.path;
                TRY(store::update(transaction, volume));
                TRY_ASSIGN(Layer top, store::get<Layer>(transaction, disk.top.uuid.text()));
                top.sealed = true;
                top.untouched = false;
                TRY(store::update(transaction, top));
            }
            for (std::size_t i = 0; i < plan_.clones.size(); ++i) {
                if (plan_.clones[i].refusal) continue;
                TRY_ASSIGN(std::optional<Layer> layer,
                           store::find<Layer>(transaction, {{"uuid", first_layer_uuid(clone_volume_uuid(clone_uuid(job_, i), k)).text()}}));
                if (!layer) continue;  // already undone
                layer->parent_uuid = base;
                TRY(store::update(transaction, *layer));
            }
        }
        return {};
    });
}

Result<void> Capture::cut(const std::vector<hypervisor::OverlaySpec>& overlays, CaptureReport& report) {
    TRY_ASSIGN(const hypervisor::CaptureFacts facts, parts_.hypervisor.snapshot_disks(plan_.source, overlays));
    report.paused_microseconds = facts.paused.count();
    return {};
}

Result<Output> Capture::run(StepContext&) {
    TRY_ASSIGN(const Source source, load_and_check());
    CaptureReport report{.source_state = std::string(name_of(source.vm.state))};
    TRY_ASSIGN(report.layers_reused, can_reuse(source));
    if (!report.layers_reused) {
        TRY(reserve_overlays(source));
        TRY(write_overlays(source));
        if (source.domain != hypervisor::DomainState::shut_off) {
            std::vector<hypervisor::OverlaySpec> overlays;
            for (const Source::Disk& disk : source.disks) overlays.push_back({disk.volume.uuid, disk.overlay_place});
            TRY(cut(overlays, report));
        }
        crash_point("captured-before-rows");
    }
    TRY(adopt(source, report.layers_reused));
    crash_point("captured");
    return api::to_json(report, api::Audience::storage);
}

Result<void> Capture::undo(StepContext&) {
    const Result<Source> loaded = store::read(parts_.database(), [this](Transaction& transaction) { return load(transaction); });
    if (!loaded.has_value()) return {};  // the source changed or went before anything was made
    TRY_ASSIGN(const std::vector<hypervisor::DiskTop> tops, parts_.hypervisor.disk_tops(plan_.source));
    const auto in_use = [&](const Source::Disk& disk) {
        return std::ranges::any_of(
            tops, [&](const hypervisor::DiskTop& top) { return top.volume == disk.volume.uuid && top.place.path == disk.overlay.path; });
    };
    if (std::ranges::any_of(loaded->disks, in_use)) return adopt(*loaded, false);  // the source writes to the overlays: they are its disks now
    for (const Source::Disk& disk : loaded->disks) {
        if (disk.adopted) continue;
        TRY_ASSIGN(const std::optional<Layer> row, store::read(parts_.database(), [&](Transaction& transaction) {
                       return store::find<Layer>(transaction, {{"uuid", disk.overlay.uuid.text()}});
                   }));
        if (!row) continue;
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts_.shared.storages.open(disk.overlay_place.root));
        TRY(storage->remove(disk.overlay.path));
        TRY(parts_.database().write([&](Transaction& transaction) -> Result<void> {
            TRY(store::erase<Layer>(transaction, {{"uuid", disk.overlay.uuid.text()}}));
            return {};
        }));
    }
    return {};
}

}  // namespace ramet::clone
