#include "hypervisor/qemu/quiesce.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/json/serialize.hpp>

#include "base/crash_point.hpp"
#include "base/patience.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto kGuardDelay = 500ms;          // what the guard may be late, on a busy machine
constexpr std::size_t kGuardLineMax = 8192;  // its longest line has a reason of 300 characters
constexpr const char* kNoGuard = "the program that guarantees the thaw cannot be started; check that ramet-freeze-guard lies beside rametd";

bool flag_in(const json::object& object, const char* name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_bool() && value->as_bool();
}

std::int64_t count_in(const json::object& object) {
    const json::value* value = object.if_contains("count");
    return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

}  // namespace

Freeze::Freeze(Process guard, Fd socket)
    : guard_(std::move(guard)),
      socket_(std::move(socket)),
      reader_(std::make_unique<LineReader>(socket_.get(), kGuardLineMax)),
      begun_(std::chrono::steady_clock::now()) {}

Result<Freeze> Freeze::begin(const GuardLaunch& launch_as, Fd agent, Deadline deadline) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return fail(ErrorCode::internal, "Too many open files", "socketpair");
    Fd ours(ends[0]), theirs(ends[1]);
    const Fd log(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    Launch order;
    order.program = launch_as.program;
    order.arguments = {std::to_string(launch_as.user ? launch_as.user->uid : ::geteuid()),
                       std::to_string(launch_as.user ? launch_as.user->gid : ::getegid()), std::to_string(std::max<std::int64_t>(left.count(), 0))};
    order.directory = launch_as.directory;
    order.log = log.get();
    order.inherited = {theirs.get(), agent.get()};
    Result<Process> guard = launch(order);
    if (!guard.has_value()) return fail(ErrorCode::operation_failed, kNoGuard, guard.error().detail);
    Freeze freeze(std::move(*guard), std::move(ours));
    // The guard alone holds these from now on, so that each side sees the other's end.
    theirs.reset();
    agent.reset();
    crash_point("quiesce.guarded");
    freeze.await_answer(deadline + kGuardDelay);
    return freeze;
}

Freeze::~Freeze() {
    const Patience tidy = Patience::to_tidy_up();
    if (socket_.valid()) (void)send_all(socket_.get(), {&kThawOrder, 1}, -1, std::chrono::steady_clock::now() + kGuardDelay);
}

void Freeze::await_answer(Deadline deadline) {
    const Result<json::object> heard = hear(deadline);
    if (!heard.has_value()) {
        facts_.reason = heard.error().message;
        return;
    }
    frozen_ = text_in(*heard, "said") == "frozen";
    if (frozen_) {
        facts_.file_systems = count_in(*heard);
        crash_point("quiesce.frozen");
        return;
    }
    timed_out_ = flag_in(*heard, "timeout");
    facts_.reason = text_in(*heard, "why");
    telemetry::log_info("no freeze: {} ({})", facts_.reason, json::serialize(json::value(text_in(*heard, "detail"))));  // a guest's words
}

Result<json::object> Freeze::hear(Deadline deadline) {
    Result<std::string> line = reader_->read_line(deadline);
    if (line.has_value()) {
        Result<json::value> value = parse_bounded(*line);
        if (value.has_value() && value->is_object()) return std::move(value->as_object());
    } else if (line.error().code == ErrorCode::cancelled) {
        return std::unexpected<Error>(std::move(line.error()));  // the guard goes on: it thaws when it is told to, or when nobody is left to tell it
    }
    guard_lost_ = true;
    kill_process(guard_);  // one that hangs holds the agent's socket
    return fail(ErrorCode::internal, "The program that guarantees the thaw was lost", line.has_value() ? *line : line.error().message);
}

FreezeFacts Freeze::thaw() {
    if (!socket_.valid()) return facts_;
    const Patience tidy = Patience::to_tidy_up();
    (void)send_all(socket_.get(), {&kThawOrder, 1}, -1, std::chrono::steady_clock::now() + kGuardDelay);
    if (frozen_ && !guard_lost_) {
        const Result<json::object> heard = hear(std::chrono::steady_clock::now() + limits::kThawPatience + kGuardDelay);
        facts_.frozen = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun_);
        thaw_confirmed_ = heard.has_value() && text_in(*heard, "said") == "thawed";
        if (!heard.has_value()) {
            facts_.reason = heard.error().message;
        } else if (!thaw_confirmed_) {
            facts_.reason = "The guest agent did not confirm the thaw, so it is not known how long its file systems were frozen";
        } else if (!flag_in(*heard, "ordered")) {
            facts_.reason = "The capture took too long: the file systems were thawed before it was done";
        } else if (count_in(*heard) == 0) {
            facts_.reason = "The guest thawed its file systems before the capture was done";
        } else {
            facts_.consistency = Consistency::filesystem;
        }
    }
    socket_.reset();
    return facts_;
}

}  // namespace ramet::hypervisor
