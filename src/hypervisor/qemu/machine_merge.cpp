// Shortening the chain of a running VM's disk: QEMU's block-stream copies what the layers between top and base hold into the top layer, which
// belongs to this VM alone; no shared layer is written. The job lives in the QEMU process and ends with it; what it copied is no different
// from what is below, so there is nothing to undo.
//
//   d0l4q ◄ d0l3q ◄ d0l2q ◄ d0l1q ◄ d0l0q     base d0l1q     ─►     d0l4q ◄ d0l1q ◄ d0l0q     nodes keep their names: levels get gaps
#include <algorithm>

#include "base/crash_point.hpp"
#include "base/patience.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto kStreamPollFirst = 2ms;  // grows twofold: small layers are copied in milliseconds
constexpr auto kStreamPollMax = 64ms;
constexpr auto kCancelPatience = 10s;  // QEMU ends the request in flight first
constexpr std::int64_t kToTheEnd = -1;

std::string stream_job(const DiskSpec& disk) { return "stream-" + disk_device(disk.device_id); }

std::int64_t number_in(const json::object& from, const char* name) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

// The level of "d<device>l<level>q" or "...f"; nothing for other names.
std::optional<std::int64_t> level_of(const std::string& node, std::int64_t device_id) {
    const std::string prefix = "d" + std::to_string(device_id) + "l";
    if (!node.starts_with(prefix) || node.size() < prefix.size() + 2) return std::nullopt;
    const std::string digits = node.substr(prefix.size(), node.size() - prefix.size() - 1);
    if (digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    return std::stoll(digits);
}

}  // namespace

std::vector<std::int64_t> Machine::levels_of(const DiskSpec& disk) const {
    const auto known = record_.levels.find(disk.volume.text());
    if (known != record_.levels.end() && known->second.size() == disk.chain_top_first.size()) return known->second;
    std::vector<std::int64_t> levels;
    for (std::size_t level = disk.chain_top_first.size(); level-- > 0;) levels.push_back(static_cast<std::int64_t>(level));
    return levels;
}

void Machine::put_on_top(DiskSpec& disk, const storage::Place& overlay) {
    std::vector<std::int64_t> levels = levels_of(disk);
    levels.insert(levels.begin(), levels.front() + 1);
    disk.chain_top_first.insert(disk.chain_top_first.begin(), overlay);
    if (record_.levels.contains(disk.volume.text())) record_.levels[disk.volume.text()] = std::move(levels);
}

