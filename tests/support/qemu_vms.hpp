// Real QEMU for tests: a server's run directory, a storage directory below a private one, guests of one sector. Ends what it started.
#pragma once

#include <unistd.h>
#include <csignal>
#include <memory>
#include <string>

#include "hypervisor/qemu/process.hpp"
#include "hypervisor/qemu/qemu.hpp"
#include "support/boot_guest.hpp"
#include "support/hypervisor_subject.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {

class QemuVms final : public HypervisorUnderTest {
public:
    QemuVms() {
        if (::access(options().qemu_binary.c_str(), X_OK) != 0) {
            why = "qemu-system-x86 is not installed";
            return;
        }
        // As in a data directory below /root: nobody but us gets through to the disks.
        std::filesystem::create_directories(directory_.file("private/storage"));
        ::chmod(directory_.file("private").c_str(), 0700);
        restart_server();
    }
    ~QemuVms() override {
        if (!hypervisor_) return;
        hypervisor_->on_exit({});
        const auto running = hypervisor_->running_domains();
        for (const VmId& vm : running.has_value() ? *running : std::vector<VmId>()) (void)hypervisor_->stop(vm, hypervisor::StopMode::cold, {});
    }

    hypervisor::Hypervisor& hypervisor() override { return *hypervisor_; }
    hypervisor::DomainSpec idle_vm() override { return vm(GuestMode::idle); }
    hypervisor::DomainSpec vm(GuestMode mode) {
        hypervisor::DomainSpec spec;
        spec.vm = VmId::random();
        spec.memory_bytes = 32 * limits::kMiB;
        spec.disks = {disk(0, boot_guest(mode))};
        spec.nics = {{NicId::random(), 0, "fa:16:3e:00:00:01", "", "10.0.0.7", "255.255.255.0", "10.0.0.1", "guest", "virtio", true, 1}};
        return spec;
    }
    hypervisor::DiskSpec data_disk(std::int64_t device_id) override { return disk(device_id, std::string(1024 * 1024, '\0')); }
    storage::Place overlay_for(const hypervisor::DiskSpec& below) override { return new_overlay(below.chain_top_first.front()); }
    std::string state_path(const std::string& name) override {
        std::filesystem::create_directories(directory_.file("private/state"));
        return directory_.file("private/state/" + std::to_string(++files_) + "-" + name);
    }
    hypervisor::MemoryPlace memory_place() override { return {directory_.file("memory" + std::to_string(++files_))}; }
    void crash(const VmId& vm) override {
        const auto process = process_of(vm);
        ASSERT_TRUE(process.has_value());
        hypervisor::kill_process(*process);
        ASSERT_TRUE(hypervisor::wait_for_end(*process, std::chrono::seconds(5)));
    }
    void restart_server() override {
        hypervisor_.reset();
        auto opened = hypervisor::open_qemu(options());
        if (opened.has_value())
            hypervisor_ = std::move(*opened);
        else
            why = opened.error().message + " " + opened.error().detail;
    }

    std::chrono::milliseconds graceful_stop{5000};  // from the next restart_server() on
    hypervisor::QemuOptions options() const {
        hypervisor::QemuOptions options;
        options.run_root = directory_.file("run");
        options.force_tcg = true;
        options.graceful_stop = graceful_stop;
        options.detach_patience = std::chrono::milliseconds(200);
        return options;
    }
    void close_server() { hypervisor_.reset(); }
    std::string run_file(const VmId& vm, const std::string& name) const { return directory_.file("run/" + vm.text() + "/" + name); }
    std::string path_of(const storage::Place& place) const { return place.root + "/" + place.path; }
    // The guest says so on its serial port.
    bool guest_runs(const VmId& vm) const {
        return eventually([&] { return read_file(run_file(vm, "serial.log")).find('R') != std::string::npos; });
    }
    std::optional<hypervisor::Process> process_of(const VmId& vm) const {
        const std::string text = read_file(run_file(vm, "pid"));
        const std::size_t space = text.find(' ');
        if (space == std::string::npos) return std::nullopt;
        auto process = hypervisor::open_process(std::stoi(text), std::stoull(text.substr(space)));
        return process.has_value() ? std::optional(std::move(*process)) : std::nullopt;
    }
    storage::Place new_overlay(const storage::Place& backing) {
        const storage::Place overlay{root(), "overlay" + std::to_string(++files_) + ".qcow2", DiskFormat::qcow2};
        const CommandResult made = run_command(
            {"qemu-img", "create", "-q", "-f", "qcow2", "-F", std::string(name_of(backing.format)), "-b", path_of(backing), path_of(overlay)});
        if (made.exit_status != 0) ADD_FAILURE() << made.output;
        return overlay;
    }
    // What a guest would read, in the disk whose top is `top`. The VM must be off, or the layers sealed.
    std::string contents(const storage::Place& top) {
        const std::string flat = directory_.file("flat" + std::to_string(++files_));
        const CommandResult made =
            run_command({"qemu-img", "convert", "-U", "-f", std::string(name_of(top.format)), "-O", "raw", path_of(top), flat});
        if (made.exit_status != 0) ADD_FAILURE() << made.output;
        return read_file(flat);
    }
    std::uint32_t counter(const storage::Place& top) { return guest_counter(contents(top).substr(kGuestCounterOffset, 512)); }
    std::string root() const { return directory_.file("private/storage"); }

private:
    hypervisor::DiskSpec disk(std::int64_t device_id, const std::string& image) {
        const storage::Place base{root(), "base" + std::to_string(++files_) + ".raw", DiskFormat::raw};
        write_file(path_of(base), image);
        ::chmod(path_of(base).c_str(), 0600);
        return {VolumeId::random(), device_id, {new_overlay(base), base}};
    }

    TempDir directory_;
    std::unique_ptr<hypervisor::Hypervisor> hypervisor_;
    int files_ = 0;
};

}  // namespace ramet::test
