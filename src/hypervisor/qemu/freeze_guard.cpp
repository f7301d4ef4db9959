#include "hypervisor/qemu/freeze_guard.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <thread>

#include "hypervisor/qemu/qmp.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto kPartOfALine = 5ms;  // what has begun to come is read this long before the server is listened to again
constexpr auto kQemuPatience = 500ms;
constexpr auto kCutPatience = 500ms;  // the agent is nobody else's meanwhile
constexpr auto kEndLook = 20ms;
static_assert(limits::kLifeline > limits::kFrozenMax + limits::kThawPatience && limits::kLifeline < 8s);
constexpr std::int64_t kFileSystemsMax = 100'000;  // more is a lie

Result<std::int64_t> count_of(const Result<json::value>& answer) {
    if (!answer.has_value()) return std::unexpected<Error>(answer.error());
    if (answer->is_int64() && answer->as_int64() >= 0 && answer->as_int64() <= kFileSystemsMax) return answer->as_int64();
    return fail(ErrorCode::operation_failed, "The guest agent's answer makes no sense");
}

}  // namespace

FreezeGuard::FreezeGuard(Fd server, Fd agent, Fd directory, Times times)
    : server_(std::move(server)),
      directory_(std::move(directory)),
      agent_(Agent::adopt(std::move(agent), limits::kFreezeReplyBytesMax)),
      times_(times) {}

void FreezeGuard::run() {
    const Deadline thaw_unasked = after(times_.frozen_max);
    const Result<std::int64_t> frozen = freeze(after(times_.freeze));
    if (frozen.has_value()) {
        say({{"said", "frozen"}, {"count", *frozen}});
        hold(thaw_unasked);
    } else {
        const Error& error = frozen.error();
        say({{"said", "failed"}, {"timeout", error.code == ErrorCode::timeout}, {"why", error.message}, {"detail", error.detail}});
    }
    if (server_died_) resume_if_stopped();
    thaw();
    // The server may still be at its cut, after a freeze that failed or was held too long.
    hold(thaw_unasked);
    if (server_died_) resume_if_stopped();
}

Result<std::int64_t> FreezeGuard::freeze(Deadline deadline) {
    TRY(tie_lifeline(deadline));
    TRY_ASSIGN(const std::int64_t count, count_of(ask("guest-fsfreeze-freeze", {}, deadline)));
    if (count == 0) return fail(ErrorCode::operation_failed, "The guest agent found no file system to freeze");
    return count;
}

Result<json::value> FreezeGuard::ask(const std::string& command, json::object arguments, Deadline deadline) {
    TRY(agent_->send(command, std::move(arguments), deadline));
    while (!ordered_ && !server_died_) {
        listen(deadline, true);
        Result<json::value> answer = agent_->answer(command, after(kPartOfALine));
        const bool incomplete = !answer.has_value() && answer.error().code == ErrorCode::timeout;
        if (!incomplete) return answer;
        if (std::chrono::steady_clock::now() >= deadline) return fail(ErrorCode::timeout, "The guest agent did not freeze the file systems in time");
    }
    return fail(ErrorCode::cancelled, "The freeze was called off");
}

Result<void> FreezeGuard::tie_lifeline(Deadline deadline) {
    // Ended, it takes its sleep with it. SysRq by this file is root's at all times, whatever kernel.sysrq says of the keyboard's.
    const std::string wait_and_thaw =
        "sleep " + std::to_string(times_.lifeline.count()) + " & trap \"kill $!; exit\" TERM; wait; echo j > /proc/sysrq-trigger";
    const Result<json::value> started = ask("guest-exec", {{"path", "/bin/sh"}, {"arg", json::array{"-c", wait_and_thaw}}}, deadline);
    if (!started.has_value()) {
        const bool heard = started.error().code != ErrorCode::timeout && started.error().code != ErrorCode::cancelled;
        return heard ? Result<void>{} : std::unexpected<Error>(started.error());  // it may execute nothing, or has no shell
    }
    const json::value* const pid = started->is_object() ? started->as_object().if_contains("pid") : nullptr;
    if (pid != nullptr && pid->is_int64() && pid->as_int64() > 1) lifeline_ = pid->as_int64();
    return {};
}

