// When a VM that a job makes counts as made: at once when its start was asked for, or when its guest is seen.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include "lifecycle/parts.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

enum class WaitFor : std::uint8_t { created, running, agent, ip };
inline constexpr std::array<std::string_view, 4> kWaitForNames{"created", "running", "agent", "ip"};

// Step "await-guest": looks at the guest until its agent answers, or until it answers on the address of its default network: its agent's report
// shows the address, or it answers ARP on the bridge. Holds no thread between two looks. `timeout`, naming what was not seen, after `patience`;
// a restart of the server begins the patience anew.
class AwaitGuest final : public workflow::Step {
public:
    AwaitGuest(Parts& parts, VmId vm, WaitFor what, std::chrono::seconds patience)
        : parts_(parts),
          vm_(std::move(vm)),
          what_(what),
          patience_(patience) {}
    std::string_view name() const override { return "await-guest"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext&) override { return {}; }  // it changes nothing
    // The same on the caller's thread, until it is seen or given up.
    Result<void> wait(const std::stop_token& stop);

private:
    struct Look {
        bool seen = false;
        std::string missing;  // what was not seen, for people
    };
    Error given_up(const Look& found) const;
    Result<Look> look();
    Result<Look> look_for_address();
    Parts& parts_;
    VmId vm_;
    WaitFor what_;
    std::chrono::seconds patience_;
    std::optional<std::chrono::steady_clock::time_point> deadline_;  // from the first look on
};

// Step "ask-start": the VM is Stopped and the job's no longer; a start-vm job of its own, for the same account, boots it.
class AskStart final : public workflow::Step {
public:
    AskStart(Parts& parts, VmId vm) : parts_(parts), vm_(std::move(vm)) {}
    std::string_view name() const override { return "ask-start"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;  // cancels the start; the step before removes the VM

private:
    JobId start_job(const workflow::StepContext& step) const { return JobId::derived(step.job().text(), "start/" + vm_.text()); }
    Parts& parts_;
    VmId vm_;
};

// The steps between the making of a VM's disks and its end: Boot, what waits after it, or AskStart.
std::vector<std::unique_ptr<workflow::Step>> start_steps(Parts& parts, const VmId& vm, WaitFor what, std::chrono::seconds patience);

}  // namespace ramet::lifecycle

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<lifecycle::WaitFor>{lifecycle::kWaitForNames};
}  // namespace ramet
