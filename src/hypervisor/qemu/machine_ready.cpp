// A VM that goes on in a process started in advance (ready_pool.hpp), and what that process is given before.
#include <fcntl.h>
#include <sys/mman.h>

#include "base/crash_point.hpp"
#include "hypervisor/machine_identity.hpp"
#include "hypervisor/qemu/disk_files.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "hypervisor/qemu/memory_files.hpp"
#include "hypervisor/qemu/ready_pool.hpp"
#include "hypervisor/qemu/templates.hpp"
#include "storage/qcow2_writer.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

Result<void> Machine::start_ready(ReadyProcess ready, const DomainSpec& spec, const MemoryPlace& place) {
    TRY(adopt(std::move(ready.process), true));
    qmp_ = std::move(ready.qmp);
    directory_ = std::move(ready.directory);
    record_ = DomainRecord{.spec = spec, .machine = ready.machine};
    settled_ = true;
    TRY(directory_->become(surroundings_.options.run_root, vm_));
    crash_point("qemu.ready-taken");
    TRY(directory_->write_record(record_, false));
    const Result<void> written = directory_->write_pid(run_->process);
    if (!written.has_value()) telemetry::log_warning("VM {}: {}", vm_.text(), written.error().detail);  // the scan finds it all the same
    if (ready.loaded) {
        for (const DiskSpec& disk : spec.disks) TRY(exchange_blank_layer(disk));
        if (!spec.seed_image.empty()) TRY(fill_seed(ready.seed, spec.seed_image));
        return let_go_on();
    }
    for (const DiskSpec& disk : spec.disks) TRY(plug_fresh_disk(disk));
    if (!spec.seed_image.empty()) {
        TRY_ASSIGN(Fd seed, open_seed(spec.seed_image));
        TRY(exchange_seed(std::move(seed)));
    }
    for (const NicSpec& nic : spec.nics) TRY(plug_fresh_nic(nic));
    TRY(begin_loading(place));
    return begin_from_memory();
}

// A process that waited keeps the one it was started with: it is nobody else's, which is all that a guest asks of it.
Result<std::string> Machine::generation_id() {
    TRY_ASSIGN(const auto lock, hold());
    TRY(require_alive());
    return record_.machine.empty() ? hypervisor::generation_id(vm_, record_.spec.generation) : hypervisor::generation_id(record_.machine);
}

Result<void> Machine::start_forked(const DomainSpec& spec, const KeptMemory& memory) {
    TRY(begin_record(spec, false));
    directory_->remove_leftovers();
    TRY_ASSIGN(Forked forked, surroundings_.templates->fork(memory, spec, *directory_));
    crash_point("qemu.launched");
    const Result<void> written = directory_->write_pid(forked.process);
    if (!written.has_value()) telemetry::log_warning("VM {}: {}", vm_.text(), written.error().detail);  // the scan finds it all the same
    TRY(adopt(std::move(forked.process), true));
    qmp_ = std::move(forked.qmp);
    for (const DiskSpec& disk : spec.disks) TRY(exchange_blank_layer(disk));
    return let_go_on();
}

Result<void> Machine::begin_loading(const MemoryPlace& place) {
    TRY_ASSIGN(const Fd state, open_state(place));
    TRY_ASSIGN(Qmp* const qmp, monitor());
    TRY(qmp->run("getfd", {{"fdname", "state"}}, state.get()));
    TRY(ask("migrate-incoming", {{"uri", "fd:state"}}));
    return {};
}

// All that can be done while nobody waits.
Result<void> Machine::load_ready(ReadyProcess& ready, const MemoryPlace& place) {
    directory_ = std::move(ready.directory);
    qmp_ = std::move(ready.qmp);
    Result<void> loaded = complete_and_load(ready, place);
    ready.loaded = loaded.has_value();
    ready.qmp = std::move(qmp_);
    ready.directory = std::move(*directory_);
    return loaded;
}

Result<void> Machine::complete_and_load(ReadyProcess& ready, const MemoryPlace& place) {
    for (const DiskSpec& disk : ready.disks) TRY(plug_blank_disk(disk));
    for (const NicSpec& nic : ready.nics) TRY(plug_fresh_nic(nic));
    if (ready.with_seed) TRY(plug_blank_seed(ready.seed));
    TRY(ask("migrate-set-capabilities", {{"capabilities", json::array{json::object{{"capability", "late-block-activate"}, {"state", true}}}}}));
    TRY(begin_loading(place));
    TRY_ASSIGN(const std::string status, wait_until_loaded());
    if (status != "paused") return fail(ErrorCode::operation_failed, "The captured state cannot be loaded in advance", "QEMU says " + status);
    for (const NicSpec& nic : ready.nics) TRY(set_link_of(nic, false));
    return {};
}

Result<std::string> Machine::plug_layers(std::int64_t device_id, std::span<const storage::Place> chain_top_first, bool writable_top) {
    std::string below;
    const std::size_t levels = chain_top_first.size();
    for (std::size_t level = 0; level < levels; ++level) {
        TRY(add_fresh_layer(device_id, level, chain_top_first[levels - 1 - level], writable_top && level + 1 == levels, below));
        below = format_node(device_id, level);
    }
    return below;
}

Result<void> Machine::plug_fresh_disk(const DiskSpec& disk) {
    TRY_ASSIGN(const std::string top, plug_layers(disk.device_id, disk.chain_top_first, true));
    return plug_node(disk, top);
}

Result<void> Machine::plug_node(const DiskSpec& disk, const std::string& node) {
    json::object device = disk_device_options(disk.device_id, disk.volume, node);
    if (disk.device_id == 0) device["bootindex"] = 0;
    TRY(ask("device_add", std::move(device)));
    return {};
}

