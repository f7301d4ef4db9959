// A hypervisor in memory, for tests of what stands above it. Any call can be made to fail, before or after its effect.
// Thread-safe. VMs are honest: a disk's top is what the last snapshot made it, a stopped VM keeps its record until forget().
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/machine_identity.hpp"
#include "support/fake_domain.hpp"
#include "support/hypervisor_fault.hpp"

namespace ramet::test {

class FakeHypervisor final : public hypervisor::Hypervisor {
public:
    using Domain = FakeDomain;
    using Exec = std::function<hypervisor::ExecResult(const VmId&, const std::string& program, const std::vector<std::string>& arguments,
                                                      const std::string& input)>;

    // --- for tests
    void plant(HypervisorFault fault) {
        const std::lock_guard lock(mutex_);
        faults_.push_back(std::move(fault));
    }
    std::vector<std::string> calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }  // "start <vm uuid>"
    std::optional<Domain> domain(const VmId& vm) const {
        const std::lock_guard lock(mutex_);
        const auto found = domains_.find(vm);
        return found == domains_.end() ? std::nullopt : std::optional(found->second);
    }
    void change(const VmId& vm, const std::function<void(Domain&)>& how) {
        const std::lock_guard lock(mutex_);
        how(domains_[vm]);
    }
    void set_exec(Exec exec) {
        const std::lock_guard lock(mutex_);
        exec_ = std::move(exec);
    }
    void set_agent_everywhere(bool answers) {
        const std::lock_guard lock(mutex_);
        agent_everywhere_ = answers;
    }
    // The VMs and memory images of a machine whose server was killed. Takes no lock of `dead`: who held it is gone.
    void take_over(const FakeHypervisor& dead) {
        const std::lock_guard lock(mutex_);
        domains_ = dead.domains_;
        memories_ = dead.memories_;
        exec_ = dead.exec_;
        agent_everywhere_ = dead.agent_everywhere_;
    }
    std::map<VmId, Domain> domains() const {
        const std::lock_guard lock(mutex_);
        return domains_;
    }
    // The VM's process ends by itself; the listener is told, as the real adapter does.
    void crash(const VmId& vm) {
        std::function<void(const VmId&)> listener;
        {
            const std::lock_guard lock(mutex_);
            domains_[vm].state = hypervisor::DomainState::shut_off;
            listener = listener_;
        }
        if (listener) listener(vm);
    }

    // --- Hypervisor
    const hypervisor::Capabilities& capabilities() const override { return capabilities_; }

