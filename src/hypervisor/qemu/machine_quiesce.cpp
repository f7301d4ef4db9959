// Freezing the guest around a capture, and the cheap question whether it can be frozen.
#include <fcntl.h>

#include "base/crash_point.hpp"
#include "base/patience.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "hypervisor/qemu/quiesce.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

namespace {

constexpr const char* kAdvice = "; check that qemu-guest-agent runs in the guest, or ask for quiesce 'auto'";

std::unexpected<Error> cannot_freeze(const std::string& reason, const std::string& advice) {
    return fail(ErrorCode::operation_failed, "quiesce 'require': the guest's file systems cannot be frozen: " + reason + advice);
}

}  // namespace

Result<std::unique_lock<std::timed_mutex>> Machine::hold_agent(Deadline deadline) {
    Result<std::unique_lock<std::timed_mutex>> lock = lock_patiently(agent_mutex_, deadline);
    if (!lock.has_value() && lock.error().code == ErrorCode::timeout) return fail(ErrorCode::timeout, "The guest agent is busy with another task");
    return lock;
}

// Whether the guest holds the agent's channel open. QEMU knows at once, so a guest without an agent costs no waiting.
Result<bool> Machine::channel_open() {
    TRY_ASSIGN(const json::value reply, ask("query-chardev"));
    if (!reply.is_array()) return fail(ErrorCode::internal, "QEMU's answer makes no sense", "query-chardev");
    for (const json::value& entry : reply.as_array()) {
        if (!entry.is_object()) continue;
        const json::value* label = entry.as_object().if_contains("label");
        const json::value* open = entry.as_object().if_contains("frontend-open");
        if (label != nullptr && *label == json::value("agent")) return open != nullptr && open->is_bool() && open->as_bool();
    }
    return false;
}

// With agent_mutex_ held, without mutex_. A socket that is in step: the agent answers now.
Result<Fd> Machine::reach_agent(Deadline deadline) {
    Fd directory;
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        TRY_ASSIGN(const bool open, channel_open());
        if (!open) return fail(ErrorCode::timeout, "No guest agent runs in the guest");
        directory = Fd(::fcntl(directory_->fd(), F_DUPFD_CLOEXEC, 3));
    }
    TRY_ASSIGN(Fd socket, connect_unix(directory.get(), "agent.sock", deadline));
    Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(socket), deadline);
    if (!agent.has_value()) {
        if (agent.error().code == ErrorCode::cancelled) return std::unexpected<Error>(std::move(agent.error()));
        if (agent.error().code == ErrorCode::timeout) agent_silent_until_ = after(limits::kAgentSilenceKept);
        return fail(ErrorCode::timeout, "The guest agent does not answer", agent.error().message);
    }
    agent_silent_until_ = {};
    return (*agent)->release();
}

Result<void> Machine::agent_answers() {
    const Deadline deadline = after(limits::kAgentProbe);
    TRY_ASSIGN(const auto one_at_a_time, hold_agent(deadline));
    if (std::chrono::steady_clock::now() < agent_silent_until_) return fail(ErrorCode::timeout, "The guest agent did not answer a moment ago");
    TRY(reach_agent(deadline));
    return {};
}

Result<Freeze> Machine::begin_freeze(Quiesce quiesce, Deadline deadline) {
    const bool patient = quiesce == Quiesce::required;
    if (!patient && std::chrono::steady_clock::now() < agent_silent_until_)
        return fail(ErrorCode::timeout, "The guest agent did not answer a moment ago");
    TRY_ASSIGN(Fd agent, reach_agent(patient ? deadline : std::min(deadline, after(limits::kAgentProbe))));
    Fd directory;
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        directory = Fd(::fcntl(directory_->fd(), F_DUPFD_CLOEXEC, 3));
        directory_->note_freeze(true);
    }
    crash_point("quiesce.probed");
    TRY_ASSIGN(Freeze freeze, Freeze::begin({surroundings_.options.guard_binary, surroundings_.user, directory.get()}, std::move(agent), deadline));
    const Result<void> watched = surroundings_.watch.watch(freeze.guard(), [](std::optional<int>) {});
    if (!watched.has_value()) telemetry::log_warning("VM {}: {}", vm_.text(), watched.error().detail);
    if (freeze.timed_out()) agent_silent_until_ = after(limits::kAgentSilenceKept);
    return freeze;
}

