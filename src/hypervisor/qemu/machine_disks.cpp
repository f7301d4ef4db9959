// The disks of a running VM: snapshots, plugging, write counters. What QEMU has is the truth; the record follows it.
#include <algorithm>
#include <utility>

#include "base/crash_point.hpp"
#include "base/patience.hpp"
#include "hypervisor/qemu/disk_files.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr int kResumeTries = 3;
constexpr auto kSettleAgain = 300ms;  // of a QEMU that was silent before: it is asked often
constexpr auto kSettlePause = 700ms;  // but not at once again

bool same_place(const storage::Place& a, const storage::Place& b) { return a.root == b.root && a.path == b.path; }

// "/machine/peripheral/disk0/virtio-backend" -> "disk0"
std::string device_of(const json::object& entry) {
    const json::value* path = entry.if_contains("qdev");
    if (path == nullptr || !path->is_string()) return {};
    const std::string text(path->as_string());
    const std::string prefix = "/machine/peripheral/";
    if (!text.starts_with(prefix)) return {};
    return text.substr(prefix.size(), text.find('/', prefix.size()) - prefix.size());
}

const json::object* object_in(const json::object& from, const char* name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_object() ? &value->as_object() : nullptr;
}

std::int64_t counter(const json::object& from, const char* name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

}  // namespace

DiskSpec* Machine::find_disk(const VolumeId& volume) {
    for (DiskSpec& disk : record_.spec.disks) {
        if (disk.volume == volume) return &disk;
    }
    return nullptr;
}