Result<Machine::Stream> Machine::look_at_stream(const DiskSpec& disk) {
    TRY_ASSIGN(const json::value reply, ask("query-jobs"));
    if (!reply.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-jobs");
    for (const json::value& value : reply.as_array()) {
        if (!value.is_object() || text_in(value, "id") != stream_job(disk)) continue;
        const json::object& job = value.as_object();
        Stream stream;
        stream.progress = {number_in(job, "current-progress"), number_in(job, "total-progress")};
        stream.error = text_in(job, "error");
        stream.end = text_in(job, "status") != "concluded" ? StreamEnd::running : (stream.error.empty() ? StreamEnd::whole : StreamEnd::failed);
        return stream;
    }
    return Stream{};
}

Result<bool> Machine::begin_stream(const ShortenSpec& spec) {
    DiskSpec* const disk = find_disk(spec.volume);
    if (disk == nullptr) return fail(ErrorCode::wrong_state, "The volume is not attached to the running VM");
    TRY_ASSIGN(const Stream before, look_at_stream(*disk));
    if (before.end != StreamEnd::none && record_.streams.contains(spec.volume.text())) return true;  // this call, repeated
    TRY(cancel_stream(*disk));                                                                       // of an earlier call, all but dismissed
    const std::vector<std::int64_t> levels = levels_of(*disk);
    std::int64_t base_level = kToTheEnd;
    std::size_t base_index = levels.size();
    for (std::size_t i = 1; spec.base && i < levels.size(); ++i) {
        const storage::Place& place = disk->chain_top_first[i];
        if (place.root != spec.base->root || place.path != spec.base->path) continue;
        base_level = levels[i];
        base_index = i;
    }
    if (spec.base && base_level == kToTheEnd) return fail(ErrorCode::wrong_state, "The running VM's disk does not stand on the layer it is to keep");
    if (base_index == 1) {
        remove_stale_layers(*disk);  // an earlier server may not have come so far
        return false;
    }
    record_.streams[spec.volume.text()] = base_level;
    TRY(directory_->write_record(record_));
    crash_point("qemu.stream.recorded");
    json::object order{{"job-id", stream_job(*disk)},
                       {"device", top_node(*disk)},
                       {"filter-node-name", stream_job(*disk) + "-filter"},
                       {"auto-dismiss", false},
                       {"speed", spec.bytes_per_second_max}};
    if (base_level != kToTheEnd) {
        order["base-node"] = format_node(disk->device_id, static_cast<std::size_t>(base_level));
        order["backing-file"] = spec.base->root + "/" + spec.base->path;  // for the file's header; we name the layers ourselves
    }
    TRY(ask("block-stream", std::move(order)));
    crash_point("qemu.stream.begun");
    return true;
}

// An ended job keeps its filter node, without a child, and QEMU 7.2 ends with a segmentation fault when it is asked for all named nodes then.
void Machine::dismiss_stream(const DiskSpec& disk) { (void)ask("job-dismiss", {{"id", stream_job(disk)}}); }

// Nodes of layers that the record has no more: files that must not be held open any longer. No stream job is there.
void Machine::remove_stale_layers(const DiskSpec& disk) {
    const Result<json::value> nodes = ask("query-named-block-nodes", {{"flat", true}});
    if (!nodes.has_value() || !nodes->is_array()) return;
    const std::vector<std::int64_t> levels = levels_of(disk);
    std::vector<std::int64_t> stale;
    for (const json::value& value : nodes->as_array()) {
        if (!value.is_object()) continue;
        const std::optional<std::int64_t> level = level_of(text_in(value, "node-name"), disk.device_id);
        if (level && std::ranges::find(levels, *level) == levels.end() && std::ranges::find(stale, *level) == stale.end()) stale.push_back(*level);
    }
    std::ranges::sort(stale, std::greater<>{});  // a node that another one builds on cannot be removed
    for (const std::int64_t level : stale) remove_layer(disk.device_id, static_cast<std::size_t>(level));
}

// What a copy wrote is in QEMU's caches still, while the file's header names the base already: a QEMU that is killed now loses it. No command
// flushes; but an image that is opened anew, with the options it has, is flushed first.
Result<void> Machine::flush_top(const DiskSpec& disk, const std::vector<std::int64_t>& levels) {
    const std::string below = levels.size() == 1 ? "" : format_node(disk.device_id, static_cast<std::size_t>(levels[1]));
    const std::string file = file_node(disk.device_id, static_cast<std::size_t>(levels.front()));
    const json::object options = format_node_options(top_node(disk), file, DiskFormat::qcow2, below, false);
    TRY(ask("blockdev-reopen", {{"options", json::array{options}}}));
    return {};
}

// QEMU has let go of the layers between: the top is brought to disk, the record follows, then the job is forgotten, then the files are closed.
// Each may be repeated.
Result<void> Machine::finish_stream(DiskSpec& disk) {
    if (const auto stream = record_.streams.find(disk.volume.text()); stream != record_.streams.end()) {
        const std::vector<std::int64_t> levels = levels_of(disk);
        std::vector<std::int64_t> kept{levels.front()};
        std::vector<storage::Place> chain{disk.chain_top_first.front()};
        for (std::size_t i = 1; i < levels.size(); ++i) {
            if (levels[i] > stream->second) continue;
            kept.push_back(levels[i]);
            chain.push_back(disk.chain_top_first[i]);
        }
        TRY(flush_top(disk, kept));
        disk.chain_top_first = std::move(chain);
        record_.levels[disk.volume.text()] = std::move(kept);
        record_.streams.erase(stream);
        TRY(directory_->write_record(record_));
    }
    crash_point("qemu.stream.whole");
    dismiss_stream(disk);
    remove_stale_layers(disk);
    return {};
}

Result<void> Machine::cancel_stream(DiskSpec& disk) {
    TRY_ASSIGN(Stream stream, look_at_stream(disk));
    if (stream.end == StreamEnd::running) (void)ask("job-cancel", {{"id", stream_job(disk)}});
    const auto deadline = std::chrono::steady_clock::now() + kCancelPatience;
    while (stream.end == StreamEnd::running) {
        if (std::chrono::steady_clock::now() > deadline)
            return fail(ErrorCode::timeout, "QEMU does not end the copy of a disk; its storage may hang", stream_job(disk));
        TRY(pause_patiently(5ms));
        TRY_ASSIGN(stream, look_at_stream(disk));
    }
    if (stream.end == StreamEnd::whole) return finish_stream(disk);  // it was quicker
    if (stream.end == StreamEnd::failed) dismiss_stream(disk);
    if (record_.streams.erase(disk.volume.text()) > 0) save_record();
    return {};
}

Result<void> Machine::settle_streams() {
    for (DiskSpec& disk : record_.spec.disks) {
        TRY(cancel_stream(disk));
        if (record_.levels.contains(disk.volume.text())) remove_stale_layers(disk);
    }
    return {};
}

Result<bool> Machine::take_stream_on(const ShortenSpec& spec, const storage::CopyObserver& observer) {
    DiskSpec* const disk = find_disk(spec.volume);
    if (disk == nullptr) return fail(ErrorCode::wrong_state, "The volume was detached while its layers were being merged");
    TRY_ASSIGN(const Stream stream, look_at_stream(*disk));
    switch (stream.end) {
    case StreamEnd::running:
        if (observer) observer(stream.progress);
        return false;
    case StreamEnd::whole: {
        if (observer) observer(stream.progress);
        TRY(finish_stream(*disk));
        return true;
    }
    case StreamEnd::failed:
    case StreamEnd::none: break;
    }
    (void)cancel_stream(*disk);
    const bool full = stream.error.find("No space left") != std::string::npos;
    return fail(full ? ErrorCode::storage_full : ErrorCode::operation_failed,
                full ? "The storage is full; free some space and try again" : "QEMU could not merge the layers of a disk; the disk is as it was",
                stream.error);
}

Result<void> Machine::shorten_disk(const ShortenSpec& spec, const storage::CopyObserver& observer, const std::stop_token& stop) {
    const Patience tidy = Patience::to_tidy_up();  // a copy that is called off has to be ended
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        // The record is written before a copy is begun: without a word in it there is none to end, and QEMU need not be asked.
        const bool begun_before = record_.streams.contains(spec.volume.text());
        if (stop.stop_requested() && !begun_before) return fail(ErrorCode::cancelled, "No copy of a disk was being made");
        if (!stop.stop_requested()) {
            TRY_ASSIGN(const bool begun, begin_stream(spec));
            if (!begun) return {};
        }
    }
    for (auto pause = kStreamPollFirst;; pause = std::min(pause * 2, kStreamPollMax)) {
        {
            TRY_ASSIGN(const auto lock, hold());  // not held between two looks: the VM can be used all the time
            TRY(require_alive());
            if (stop.stop_requested()) {
                if (DiskSpec* const disk = find_disk(spec.volume)) TRY(cancel_stream(*disk));
                return fail(ErrorCode::cancelled, "Merging the layers of a disk was cancelled; the disk is as it was");
            }
            TRY_ASSIGN(const bool whole, take_stream_on(spec, observer));
            if (whole) return {};
        }
        (void)pause_patiently(pause);
    }
}

}  // namespace ramet::hypervisor
