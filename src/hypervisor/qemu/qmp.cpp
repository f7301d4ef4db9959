#include "hypervisor/qemu/qmp.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/patience.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

namespace {

constexpr std::size_t kEventsKept = 256;  // a guest can cause events; the oldest go

Result<void> wait_ready(int fd, short what, Deadline deadline) {
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        if (left <= 0) return fail(ErrorCode::timeout, "No answer in time");
        pollfd waited{fd, what, 0};
        const int ready = ::poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(left, kPatienceLook.count())));
        if (ready > 0) return {};
        TRY(still_patient());
        if (ready < 0 && errno != EINTR) return fail(ErrorCode::internal, "The connection failed", std::string("poll: ") + std::strerror(errno));
    }
}

}  // namespace

Result<json::value> parse_bounded(std::string_view text) {
    json::parse_options options;
    options.max_depth = 64;  // QEMU's deepest reply describes a block chain; ours is at most some ten layers
    boost::system::error_code error;
    json::value value = json::parse(text, error, {}, options);
    if (error) return fail(ErrorCode::internal, "An answer is not readable", "JSON: " + error.message());
    return value;
}

std::string text_in(const json::object& from, std::string_view name) {
    const json::value* found = from.if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

std::string text_in(const json::value& from, std::string_view name) { return from.is_object() ? text_in(from.as_object(), name) : std::string(); }

Result<Fd> connect_unix(int directory, const std::string& name, Deadline deadline) {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return fail(ErrorCode::internal, "Too many open files", std::string("socket: ") + std::strerror(errno));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
    if (path.size() >= sizeof address.sun_path) return fail(ErrorCode::internal, "A socket's name is too long", path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    // A process that hangs accepts nobody, and its queue is short: a blocking connect would wait for ever.
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            return fail(ErrorCode::internal, "The VM's process cannot be reached", name + ": connect: " + std::strerror(errno));
        }
        if (std::chrono::steady_clock::now() >= deadline) return fail(ErrorCode::timeout, "The VM's process does not answer", name + ": connect");
        TRY(pause_patiently(std::chrono::milliseconds(10)));
    }
    return socket;
}

Result<std::string> LineReader::read_line(Deadline deadline, char end) {
    while (true) {
        if (const std::size_t place = buffer_.find(end, searched_); place != std::string::npos) {
            std::string line = buffer_.substr(0, place);
            buffer_.erase(0, place + 1);
            searched_ = 0;
            return line;
        }
        searched_ = buffer_.size();
        if (buffer_.size() > bytes_max_)
            return fail(ErrorCode::internal, "An answer is too long", std::to_string(buffer_.size()) + " bytes without an end");
        TRY(wait_ready(fd_, POLLIN, deadline));
        std::array<char, 16 * 1024> part;
        const ssize_t count = ::recv(fd_, part.data(), part.size(), MSG_DONTWAIT);
        if (count > 0) {
            buffer_.append(part.data(), static_cast<std::size_t>(count));
        } else if (count == 0) {
            return fail(ErrorCode::internal, "The connection was closed by the other side");
        } else if (errno != EAGAIN && errno != EINTR) {
            return fail(ErrorCode::internal, "The connection failed", std::string("recv: ") + std::strerror(errno));
        }
    }
}

Result<void> send_all(int fd, std::string_view bytes, int passed_fd, Deadline deadline) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    while (!bytes.empty()) {
        iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (passed_fd >= 0) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(header), &passed_fd, sizeof passed_fd);
        }
        const ssize_t count = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
            passed_fd = -1;  // it went with the first byte
        } else if (count < 0 && errno == EAGAIN) {
            TRY(wait_ready(fd, POLLOUT, deadline));
        } else if (count < 0 && errno != EINTR) {
            return fail(ErrorCode::internal, "The connection failed", std::string("sendmsg: ") + std::strerror(errno));
        }
    }
    return {};
}

Result<std::unique_ptr<Qmp>> Qmp::open(Fd socket, Deadline deadline) {
    std::unique_ptr<Qmp> qmp(new Qmp(std::move(socket)));
    TRY_ASSIGN(const json::object greeting, qmp->read_object(deadline));
    if (!greeting.contains("QMP")) return fail(ErrorCode::internal, "The VM's process speaks no QMP");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    TRY(qmp->run("qmp_capabilities", {}, -1, left));
    return qmp;
}

Result<json::object> Qmp::read_object(Deadline deadline) {
    Result<std::string> line = reader_.read_line(deadline);
    if (!line.has_value()) {
        if (line.error().code != ErrorCode::timeout && line.error().code != ErrorCode::cancelled) broken_ = true;
        return std::unexpected<Error>(std::move(line.error()));
    }
    Result<json::value> value = parse_bounded(*line);
    if (!value.has_value() || !value->is_object()) {
        broken_ = true;
        return fail(ErrorCode::internal, "QEMU sent something unreadable", line->substr(0, 200));
    }
    return std::move(value->as_object());
}