    Result<void> start(const hypervisor::DomainSpec& spec) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("start", spec.vm));
        if (spec.vm.empty() || spec.disks.empty() || spec.cpu_num < 1 || spec.memory_bytes <= 0) {
            return fail(ErrorCode::invalid_argument, "a VM needs a uuid, a root disk, a CPU and memory");
        }
        Domain& domain = domains_[spec.vm];
        if (domain.state == hypervisor::DomainState::shut_off) {
            domain.spec = spec;
            domain.state = hypervisor::DomainState::running;
            domain.written = false;
            domain.tpm_crashed = false;
        }
        return leave(due);
    }

    Result<void> stop(const VmId& vm, hypervisor::StopMode, std::stop_token stop) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("stop", vm));
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "stopping the VM was cancelled");
        if (const auto found = domains_.find(vm); found != domains_.end()) found->second.state = hypervisor::DomainState::shut_off;
        return leave(due);
    }

    Result<void> pause(const VmId& vm) override {
        return with("pause", vm, [](Domain& domain) -> Result<void> {
            domain.state = hypervisor::DomainState::paused;
            return {};
        });
    }
    Result<void> resume(const VmId& vm) override {
        return with("resume", vm, [](Domain& domain) -> Result<void> {
            domain.state = hypervisor::DomainState::running;
            return {};
        });
    }
    Result<void> reset(const VmId& vm) override {
        return with("reset", vm, [](Domain&) -> Result<void> { return {}; });
    }

    Result<hypervisor::DomainState> state(const VmId& vm) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("state", vm));
        TRY(leave(due));
        const auto found = domains_.find(vm);
        return found == domains_.end() ? hypervisor::DomainState::shut_off : found->second.state;
    }

    Result<bool> is_stopped_by_io(const VmId& vm) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("is_stopped_by_io", vm));
        TRY(leave(due));
        const auto found = domains_.find(vm);
        return found != domains_.end() && found->second.state == hypervisor::DomainState::paused && found->second.write_failed;
    }

    Result<std::string> generation_id(const VmId& vm) override {
        TRY(with("generation_id", vm, [](Domain&) -> Result<void> { return {}; }));
        return hypervisor::generation_id(vm, domain(vm)->spec.generation);
    }

    Result<std::vector<VmId>> running_domains() override { return alive("running_domains"); }
    Result<std::vector<VmId>> running_tpms() override {
        TRY_ASSIGN(std::vector<VmId> found, alive("running_tpms"));
        const std::lock_guard lock(mutex_);
        std::erase_if(found, [&](const VmId& vm) { return domains_[vm].spec.tpm_state.empty() || domains_[vm].tpm_crashed; });
        return found;
    }
    Result<std::vector<VmId>> reattach() override { return alive("reattach"); }

    Result<bool> disks_untouched(const VmId& vm) override {
        bool untouched = false;
        TRY(with("disks_untouched", vm, [&](Domain& domain) -> Result<void> {
            untouched = !domain.written;
            return {};
        }));
        return untouched;
    }

    Result<hypervisor::CaptureFacts> snapshot_disks(const VmId& vm, const std::vector<hypervisor::OverlaySpec>& overlays, hypervisor::Quiesce quiesce,
                                                    const hypervisor::WhileStopped& while_stopped) override {
        hypervisor::CaptureFacts facts;
        TRY(with("snapshot_disks", vm, [&](Domain& domain) -> Result<void> {
            std::size_t done_before = 0;
            for (const hypervisor::OverlaySpec& overlay : overlays) {
                const hypervisor::DiskSpec* disk = domain.find(overlay.volume);
                if (disk == nullptr) return fail(ErrorCode::wrong_state, "a volume of the snapshot is not attached to the running VM");
                if (same(disk->chain_top_first.front(), overlay.overlay)) ++done_before;
            }
            facts.freeze.reason = "it had been cut before";
            if (done_before == overlays.size()) return {};
            if (done_before != 0) return fail(ErrorCode::wrong_state, "some volumes of the snapshot have been cut already, others not");
            TRY_ASSIGN(facts.freeze, freeze(domain, quiesce));
            if (while_stopped) TRY(while_stopped());
            for (const hypervisor::OverlaySpec& overlay : overlays) {
                auto& chain = domain.find(overlay.volume)->chain_top_first;
                chain.insert(chain.begin(), overlay.overlay);
            }
            domain.written = false;
            if (domain.state == hypervisor::DomainState::running) facts.paused = std::chrono::microseconds(1000);
            return {};
        }));
        return facts;
    }

    Result<void> agent_answers(const VmId& vm) override {
        return with_agent("agent_answers", vm, [](Domain&) -> Result<void> { return {}; });
    }

    Result<hypervisor::MemoryFacts> capture_memory(const VmId& vm, const std::vector<hypervisor::OverlaySpec>& overlays,
                                                   const hypervisor::MemoryPlace& place, std::stop_token stop,
                                                   const hypervisor::WhileStopped& while_stopped) override {
        hypervisor::MemoryFacts facts;
        TRY(with("capture_memory", vm, [&](Domain& domain) -> Result<void> {
            if (overlays.size() != domain.spec.disks.size()) return fail(ErrorCode::invalid_argument, "memory goes with all disks only");
            for (const hypervisor::OverlaySpec& overlay : overlays) {
                const hypervisor::DiskSpec* disk = domain.find(overlay.volume);
                if (disk == nullptr || same(disk->chain_top_first.front(), overlay.overlay)) {
                    return fail(ErrorCode::wrong_state, "a volume of the capture is not attached, or has been cut already");
                }
            }
            if (stop.stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
            if (while_stopped) TRY(while_stopped());
            for (const hypervisor::OverlaySpec& overlay : overlays) {
                auto& chain = domain.find(overlay.volume)->chain_top_first;
                chain.insert(chain.begin(), overlay.overlay);
            }
            domain.written = false;
            if (domain.state == hypervisor::DomainState::running) facts.capture.paused = std::chrono::microseconds(1000);
            facts.live = domain.state == hypervisor::DomainState::running;
            facts.reason = "a fake can";
            facts.memory_bytes = domain.spec.memory_bytes;
            facts.layout = std::to_string(domain.spec.disks.size()) + " disks, " + std::to_string(domain.spec.nics.size()) + " NICs";
            memories_.insert(place.directory);
            return {};
        }));
        return facts;
    }

    Result<void> start_from_memory(const hypervisor::DomainSpec& spec, const hypervisor::MemoryPlace& place, const std::string& layout,
                                   std::size_t) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("start_from_memory", spec.vm));
        if (!memories_.contains(place.directory)) return fail(ErrorCode::operation_failed, "the memory image to start from is not there");
        if (layout != std::to_string(spec.disks.size()) + " disks, " + std::to_string(spec.nics.size()) + " NICs") {
            return fail(ErrorCode::invalid_argument, "a VM that goes on from another's memory needs the same devices");
        }
        Domain& domain = domains_[spec.vm];
        if (domain.state == hypervisor::DomainState::shut_off) {
            domain.spec = spec;
            for (hypervisor::NicSpec& nic : domain.spec.nics) nic.link_up = false;
            domain.state = hypervisor::DomainState::running;
            domain.from_memory = place.directory;
            domain.written = false;
        }
        return leave(due);
    }

    Result<void> memory_fits(const std::string&) override { return {}; }
    void in_background(const VmId& vm, bool wanted) override {
        const std::lock_guard lock(mutex_);
        domains_[vm].background = wanted;
    }
    void keep_ready(const hypervisor::KeptMemory&, std::size_t) override {}
    std::vector<hypervisor::ReadyMachine> promise_ready(const hypervisor::MemoryPlace&, std::size_t) override { return {}; }

    Result<std::optional<std::string>> verify_memory(const hypervisor::MemoryPlace& place, std::stop_token) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("verify_memory", VmId()));
        TRY(leave(due));
        return memories_.contains(place.directory) ? std::nullopt : std::optional<std::string>("it is not there");
    }
    Result<void> remove_memory(const hypervisor::MemoryPlace& place) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("remove_memory", VmId()));
        memories_.erase(place.directory);
        return leave(due);
    }

    Result<void> swap_nic(const VmId& vm, const hypervisor::NicSpec& nic) override {
        return with("swap_nic", vm, [&](Domain& domain) -> Result<void> {
            for (hypervisor::NicSpec& known : domain.spec.nics) {
                if (known.nic != nic.nic) continue;
                if (domain.holds_nics) return fail(ErrorCode::operation_failed, "the guest does not let go of its NIC");
                known.mac = nic.mac;
                known.link_up = nic.link_up;
                return {};
            }
            return fail(ErrorCode::not_found, "the running VM has no such NIC");
        });
    }

    Result<std::vector<hypervisor::DiskTop>> disk_tops(const VmId& vm) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("disk_tops", vm));
        TRY(leave(due));
        std::vector<hypervisor::DiskTop> tops;
        if (const auto found = domains_.find(vm); found != domains_.end()) {
            for (const hypervisor::DiskSpec& disk : found->second.spec.disks)
                tops.push_back({disk.volume, disk.chain_top_first.front(), disk.chain_top_first});
        }
        return tops;
    }

    Result<void> shorten_disk(const VmId& vm, const hypervisor::ShortenSpec& spec, const storage::CopyObserver& observer,
                              std::stop_token stop) override {
        return with("shorten_disk", vm, [&](Domain& domain) -> Result<void> {
            if (stop.stop_requested()) return fail(ErrorCode::cancelled, "merging the layers of a disk was cancelled");
            hypervisor::DiskSpec* disk = domain.find(spec.volume);
            if (disk == nullptr) return fail(ErrorCode::wrong_state, "the volume is not attached to the running VM");
            auto& chain = disk->chain_top_first;
            const auto base =
                spec.base ? std::find_if(chain.begin() + 1, chain.end(), [&](const auto& place) { return same(place, *spec.base); }) : chain.end();
            if (spec.base && base == chain.end()) return fail(ErrorCode::wrong_state, "the disk does not stand on the layer it is to keep");
            chain.erase(chain.begin() + 1, base);
            if (observer) observer({1, 1});
            return {};
        });
    }

    Result<void> attach_disk(const VmId& vm, const hypervisor::DiskSpec& disk) override {
        return with("attach_disk", vm, [&](Domain& domain) -> Result<void> {
            if (domain.find(disk.volume) != nullptr) return {};
            const auto& disks = domain.spec.disks;
            if (std::ranges::any_of(disks, [&](const auto& other) { return other.device_id == disk.device_id; })) {
                return fail(ErrorCode::invalid_argument, "another disk has this device id");
            }
            domain.spec.disks.push_back(disk);
            return {};
        });
    }

    Result<void> detach_disk(const VmId& vm, const VolumeId& volume) override {
        return with("detach_disk", vm, [&](Domain& domain) -> Result<void> {
            if (domain.find(volume) == nullptr) return {};
            if (domain.holds_disks) return fail(ErrorCode::detach_volume_failed, "the guest does not let go of the disk");
            std::erase_if(domain.spec.disks, [&](const auto& disk) { return disk.volume == volume; });
            return {};
        });
    }

    Result<void> set_link(const VmId& vm, const NicId& nic, bool up) override {
        return with("set_link", vm, [&](Domain& domain) -> Result<void> {
            for (hypervisor::NicSpec& known : domain.spec.nics) {
                if (known.nic != nic) continue;
                known.link_up = up;
                return {};
            }
            return fail(ErrorCode::not_found, "the running VM has no such NIC");
        });
    }

    Result<void> agent_ping(const VmId& vm, std::chrono::milliseconds) override {
        return with_agent("agent_ping", vm, [](Domain&) -> Result<void> { return {}; });
    }

    Result<std::vector<std::string>> agent_addresses(const VmId& vm, std::chrono::milliseconds) override {
        std::vector<std::string> found;
        TRY(with_agent("agent_addresses", vm, [&](Domain& domain) -> Result<void> {
            for (const hypervisor::NicSpec& nic : domain.spec.nics) {
                if (!nic.ip.empty() && nic.link_up) found.push_back(nic.ip);
            }
            return {};
        }));
        return found;
    }

    Result<hypervisor::ExecResult> agent_exec(const VmId& vm, const std::string& program, const std::vector<std::string>& arguments,
                                              const std::string& input, std::chrono::milliseconds, const std::stop_token&) override {
        hypervisor::ExecResult result{0, {}, {}};
        Exec exec;
        TRY(with_agent("agent_exec", vm, [&](Domain&) -> Result<void> {
            exec = exec_;
            return {};
        }));
        if (exec) result = exec(vm, program, arguments, input);
        return result;
    }

    Result<void> agent_set_clock(const VmId& vm, std::chrono::milliseconds) override {
        return with_agent("agent_set_clock", vm, [](Domain&) -> Result<void> { return {}; });
    }

    Result<void> agent_write_file(const VmId& vm, const std::string& path, const std::string& content) override {
        return with_agent("agent_write_file", vm, [&](Domain& domain) -> Result<void> {
            domain.files[path] = content;
            return {};
        });
    }

    Result<std::string> agent_read_file(const VmId& vm, const std::string& path, std::size_t bytes_max) override {
        std::string content;
        TRY(with_agent("agent_read_file", vm, [&](Domain& domain) -> Result<void> {
            const auto found = domain.files.find(path);
            if (found == domain.files.end()) return fail(ErrorCode::operation_failed, "the guest agent refused 'guest-file-open'");
            if (found->second.size() > bytes_max) return fail(ErrorCode::operation_failed, "a file in the guest is larger than expected");
            content = found->second;
            return {};
        }));
        return content;
    }

    Result<std::string> console_socket(const VmId& vm) override {
        TRY(with("console_socket", vm, [](Domain&) -> Result<void> { return {}; }));
        return "/fake/run/" + vm.text() + "/vnc.sock";
    }

    void on_exit(std::function<void(const VmId&)> listener) override {
        const std::lock_guard lock(mutex_);
        listener_ = std::move(listener);
    }

    Result<void> forget(const VmId& vm) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("forget", vm));
        const auto found = domains_.find(vm);
        if (found != domains_.end() && found->second.state != hypervisor::DomainState::shut_off)
            return fail(ErrorCode::wrong_state, "the VM is running; stop it first");
        if (found != domains_.end()) domains_.erase(found);
        return leave(due);
    }