// An image in memory on top of the captured layers, as large as they are. What it holds is never read: it is exchanged before.
Result<void> Machine::plug_blank_disk(const DiskSpec& disk) {
    TRY_ASSIGN(const std::string below, plug_layers(disk.device_id, disk.chain_top_first, false));
    TRY_ASSIGN(const std::int64_t size_bytes, size_of_node(below));
    Fd image(::memfd_create("blank", MFD_CLOEXEC));
    if (!image.valid()) return fail(ErrorCode::operation_failed, "There is no memory for a disk that waits for its own");
    TRY(storage::write_qcow2(image.get(), size_bytes, std::nullopt));
    const std::string node = format_node(disk.device_id, disk.chain_top_first.size());
    TRY_ASSIGN(const std::string name, hand_over(std::move(image), "blank", false));
    json::object options = format_node_options(node, "", DiskFormat::qcow2, below, false);
    options["file"] = {{"driver", "file"}, {"filename", name}};  // without a name of its own, so that it goes when it is exchanged
    TRY(ask("blockdev-add", std::move(options)));
    return plug_node(disk, node);
}

Result<std::int64_t> Machine::size_of_node(const std::string& node) {
    TRY_ASSIGN(const json::value reply, ask("query-named-block-nodes", {{"flat", true}}));
    if (!reply.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-named-block-nodes");
    for (const json::value& entry : reply.as_array()) {
        if (text_in(entry, "node-name") != node) continue;
        const json::value* image = entry.as_object().if_contains("image");
        const json::value* size = image != nullptr && image->is_object() ? image->as_object().if_contains("virtual-size") : nullptr;
        if (size != nullptr && size->is_int64()) return size->as_int64();
    }
    return fail(ErrorCode::internal, "QEMU does not tell how large a disk is", node);
}

// The clone's own layer in the place of the blank one, under the same node: from here on the disk is as any other.
Result<void> Machine::exchange_blank_layer(const DiskSpec& disk) {
    const std::size_t level = disk.chain_top_first.size() - 1;
    const std::string file = file_node(disk.device_id, level);
    TRY_ASSIGN(Fd layer, open_layer_handle(disk.chain_top_first.front(), surroundings_.user));
    TRY_ASSIGN(const std::string name, hand_over(std::move(layer), file, false));
    const std::string below = level == 0 ? "" : format_node(disk.device_id, level - 1);
    return exchange_node(file_node_options(file, name, false),
                         format_node_options(format_node(disk.device_id, level), file, DiskFormat::qcow2, below, false));
}

// The seed disk sits in a slot of the board, into which nothing can be plugged: the process was started with an empty one.
Result<void> Machine::exchange_seed(Fd file) {
    TRY_ASSIGN(const std::string name, hand_over(std::move(file), "seed", true));
    return exchange_node(file_node_options("seedf", name, true), format_node_options("seedq", "seedf", DiskFormat::raw, "", true));
}

// A file in the place of another below the node that a disk reads from.
Result<void> Machine::exchange_node(json::object file, json::object format) {
    TRY_ASSIGN(Qmp* const qmp, monitor());
    json::object options{{"options", json::array{std::move(format)}}};
    return explain_timeout(qmp->run_all({{"blockdev-add", std::move(file)}, {"blockdev-reopen", std::move(options)}}), "blockdev-reopen");
}

// In memory, and as large as a seed is: its content is written when it is known, and QEMU need not be told anything then.
Result<void> Machine::plug_blank_seed(Fd& seed) {
    Fd file(::memfd_create("seed", MFD_CLOEXEC));
    if (!file.valid() || ::ftruncate(file.get(), limits::kSeedBytes) != 0)
        return fail(ErrorCode::operation_failed, "There is no memory for a seed disk");
    Fd read_only(::open(("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY | O_CLOEXEC));
    if (!read_only.valid()) return fail(ErrorCode::operation_failed, "A seed disk in memory cannot be opened", std::strerror(errno));
    TRY(exchange_seed(std::move(read_only)));
    seed = std::move(file);
    return {};
}

// A seed that does not fit, as nobody's user data are so long, is for a process of its own.
Result<void> Machine::fill_seed(const Fd& blank, const std::string& seed_image) {
    TRY_ASSIGN(const Fd image, open_seed(seed_image));
    std::vector<char> content(static_cast<std::size_t>(limits::kSeedBytes) + 1);
    const ssize_t size = ::pread(image.get(), content.data(), content.size(), 0);
    if (size != limits::kSeedBytes || ::pwrite(blank.get(), content.data(), static_cast<std::size_t>(size), 0) != size)
        return fail(ErrorCode::operation_failed, "The VM's seed does not go into the disk that waits for it", seed_image);
    return {};
}

Result<void> Machine::plug_fresh_nic(const NicSpec& nic) {
    json::object backend = user_network_options(nic);
    if (!nic.tap.empty()) {
        TRY_ASSIGN(Qmp* const qmp, monitor());
        TRY_ASSIGN(const std::vector<Fd> queues, open_tap(nic.tap, nic.queues));
        std::string names;
        for (std::size_t i = 0; i < queues.size(); ++i) {
            const std::string name = nic_backend(nic.device_id) + "q" + std::to_string(i);
            TRY(qmp->run("getfd", {{"fdname", name}}, queues[i].get()));
            names += (names.empty() ? "" : ":") + name;
        }
        backend = {{"type", "tap"}, {"id", nic_backend(nic.device_id)}, {queues.size() == 1 ? "fd" : "fds", names}};
    }
    TRY(ask("netdev_add", std::move(backend)));
    TRY(ask("device_add", nic_device_options(nic)));
    return {};
}

}  // namespace ramet::hypervisor