// The guard is gone, and whether it thawed is not known.
void Machine::thaw_without_guard() {
    const Patience tidy = Patience::to_tidy_up();
    telemetry::log_warning("VM {}: the freeze guard was lost; its guest is thawed without it", vm_.text());
    const Result<Fd> agent = [&]() -> Result<Fd> {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        return connect_unix(directory_->fd(), "agent.sock", after(limits::kThawPatience));
    }();
    if (!agent.has_value()) return;
    const auto conversation = Agent::adopt(Fd(::fcntl(agent->get(), F_DUPFD_CLOEXEC, 3)), limits::kFreezeReplyBytesMax);
    const Result<json::value> thawed = conversation->run_afresh("guest-fsfreeze-thaw", after(limits::kThawPatience));
    if (thawed.has_value())
        forget_freeze();
    else
        telemetry::log_error("VM {}: not thawed: {}", vm_.text(), thawed.error().message);
}

void Machine::forget_freeze() {
    const std::lock_guard lock(mutex_);
    if (directory_) directory_->note_freeze(false);
}

Result<bool> Machine::take_up() {
    bool frozen = false;
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY_ASSIGN(const bool running, alive());
        if (!running) return false;
        frozen = directory_->freeze_noted();
    }
    const std::lock_guard one_at_a_time(agent_mutex_);
    if (frozen) thaw_without_guard();
    return true;
}

Result<FreezeFacts> Machine::while_frozen(Quiesce quiesce, const std::function<Result<void>()>& capture) {
    if (quiesce == Quiesce::never) {
        TRY(capture());
        return FreezeFacts{.reason = "No freeze was asked for"};
    }
    const Deadline deadline = after(limits::kFreezeBudget);
    std::string status;
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        TRY_ASSIGN(status, run_state());
    }
    if (status != "running") {
        if (quiesce == Quiesce::required) return cannot_freeze("The VM is paused", "; resume it, or ask for quiesce 'auto'");
        TRY(capture());
        return FreezeFacts{.consistency = Consistency::paused, .reason = "The VM is paused: its guest cannot freeze anything"};
    }
    const std::unique_lock one_at_a_time(agent_mutex_, deadline);
    Result<Freeze> freeze = one_at_a_time.owns_lock() ? begin_freeze(quiesce, deadline)
                                                      : Result<Freeze>(fail(ErrorCode::timeout, "The guest agent is busy with another task"));
    if (!freeze.has_value() && freeze.error().code == ErrorCode::cancelled) return std::unexpected<Error>(std::move(freeze.error()));
    const bool frozen = freeze.has_value() && freeze->frozen();
    if (!frozen && quiesce == Quiesce::required) {
        if (freeze.has_value() && freeze->guard_lost()) thaw_without_guard();
        return cannot_freeze(freeze.has_value() ? freeze->facts().reason : freeze.error().message, kAdvice);
    }
    const Result<void> done = capture();
    crash_point("quiesce.captured");
    if (!freeze.has_value()) {
        TRY(done);
        return FreezeFacts{.reason = freeze.error().message};
    }
    FreezeFacts facts = freeze->thaw();
    crash_point("quiesce.thawed");
    if (freeze->thaw_confirmed()) forget_freeze();
    if (freeze->guard_lost()) thaw_without_guard();
    TRY(done);
    if (quiesce == Quiesce::required && facts.consistency != Consistency::filesystem) return cannot_freeze(facts.reason, "; try again");
    return facts;
}

Result<CaptureFacts> Machine::snapshot_disks(const std::vector<OverlaySpec>& overlays, Quiesce quiesce, const WhileStopped& while_stopped) {
    {
        TRY_ASSIGN(const auto lock, hold());
        TRY(require_alive());
        TRY_ASSIGN(const bool done_before, already_cut(overlays));
        // Done by a server that ended before it could say whether the freeze held until the cut.
        if (done_before) return CaptureFacts{.freeze = {.reason = "The server ended during the capture, so it is not known whether a freeze held"}};
    }
    CaptureFacts facts;
    TRY_ASSIGN(facts.freeze, while_frozen(quiesce, [&]() -> Result<void> {
                   TRY_ASSIGN(facts, cut_disks(overlays, while_stopped));
                   return {};
               }));
    return facts;
}

}  // namespace ramet::hypervisor