private:
    using Due = std::optional<ErrorCode>;  // the fault that a call still owes after its effect

    static bool same(const storage::Place& a, const storage::Place& b) { return a.root == b.root && a.path == b.path; }

    // Frozen and, as nothing can come in between here, thawed.
    Result<hypervisor::FreezeFacts> freeze(Domain& domain, hypervisor::Quiesce quiesce) const {
        using hypervisor::Consistency, hypervisor::Quiesce;
        hypervisor::FreezeFacts facts;
        if (quiesce == Quiesce::never) {
            facts.reason = "no freeze was asked for";
        } else if (domain.state == hypervisor::DomainState::paused) {
            facts.consistency = Consistency::paused;
            facts.reason = "the VM is paused";
        } else if (!domain.agent && !agent_everywhere_) {
            facts.reason = "the guest agent does not answer";
        } else {
            ++domain.freezes;
            ++domain.thaws;
            if (domain.refuses_freeze) {
                facts.reason = "the guest agent refused to freeze";
            } else {
                facts.consistency = Consistency::filesystem;
                facts.file_systems = 1;
                facts.frozen = std::chrono::milliseconds(20);
            }
        }
        if (quiesce == Quiesce::required && facts.consistency != Consistency::filesystem)
            return fail(ErrorCode::operation_failed, "quiesce 'require': the guest's file systems cannot be frozen: " + facts.reason);
        return facts;
    }

    template <class Use>
    Result<void> with(const std::string& operation, const VmId& vm, const Use& use) {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter(operation, vm));
        const auto found = domains_.find(vm);
        if (found == domains_.end() || found->second.state == hypervisor::DomainState::shut_off) {
            return fail(ErrorCode::wrong_state, "the VM is not running; start it first");
        }
        TRY(use(found->second));
        return leave(due);
    }

    template <class Use>
    Result<void> with_agent(const std::string& operation, const VmId& vm, const Use& use) {
        return with(operation, vm, [&](Domain& domain) -> Result<void> {
            if (!domain.agent && !agent_everywhere_) return fail(ErrorCode::timeout, "the guest agent does not answer");
            return use(domain);
        });
    }

    Result<std::vector<VmId>> alive(const std::string& operation) {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter(operation, VmId()));
        TRY(leave(due));
        std::vector<VmId> found;
        for (const auto& [vm, domain] : domains_) {
            if (domain.state != hypervisor::DomainState::shut_off) found.push_back(vm);
        }
        return found;
    }

    Result<Due> enter(const std::string& operation, const VmId& vm) {
        calls_.push_back(vm.empty() ? operation : operation + " " + vm.text());
        Due due;
        for (auto fault = faults_.begin(); fault != faults_.end();) {
            if ((!fault->operation.empty() && fault->operation != operation) || --fault->nth > 0) {
                ++fault;
                continue;
            }
            const HypervisorFault now = *fault;
            fault = faults_.erase(fault);
            if (!now.after_effect) return fail(now.code, "planted fault in " + operation);
            due = now.code;
        }
        return due;
    }

    static Result<void> leave(const Due& due) {
        if (due) return fail(*due, "planted fault after the effect");
        return {};
    }

    mutable std::mutex mutex_;
    hypervisor::Capabilities capabilities_{"tcg", "a fake needs none", "QEMU 0.0.0", "fake-1.0", false, "nobody", {}, {}, true, "a fake can"};
    std::map<VmId, Domain> domains_;
    std::set<std::string> memories_;  // directories of memory images
    std::vector<HypervisorFault> faults_;
    std::vector<std::string> calls_;
    std::function<void(const VmId&)> listener_;
    Exec exec_;
    bool agent_everywhere_ = false;
};

}  // namespace ramet::test