// In nobody's way any more. One that is not cut thaws what is not frozen, or, at worst, a freeze that comes soon, which is seen by its thaw.
void FreezeGuard::cut_lifeline() {
    if (lifeline_ == 0) return;
    const Deadline deadline = after(kCutPatience);
    (void)agent_->exec("/bin/sh", {"-c", "kill " + std::to_string(lifeline_)}, "", deadline);
    // The agent keeps what it knows of a process until it is asked for its end.
    while (std::chrono::steady_clock::now() < deadline) {
        const Result<json::value> status = agent_->run("guest-exec-status", {{"pid", lifeline_}}, deadline);
        const json::value* const ended = status.has_value() && status->is_object() ? status->as_object().if_contains("exited") : nullptr;
        if (ended == nullptr || *ended == json::value(true)) return;
        std::this_thread::sleep_for(kEndLook);
    }
}

void FreezeGuard::hold(Deadline deadline) {
    while (!ordered_ && !server_died_ && std::chrono::steady_clock::now() < deadline) listen(deadline, false);
}

void FreezeGuard::thaw() {
    const Deadline give_up = after(times_.thaw_tried_for);
    bool confirmed_late = false;
    while (std::chrono::steady_clock::now() < give_up) {
        const bool ordered = ordered_;
        const Deadline next = after(times_.thaw_patience);
        const Result<std::int64_t> thawed = thaw_once();
        if (thawed.has_value()) {
            say({{"said", "thawed"}, {"count", *thawed}, {"ordered", ordered && !confirmed_late}});
            cut_lifeline();
            return;
        }
        if (agent_gone()) return;
        if (!confirmed_late) say({{"said", "unthawed"}});
        confirmed_late = true;
        press_thaw_keys();
        std::this_thread::sleep_until(next);  // an agent that refuses at once is not asked in a tight loop
    }
}

Result<std::int64_t> FreezeGuard::thaw_once() { return count_of(agent_->run_afresh("guest-fsfreeze-thaw", after(times_.thaw_patience))); }

void FreezeGuard::listen(Deadline deadline, bool to_agent) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    std::array<pollfd, 2> waited{pollfd{server_.get(), POLLIN, 0}, pollfd{to_agent ? agent_->fd() : -1, POLLIN, 0}};
    if (::poll(waited.data(), waited.size(), static_cast<int>(std::max<std::int64_t>(left, 0))) <= 0 || waited[0].revents == 0) return;
    char word = 0;
    const ssize_t count = ::recv(server_.get(), &word, 1, MSG_DONTWAIT);
    if (count == 1 && word == kThawOrder) ordered_ = true;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) server_died_ = true;
}

bool FreezeGuard::agent_gone() const {
    pollfd waited{agent_->fd(), POLLIN, 0};
    return ::poll(&waited, 1, 0) > 0 && (waited.revents & (POLLHUP | POLLERR)) != 0;
}

// A server that does not listen is found out by its end, or does not matter.
void FreezeGuard::say(const json::object& what) { (void)send_all(server_.get(), json::serialize(what) + "\n", -1, after(kQemuPatience)); }

// --- without the agent

Result<void> FreezeGuard::ask_qemu(const char* command, json::object arguments) {
    TRY_ASSIGN(Fd socket, connect_unix(directory_.get(), "guard.sock", after(kQemuPatience)));
    TRY_ASSIGN(const std::unique_ptr<Qmp> qmp, Qmp::open(std::move(socket), after(kQemuPatience)));
    TRY(qmp->run(command, std::move(arguments), -1, kQemuPatience));
    return {};
}

// The guard exists only for a VM that was running, so a stop is the dead server's. One that runs is not harmed by "cont".
void FreezeGuard::resume_if_stopped() { (void)ask_qemu("cont", {}); }

void FreezeGuard::press_thaw_keys() {
    json::array keys;
    for (const char* key : {"alt", "sysrq", "j"}) keys.push_back(json::object{{"type", "qcode"}, {"data", key}});
    (void)ask_qemu("send-key", {{"keys", std::move(keys)}});
}

}  // namespace ramet::hypervisor
