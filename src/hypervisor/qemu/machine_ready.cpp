// A VM that goes on in a process started in advance (ready_pool.hpp): it gets the VM's directory, its disks, its NICs and its seed, then the
// captured state.
#include <fcntl.h>

#include "base/crash_point.hpp"
#include "hypervisor/qemu/disk_files.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "hypervisor/qemu/memory_files.hpp"
#include "hypervisor/qemu/ready_pool.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

Result<void> Machine::start_ready(ReadyProcess ready, const DomainSpec& spec, const MemoryPlace& place) {
    TRY(adopt(std::move(ready.process), true));
    qmp_ = std::move(ready.qmp);
    directory_ = std::move(ready.directory);
    record_ = DomainRecord{spec, std::nullopt, {}, {}, {}, false};
    settled_ = true;
    TRY(directory_->become(surroundings_.options.run_root, vm_));
    crash_point("qemu.ready-taken");
    TRY(directory_->write_record(record_, false));
    const Result<void> written = directory_->write_pid(run_->process);
    if (!written.has_value()) telemetry::log_warning("VM {}: {}", vm_.text(), written.error().detail);  // the scan finds it all the same
    for (const DiskSpec& disk : spec.disks) TRY(plug_fresh_disk(disk));
    if (!spec.seed_image.empty()) TRY(exchange_seed(spec.seed_image));
    for (const NicSpec& nic : spec.nics) TRY(plug_fresh_nic(nic));
    TRY_ASSIGN(const Fd state, open_state(place));
    TRY_ASSIGN(Qmp* const qmp, monitor());
    TRY(qmp->run("getfd", {{"fdname", "state"}}, state.get()));
    TRY(ask("migrate-incoming", {{"uri", "fd:state"}}));
    return begin_from_memory();
}

Result<void> Machine::plug_fresh_disk(const DiskSpec& disk) {
    std::string below;
    const std::size_t levels = disk.chain_top_first.size();
    for (std::size_t level = 0; level < levels; ++level) {
        TRY(add_fresh_layer(disk.device_id, level, disk.chain_top_first[levels - 1 - level], level + 1 == levels, below));
        below = format_node(disk.device_id, level);
    }
    json::object device = disk_device_options(disk.device_id, disk.volume, below);
    if (disk.device_id == 0) device["bootindex"] = 0;
    TRY(ask("device_add", std::move(device)));
    return {};
}

// The seed disk sits in a slot of the board, into which nothing can be plugged: the process was started with an empty one.
Result<void> Machine::exchange_seed(const std::string& seed_image) {
    TRY_ASSIGN(Fd file, open_seed(seed_image));
    TRY_ASSIGN(const std::string name, hand_over(std::move(file), "seed", true));
    TRY(ask("blockdev-add", file_node_options("seedf", name, true)));
    TRY(ask("blockdev-reopen", {{"options", json::array{format_node_options("seedq", "seedf", DiskFormat::raw, "", true)}}}));
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
