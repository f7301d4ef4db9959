// The hypervisor's port with the seam in every call.
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hypervisor/hypervisor.hpp"
#include "simulation/seam.hpp"
#include "storage/dir/dir_storage.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::sim {

class FaultyHypervisor final : public hypervisor::Hypervisor {
public:
    FaultyHypervisor(Seam& seam, hypervisor::Hypervisor& inner) : seam_(seam), inner_(inner) {}
    const hypervisor::Capabilities& capabilities() const override { return inner_.capabilities(); }
    Result<void> start(const hypervisor::DomainSpec& spec) override {
        return call("start", spec.vm, [&] { return inner_.start(spec); });
    }
    Result<void> stop(const VmId& vm, hypervisor::StopMode mode, std::stop_token stop) override {
        return seam_.call({Port::hypervisor, "stop", vm.text(), true, stop}, [&] { return inner_.stop(vm, mode, stop); });
    }
    Result<void> pause(const VmId& vm) override {
        return call("pause", vm, [&] { return inner_.pause(vm); });
    }
    Result<void> resume(const VmId& vm) override {
        return call("resume", vm, [&] { return inner_.resume(vm); });
    }
    Result<void> reset(const VmId& vm) override {
        return call("reset", vm, [&] { return inner_.reset(vm); });
    }
    Result<hypervisor::DomainState> state(const VmId& vm) override {
        return call("state", vm, [&] { return inner_.state(vm); });
    }
    Result<std::string> generation_id(const VmId& vm) override {
        return call("generation_id", vm, [&] { return inner_.generation_id(vm); });
    }
    Result<bool> is_stopped_by_io(const VmId& vm) override {
        return call("is_stopped_by_io", vm, [&] { return inner_.is_stopped_by_io(vm); });
    }
    Result<std::vector<VmId>> running_domains() override {
        return call("running_domains", {}, [&] { return inner_.running_domains(); });
    }
    Result<std::vector<VmId>> running_tpms() override {
        return call("running_tpms", {}, [&] { return inner_.running_tpms(); });
    }
    Result<bool> disks_untouched(const VmId& vm) override {
        return call("disks_untouched", vm, [&] { return inner_.disks_untouched(vm); });
    }
    Result<hypervisor::CaptureFacts> snapshot_disks(const VmId& vm, const std::vector<hypervisor::OverlaySpec>& overlays, hypervisor::Quiesce quiesce,
                                                    const hypervisor::WhileStopped& while_stopped) override {
        return call("snapshot_disks", vm, [&] { return inner_.snapshot_disks(vm, overlays, quiesce, while_stopped); });
    }
    Result<hypervisor::MemoryFacts> capture_memory(const VmId& vm, const std::vector<hypervisor::OverlaySpec>& overlays,
                                                   const hypervisor::MemoryPlace& place, std::stop_token stop,
                                                   const hypervisor::WhileStopped& while_stopped) override {
        return seam_.call({Port::hypervisor, "capture_memory", vm.text(), false, stop}, [&]() -> Result<hypervisor::MemoryFacts> {
            TRY_ASSIGN(const hypervisor::MemoryFacts facts, inner_.capture_memory(vm, overlays, place, stop, while_stopped));
            std::filesystem::create_directories(place.directory);
            std::ofstream(place.directory + "/ram") << "memory";
            return facts;
        });
    }
    Result<void> memory_fits(const std::string& layout) override {
        return call("memory_fits", {}, [&] { return inner_.memory_fits(layout); });
    }
    void keep_ready(const hypervisor::KeptMemory& memory, std::size_t count) override { inner_.keep_ready(memory, count); }
    std::vector<hypervisor::ReadyMachine> promise_ready(const hypervisor::MemoryPlace& place, std::size_t count) override {
        return inner_.promise_ready(place, count);
    }
    void in_background(const VmId& vm, bool wanted) override { inner_.in_background(vm, wanted); }
    Result<void> start_from_memory(const hypervisor::DomainSpec& spec, const hypervisor::MemoryPlace& place, const std::string& layout,
                                   std::size_t together) override {
        return call("start_from_memory", spec.vm, [&] { return inner_.start_from_memory(spec, place, layout, together); });
    }
    Result<std::optional<std::string>> verify_memory(const hypervisor::MemoryPlace& place, std::stop_token stop) override {
        return call("verify_memory", {}, [&] { return inner_.verify_memory(place, stop); });
    }
    Result<void> remove_memory(const hypervisor::MemoryPlace& place) override {
        return call("remove_memory", {}, [&]() -> Result<void> {
            std::filesystem::remove_all(place.directory);
            return inner_.remove_memory(place);
        });
    }
    Result<void> swap_nic(const VmId& vm, const hypervisor::NicSpec& nic) override {
        return call("swap_nic", vm, [&] { return inner_.swap_nic(vm, nic); });
    }
    Result<std::vector<hypervisor::DiskTop>> disk_tops(const VmId& vm) override {
        return call("disk_tops", vm, [&] { return inner_.disk_tops(vm); });
    }
    Result<void> shorten_disk(const VmId& vm, const hypervisor::ShortenSpec& spec, const storage::CopyObserver& observer,
                              std::stop_token stop) override {
        return seam_.call({Port::hypervisor, "shorten_disk", vm.text(), true, stop}, [&]() -> Result<void> {
            if (observer) observer({1, 1});
            // QEMU goes on when the server is killed: neither that nor another thread comes between the disk and its file.
            const Uninterrupted machine(scheduler());
            TRY(inner_.shorten_disk(vm, spec, {}, stop));
            TRY_ASSIGN(const std::vector<hypervisor::DiskTop> tops, inner_.disk_tops(vm));
            for (const hypervisor::DiskTop& top : tops)
                if (top.volume == spec.volume) TRY(rewrite_header(top.place, spec.base));
            return {};
        });
    }
    Result<void> attach_disk(const VmId& vm, const hypervisor::DiskSpec& disk) override {
        return call("attach_disk", vm, [&] { return inner_.attach_disk(vm, disk); });
    }
    Result<void> detach_disk(const VmId& vm, const VolumeId& volume) override {
        return call("detach_disk", vm, [&] { return inner_.detach_disk(vm, volume); });
    }
    Result<void> set_link(const VmId& vm, const NicId& nic, bool up) override {
        return call("set_link", vm, [&] { return inner_.set_link(vm, nic, up); });
    }
    Result<void> agent_answers(const VmId& vm) override {
        return agent("answers", vm, [&] { return inner_.agent_answers(vm); });
    }
    Result<void> agent_ping(const VmId& vm, std::chrono::milliseconds patience) override {
        return agent("ping", vm, [&] { return inner_.agent_ping(vm, patience); });
    }
    Result<std::vector<std::string>> agent_addresses(const VmId& vm, std::chrono::milliseconds patience) override {
        return agent("addresses", vm, [&] { return inner_.agent_addresses(vm, patience); });
    }
    Result<hypervisor::ExecResult> agent_exec(const VmId& vm, const std::string& program, const std::vector<std::string>& arguments,
                                              const std::string& input, std::chrono::milliseconds patience, const std::stop_token& stop) override {
        return agent("exec", vm, [&] { return inner_.agent_exec(vm, program, arguments, input, patience, stop); });
    }
    Result<void> agent_set_clock(const VmId& vm, std::chrono::milliseconds patience) override {
        return agent("set_clock", vm, [&] { return inner_.agent_set_clock(vm, patience); });
    }
    Result<void> agent_write_file(const VmId& vm, const std::string& path, const std::string& content) override {
        return agent("write_file", vm, [&] { return inner_.agent_write_file(vm, path, content); });
    }
    Result<std::string> agent_read_file(const VmId& vm, const std::string& path, std::size_t bytes_max) override {
        return agent("read_file", vm, [&] { return inner_.agent_read_file(vm, path, bytes_max); });
    }
    Result<std::string> console_socket(const VmId& vm) override {
        return call("console_socket", vm, [&] { return inner_.console_socket(vm); });
    }
    void on_exit(std::function<void(const VmId&)> listener) override { inner_.on_exit(std::move(listener)); }
    Result<std::vector<VmId>> reattach() override {
        return call("reattach", {}, [&] { return inner_.reattach(); });
    }
    Result<void> forget(const VmId& vm) override {
        return call("forget", vm, [&] { return inner_.forget(vm); });
    }

private:
    // QEMU writes into the top's header what the disk stands on now.
    static Result<void> rewrite_header(const storage::Place& top, const std::optional<storage::Place>& base) {
        const storage::UniqueFd file(::open((top.root + "/" + top.path).c_str(), O_RDONLY | O_CLOEXEC));
        if (!file.valid()) return fail(ErrorCode::operation_failed, "the disk's file is not there", top.path);
        TRY_ASSIGN(const storage::Qcow2Header header,
                   storage::read_qcow2_header(file.get(), static_cast<std::int64_t>(std::filesystem::file_size(top.root + "/" + top.path))));
        storage::DirStorages storages;
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, storages.open(top.root));
        const auto size = static_cast<std::int64_t>(header.virtual_bytes);
        TRY(storage->remove(top.path));
        if (base) return storage->create_overlay(top.path, *base, size);
        return storage->create_empty(top.path, size, storage::Provisioning::thin);
    }
    template <class Effect>
    auto call(std::string_view operation, const VmId& vm, const Effect& effect) -> decltype(effect()) {
        return seam_.call({Port::hypervisor, operation, vm.text()}, effect);
    }
    template <class Effect>
    auto agent(std::string_view operation, const VmId& vm, const Effect& effect) -> decltype(effect()) {
        return seam_.call({Port::agent, operation, vm.text()}, effect);
    }
    Seam& seam_;
    hypervisor::Hypervisor& inner_;
};

}  // namespace ramet::sim