Result<std::map<std::string, std::string>> Machine::top_nodes() {
    TRY_ASSIGN(const json::value reply, ask("query-block"));
    std::map<std::string, std::string> tops;
    if (!reply.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-block");
    for (const json::value& entry : reply.as_array()) {
        if (!entry.is_object()) continue;
        const json::object* inserted = object_in(entry.as_object(), "inserted");
        const json::value* node = inserted == nullptr ? nullptr : inserted->if_contains("node-name");
        if (const std::string device = device_of(entry.as_object()); !device.empty() && node != nullptr && node->is_string()) {
            tops[device] = std::string(node->as_string());
        }
    }
    return tops;
}

Result<std::map<std::string, std::int64_t>> Machine::write_counters() {
    TRY_ASSIGN(const json::value reply, ask("query-blockstats"));
    std::map<std::string, std::int64_t> counters;
    if (!reply.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-blockstats");
    for (const json::value& entry : reply.as_array()) {
        if (!entry.is_object()) continue;
        const json::object* stats = object_in(entry.as_object(), "stats");
        const std::string device = device_of(entry.as_object());
        if (device.empty() || stats == nullptr) continue;
        counters[device] = counter(*stats, "wr_operations") + counter(*stats, "unmap_operations") + counter(*stats, "failed_wr_operations") +
                           counter(*stats, "failed_unmap_operations");
    }
    return counters;
}

Result<bool> Machine::disks_untouched() {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    TRY_ASSIGN(const auto counters, write_counters());
    for (const DiskSpec& disk : record_.spec.disks) {
        const auto now = counters.find(disk_device(disk.device_id));
        const auto before = record_.writes_at_opening.find(disk.volume.text());
        const std::int64_t opened = before == record_.writes_at_opening.end() ? 0 : before->second;
        if (now == counters.end() || now->second != opened) return false;
    }
    return true;
}

Result<std::vector<DiskTop>> Machine::disk_tops() {
    TRY_ASSIGN(const auto lock, hold());
    TRY_ASSIGN(const bool running, alive());
    DomainRecord record = record_;
    if (!running) {
        if (!directory_) return std::vector<DiskTop>{};
        Result<DomainRecord> last = directory_->read_record();
        if (!last.has_value()) return std::vector<DiskTop>{};  // it never started
        record = std::move(*last);
    }
    if (running && !settled_ && record.pending) {
        return fail(ErrorCode::timeout, "The VM's process does not answer in the middle of a capture; this waits until it does or has ended",
                    "process " + std::to_string(run_->process.pid));
    }
    std::vector<DiskTop> tops;
    for (const DiskSpec& disk : record.spec.disks) {
        if (!disk.chain_top_first.empty()) tops.push_back({disk.volume, disk.chain_top_first.front(), disk.chain_top_first});
    }
    // A process that ended in the middle of a snapshot may have written to the overlays; over an unchanged layer an unused one is harmless.
    if (!running && record.pending) {
        for (const OverlaySpec& overlay : record.pending->overlays) tops.push_back({overlay.volume, overlay.overlay});
    }
    return tops;
}

// --- nodes

Result<std::string> Machine::hand_over(Fd file, const std::string& purpose, bool read_only) {
    TRY_ASSIGN(Qmp* const qmp, monitor());
    TRY_ASSIGN(const json::value reply, qmp->run("add-fd", {{"opaque", purpose}}, file.get()));
    if (!reply.is_object()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "add-fd");
    return read_only ? "/dev/fdset/" + std::to_string(counter(reply.as_object(), "fdset-id"))
                     : "/proc/self/fd/" + std::to_string(counter(reply.as_object(), "fd"));
}

Result<void> Machine::add_layer(std::int64_t device_id, std::size_t level, const storage::Place& place, bool writable, const std::string& below) {
    remove_layer(device_id, level);  // of an earlier try
    return add_fresh_layer(device_id, level, place, writable, below);
}

Result<void> Machine::add_fresh_layer(std::int64_t device_id, std::size_t level, const storage::Place& place, bool writable,
                                      const std::string& below) {
    TRY_ASSIGN(Fd file, writable ? open_layer_handle(place, surroundings_.user) : open_layer_read_only(place));
    const std::string node = file_node(device_id, level);
    TRY_ASSIGN(const std::string name, hand_over(std::move(file), node, !writable));
    TRY(ask("blockdev-add", file_node_options(node, name, !writable)));
    TRY(ask("blockdev-add", format_node_options(format_node(device_id, level), node, place.format, below, !writable)));
    return {};
}

// Nodes that are not there are no matter: this also clears up after what was only half done.
void Machine::remove_layer(std::int64_t device_id, std::size_t level) {
    (void)ask("blockdev-del", {{"node-name", format_node(device_id, level)}});
    (void)ask("blockdev-del", {{"node-name", file_node(device_id, level)}});
    const Result<json::value> sets = ask("query-fdsets");
    if (!sets.has_value() || !sets->is_array()) return;
    for (const json::value& set : sets->as_array()) {
        const json::value* members = set.is_object() ? set.as_object().if_contains("fds") : nullptr;
        if (members == nullptr || !members->is_array()) continue;
        for (const json::value& member : members->as_array()) {
            const json::value* purpose = member.is_object() ? member.as_object().if_contains("opaque") : nullptr;
            if (purpose != nullptr && *purpose == json::value(file_node(device_id, level))) {
                (void)ask("remove-fd", {{"fdset-id", counter(set.as_object(), "fdset-id")}});
            }
        }
    }
}

// --- snapshots

Result<void> Machine::add_overlays(const std::vector<OverlaySpec>& overlays) {
    for (const OverlaySpec& overlay : overlays) {
        const DiskSpec* disk = find_disk(overlay.volume);
        TRY(add_layer(disk->device_id, next_level(*disk), overlay.overlay, true, ""));
    }
    return {};
}

void Machine::remove_overlays(const std::vector<OverlaySpec>& overlays) {
    for (const OverlaySpec& overlay : overlays) {
        const DiskSpec* disk = find_disk(overlay.volume);
        if (disk != nullptr) remove_layer(disk->device_id, next_level(*disk));
    }
}

Result<bool> Machine::are_on_top(const std::vector<OverlaySpec>& overlays) {
    TRY_ASSIGN(auto tops, top_nodes());
    return std::all_of(overlays.begin(), overlays.end(), [&](const OverlaySpec& overlay) {
        const DiskSpec* disk = find_disk(overlay.volume);
        return disk != nullptr && tops[disk_device(disk->device_id)] == format_node(disk->device_id, next_level(*disk));
    });
}

void Machine::commit_overlays(const std::vector<OverlaySpec>& overlays, const std::map<std::string, std::int64_t>& counters) {
    for (const OverlaySpec& overlay : overlays) {
        DiskSpec* disk = find_disk(overlay.volume);
        const auto count = counters.find(disk_device(disk->device_id));
        record_.writes_at_opening[overlay.volume.text()] = count == counters.end() ? -1 : count->second;
        const std::vector<std::int64_t> levels = levels_of(*disk);
        seal_node(disk->device_id, static_cast<std::size_t>(levels.front()),
                  levels.size() == 1 ? "" : format_node(disk->device_id, static_cast<std::size_t>(levels[1])));
        put_on_top(*disk, overlay.overlay);
    }
    record_.pending.reset();
    save_record();
}

// The old top is read by clones from now on. QEMU has given up its write lock; giving up the writable file as well is a second fence.
void Machine::seal_node(std::int64_t device_id, std::size_t level, const std::string& below) {
    const Result<json::value> nodes = ask("query-named-block-nodes", {{"flat", true}});
    if (!nodes.has_value() || !nodes->is_array()) return;
    const std::string file = file_node(device_id, level), format = format_node(device_id, level);
    std::string file_name, driver;
    for (const json::value& value : nodes->as_array()) {
        if (!value.is_object()) continue;
        const json::object& node = value.as_object();
        const json::value* name = node.if_contains("node-name");
        if (name == nullptr) continue;
        if (*name == json::value(file) && node.contains("file")) file_name = std::string(node.at("file").as_string());
        if (*name == json::value(format) && node.contains("drv")) driver = std::string(node.at("drv").as_string());
    }
    const DiskFormat kind = enum_from<DiskFormat>(driver).value_or(DiskFormat::qcow2);
    const json::array options{format_node_options(format, file, kind, below, true), file_node_options(file, file_name, true)};
    const Result<json::value> reopened = ask("blockdev-reopen", {{"options", options}});
    if (!reopened.has_value()) telemetry::log_debug("VM {}: a sealed layer stays open for writing: {}", vm_.text(), reopened.error().detail);
}

Result<void> Machine::ensure_running() {
    Result<void> last;
    for (int attempt = 0; attempt < kResumeTries; ++attempt) {
        Result<json::value> reply = ask("cont");
        if (reply.has_value()) return {};
        last = std::unexpected<Error>(std::move(reply.error()));
        const bool is_silent = last.error().code == ErrorCode::timeout || last.error().code == ErrorCode::cancelled;
        if (is_silent || has_ended(run_->process)) break;
    }
    telemetry::log_error("VM {}: cannot be resumed after a snapshot: {} ({})", vm_.text(), last.error().message, last.error().detail);
    return last;
}

Result<void> Machine::blockdev_snapshot(const std::vector<OverlaySpec>& overlays) {
    json::array actions;
    for (const OverlaySpec& overlay : overlays) {
        const DiskSpec* disk = find_disk(overlay.volume);
        actions.push_back(
            json::object{{"type", "blockdev-snapshot"},
                         {"data", json::object{{"node", top_node(*disk)}, {"overlay", format_node(disk->device_id, next_level(*disk))}}}});
    }
    TRY(ask("transaction", {{"actions", std::move(actions)}}));
    return {};
}

// The pause. Whatever happens between stop and cont, cont is sent.
Result<CaptureFacts> Machine::cut(const std::vector<OverlaySpec>& overlays, bool running, const WhileStopped& while_stopped) {
    TRY_ASSIGN(Qmp* const before, monitor());
    before->drop_events();
    Result<void> done;
    if (running) {
        if (Result<json::value> stopped = ask("stop"); !stopped.has_value()) done = std::unexpected<Error>(std::move(stopped.error()));
    }
    crash_point("qemu.snapshot.stopped");
    std::map<std::string, std::int64_t> counters;
    if (done.has_value() && while_stopped) done = while_stopped();
    if (done.has_value()) {
        if (auto read = write_counters(); read.has_value()) counters = std::move(*read);
        done = blockdev_snapshot(overlays);
    }
    crash_point("qemu.snapshot.cut");
    const Patience tidy = Patience::to_tidy_up_after(done);
    const Result<void> resumed = running ? ensure_running() : Result<void>();
    CaptureFacts facts;
    if (running && qmp_) {
        const auto stop_event = qmp_->take_event("STOP"), resume_event = qmp_->take_event("RESUME");
        if (stop_event && resume_event) facts.paused = resume_event->at - stop_event->at;
    }
    // The answer may have been lost on the way: ask what is there.
    const Result<bool> on_top = done.has_value() ? Result<bool>(true) : are_on_top(overlays);
    if (on_top.value_or(false)) commit_overlays(overlays, counters);
    if (!on_top.has_value() || !resumed.has_value()) leave_unsettled(running);
    if (!on_top.value_or(false)) return std::unexpected<Error>(std::move(done.error()));
    if (!resumed.has_value()) return std::unexpected<Error>(resumed.error());
    return facts;
}

Result<bool> Machine::already_cut(const std::vector<OverlaySpec>& overlays) {
    std::size_t done_before = 0;
    for (const OverlaySpec& overlay : overlays) {
        const DiskSpec* disk = find_disk(overlay.volume);
        if (disk == nullptr) return fail(ErrorCode::wrong_state, "A volume of the snapshot is not attached to the running VM");
        if (overlay.overlay.format != DiskFormat::qcow2) return fail(ErrorCode::invalid_argument, "An overlay has to be a qcow2 file");
        if (same_place(disk->chain_top_first.front(), overlay.overlay)) ++done_before;
    }
    if (done_before == overlays.size()) return true;
    if (done_before != 0) return fail(ErrorCode::wrong_state, "Some volumes of the snapshot have been cut already, others not; take a new snapshot");
    return false;
}

Result<CaptureFacts> Machine::cut_disks(const std::vector<OverlaySpec>& overlays, const WhileStopped& while_stopped) {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    if (!record_.streams.empty()) return fail(ErrorCode::wrong_state, "The VM's layers are being merged; try again in a moment");
    TRY_ASSIGN(const bool done_before, already_cut(overlays));
    if (done_before) return CaptureFacts{};
    TRY_ASSIGN(const std::string status, run_state());
    Result<void> ready = add_overlays(overlays);
    if (ready.has_value()) {
        record_.pending = PendingSnapshot{overlays, status == "running"};
        ready = directory_->write_record(record_);
    }
    Result<CaptureFacts> facts =
        ready.has_value() ? cut(overlays, status == "running", while_stopped) : Result<CaptureFacts>(std::unexpected<Error>(ready.error()));
    if (!facts.has_value()) {
        if (settled_) {
            const Patience tidy = Patience::to_tidy_up_after(ready);
            if (record_.pending || !ready.has_value()) remove_overlays(overlays);
            record_.pending.reset();
            save_record();
        }
        return failed("The VM's disks cannot be snapshot", std::move(facts.error()));
    }
    return facts;
}

Result<bool> Machine::settle_pending() {
    const PendingSnapshot pending = *record_.pending;
    TRY_ASSIGN(const bool on_top, are_on_top(pending.overlays));
    if (on_top) {
        commit_overlays(pending.overlays, {});
    } else {
        remove_overlays(pending.overlays);
        record_.pending.reset();
        save_record();
    }
    return on_top;
}

// A process that does not answer is a process all the same: it is tried again with the next call.
void Machine::try_to_settle() {
    if (settled_ || std::chrono::steady_clock::now() < settle_not_before_) return;
    const Patience patience = settle_failed_ ? Patience::at_most(kSettleAgain) : Patience::to_tidy_up();
    const Result<void> done = settle_record();
    settled_ = done.has_value();
    if (!settled_ && !std::exchange(settle_failed_, true))
        telemetry::log_error("VM {}: its disks are not known yet: {} ({})", vm_.text(), done.error().message, done.error().detail);
    if (settled_) settle_failed_ = false;
    settle_not_before_ = settled_ ? Deadline{} : after(kSettlePause);
}

void Machine::leave_unsettled(bool resume) {
    telemetry::log_warning("VM {}: its process is not done with a capture; {} as soon as it answers", vm_.text(),
                           resume ? "its guest is let go on" : "it is asked what has become of it");
    record_.resume_owed = resume;
    save_record();
    settled_ = false;
    settle_failed_ = true;
    settle_not_before_ = after(kSettlePause);
}

Result<void> Machine::settle_record() {
    TRY_ASSIGN(const auto tops, top_nodes());
    const auto gone = std::erase_if(record_.spec.disks, [&](const DiskSpec& disk) { return !tops.contains(disk_device(disk.device_id)); });
    if (gone > 0) save_record();
    TRY(settle_streams());
    TRY(settle_migration());
    const bool resume = record_.resume_owed || (record_.pending && record_.pending->resume);
    record_.resume_owed = resume;  // until it is done, whatever becomes of this try
    if (record_.pending) TRY(settle_pending());
    TRY_ASSIGN(const std::string status, run_state());
    if (status == "postmigrate")
        TRY(leave_migration(resume));
    else
        TRY(stop_again());
    if (resume && status == "paused") {
        telemetry::log_info("VM {}: resumed; it was paused for a capture that did not come to its end", vm_.text());
        TRY(ensure_running());
    }
    if (std::exchange(record_.resume_owed, false)) save_record();
    return {};
}

// --- plugging

Result<void> Machine::plug_disk(const DiskSpec& disk) {
    std::string below;
    const std::size_t levels = disk.chain_top_first.size();
    for (std::size_t level = 0; level < levels; ++level) {
        TRY(add_layer(disk.device_id, level, disk.chain_top_first[levels - 1 - level], level + 1 == levels, below));
        below = format_node(disk.device_id, level);
    }
    Result<json::value> added = ask("device_add", disk_device_options(disk.device_id, disk.volume, below));
    if (added.has_value()) return {};
    if (added.error().detail.find("not found") == std::string::npos) return std::unexpected<Error>(std::move(added.error()));
    return fail(ErrorCode::attach_volume_failed, "The running VM has no free slot for another disk; stop it, attach the volume and start it again",
                added.error().detail);
}

Result<void> Machine::attach_disk(const DiskSpec& disk) {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    TRY_ASSIGN(const auto tops, top_nodes());
    const bool device_there = tops.contains(disk_device(disk.device_id));
    if (const DiskSpec* known = find_disk(disk.volume); known != nullptr && known->device_id == disk.device_id && device_there) return {};
    DomainSpec wanted = record_.spec;
    std::erase_if(wanted.disks, [&](const DiskSpec& other) { return other.volume == disk.volume && !tops.contains(disk_device(other.device_id)); });
    wanted.disks.push_back(disk);
    TRY(check_spec(wanted));
    if (device_there)
        return fail(ErrorCode::attach_volume_failed, "The guest still holds the disk that had this place; try again when it has let go");
    const DomainSpec before = record_.spec;
    record_.spec = wanted;
    record_.writes_at_opening.erase(disk.volume.text());
    record_.levels.erase(disk.volume.text());
    record_.streams.erase(disk.volume.text());
    Result<void> plugged = directory_->write_record(record_);
    if (plugged.has_value()) plugged = plug_disk(disk);
    if (!plugged.has_value()) {
        const Patience tidy = Patience::to_tidy_up_after(plugged);
        for (std::size_t level = disk.chain_top_first.size(); level-- > 0;) remove_layer(disk.device_id, level);
        record_.spec = before;
        save_record();
        return failed("The volume cannot be attached", std::move(plugged.error()));
    }
    return {};
}

Result<bool> Machine::unplug_device(const std::string& device) {
    const Deadline deadline = std::chrono::steady_clock::now() + surroundings_.options.detach_patience;
    const Result<json::value> asked = ask("device_del", {{"id", device}});
    if (!asked.has_value() && asked.error().detail.find("not found") != std::string::npos) return true;
    if (!asked.has_value() && asked.error().detail.find("already in the process") == std::string::npos) return std::unexpected<Error>(asked.error());
    while (true) {
        TRY_ASSIGN(Qmp* const qmp, monitor());
        Result<QmpEvent> event = qmp->wait_event("DEVICE_DELETED", deadline);
        if (event.has_value()) {
            const json::value* name = event->data.if_contains("device");
            if (name != nullptr && *name == json::value(device)) return true;
        } else if (event.error().code == ErrorCode::timeout) {
            TRY_ASSIGN(const auto tops, top_nodes());
            return !tops.contains(device);
        } else {
            return std::unexpected<Error>(std::move(event.error()));
        }
    }
}

Result<void> Machine::detach_disk(const VolumeId& volume) {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    const DiskSpec* known = find_disk(volume);
    if (known == nullptr) return {};
    const DiskSpec disk = *known;
    TRY_ASSIGN(const auto tops, top_nodes());
    if (tops.contains(disk_device(disk.device_id))) {
        TRY_ASSIGN(const bool gone, unplug_device(disk_device(disk.device_id)));
        if (!gone) {
            return fail(ErrorCode::detach_volume_failed,
                        "The guest does not let go of the disk; unmount it inside the guest, or stop the VM, and detach the volume again");
        }
    }
    const Patience tidy = Patience::to_tidy_up();
    for (const std::int64_t level : levels_of(disk)) remove_layer(disk.device_id, static_cast<std::size_t>(level));
    record_.levels.erase(volume.text());
    record_.streams.erase(volume.text());
    std::erase_if(record_.spec.disks, [&](const DiskSpec& other) { return other.volume == volume; });
    record_.writes_at_opening.erase(volume.text());
    save_record();
    return {};
}

}  // namespace ramet::hypervisor