void Qmp::keep_event(json::object& message) {
    QmpEvent event;
    if (const json::value* name = message.if_contains("event"); name != nullptr && name->is_string()) event.name = std::string(name->as_string());
    if (const json::value* stamp = message.if_contains("timestamp"); stamp != nullptr && stamp->is_object()) {
        const json::object& time = stamp->as_object();
        const json::value* seconds = time.if_contains("seconds");
        const json::value* micros = time.if_contains("microseconds");
        if (seconds != nullptr && micros != nullptr && seconds->is_int64() && micros->is_int64()) {
            event.at = std::chrono::seconds(seconds->as_int64()) + std::chrono::microseconds(micros->as_int64());
        }
    }
    if (json::value* data = message.if_contains("data"); data != nullptr && data->is_object()) event.data = std::move(data->as_object());
    events_.push_back(std::move(event));
    if (events_.size() > kEventsKept) events_.pop_front();
}

Result<json::value> Qmp::run(std::string_view command, json::object arguments, int passed_fd, std::chrono::milliseconds patience) {
    const Deadline deadline = std::chrono::steady_clock::now() + patience;
    TRY_ASSIGN(const std::uint64_t id, send(command, std::move(arguments), passed_fd, deadline));
    TRY_ASSIGN(std::optional<json::value> answer, answer_to(id, command, {}, deadline));
    return std::move(*answer);
}

Result<void> Qmp::run_all(std::vector<Command> commands) {
    const Deadline deadline = after(limits::kQmpTimeout);
    std::vector<std::uint64_t> ids;
    for (Command& command : commands) {
        const Result<std::uint64_t> id = send(command.name, std::move(command.arguments), -1, deadline);
        if (!id.has_value()) {
            broken_ = broken_ || !ids.empty();  // answers are still to come
            return std::unexpected<Error>(id.error());
        }
        ids.push_back(*id);
    }
    Result<void> first;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto answer = answer_to(ids[i], commands[i].name, {}, deadline);
        if (!answer.has_value() && first.has_value()) first = std::unexpected<Error>(answer.error());
        if (broken_) break;
    }
    return first;
}

Result<void> Qmp::run_until(std::string_view command, std::string_view event) {
    const Deadline deadline = after(limits::kQmpTimeout);
    TRY_ASSIGN(const std::uint64_t id, send(command, {}, -1, deadline));
    TRY_ASSIGN(const std::optional<json::value> answer, answer_to(id, command, event, deadline));
    if (!answer) skipped_ = id;
    return {};
}

Result<std::uint64_t> Qmp::send(std::string_view command, json::object arguments, int passed_fd, Deadline deadline) {
    if (broken_) return fail(ErrorCode::internal, "The connection to the VM's process is broken");
    TRY(still_patient());
    const std::uint64_t id = next_id_++;
    json::object request{{"execute", command}, {"id", id}};
    if (!arguments.empty()) request["arguments"] = std::move(arguments);
    if (Result<void> sent = send_all(socket_.get(), json::serialize(request) + "\n", passed_fd, deadline); !sent.has_value()) {
        broken_ = true;
        return failed(std::string(command), std::move(sent.error()));
    }
    return id;
}

Result<std::optional<json::value>> Qmp::answer_to(std::uint64_t id, std::string_view command, std::string_view event, Deadline deadline) {
    while (true) {
        Result<json::object> message = read_object(deadline);
        if (!message.has_value()) {
            broken_ = true;  // its answer may still come: it would be taken for another's
            return failed(std::string(command), std::move(message.error()));
        }
        if (const json::value* name = message->if_contains("event")) {
            const bool is_it = !event.empty() && *name == json::value(event);
            keep_event(*message);
            if (is_it) return std::optional<json::value>();
            continue;
        }
        const json::value* echoed = message->if_contains("id");
        if (echoed != nullptr && skipped_ && *echoed == json::value(*skipped_)) {
            skipped_.reset();
            continue;
        }
        if (echoed == nullptr || !(*echoed == json::value(id))) {
            broken_ = true;
            return fail(ErrorCode::internal, "QEMU answered another question", std::string(command));
        }
        if (json::value* value = message->if_contains("return")) return std::optional(std::move(*value));
        std::string reason = "no reason given";
        if (const json::value* error = message->if_contains("error"); error != nullptr && error->is_object()) {
            if (const json::value* text = error->as_object().if_contains("desc"); text != nullptr && text->is_string()) reason = text->as_string();
        }
        return fail(ErrorCode::operation_failed, "QEMU refused '" + std::string(command) + "'", std::string(command) + ": " + reason);
    }
}

std::optional<QmpEvent> Qmp::take_event(std::string_view name) {
    for (auto event = events_.begin(); event != events_.end(); ++event) {
        if (event->name == name) {
            QmpEvent taken = std::move(*event);
            events_.erase(event);
            return taken;
        }
    }
    return std::nullopt;
}

Result<QmpEvent> Qmp::wait_event(std::string_view name, Deadline deadline) {
    while (true) {
        if (std::optional<QmpEvent> event = take_event(name)) return std::move(*event);
        TRY_ASSIGN(json::object message, read_object(deadline));
        if (message.contains("event")) keep_event(message);
    }
}

}  // namespace ramet::hypervisor
