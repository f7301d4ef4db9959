// A QMP conversation over a unix socket. No thread of its own: the caller's thread reads, events that come by are kept.
// Every wait obeys the thread's Patience (base/patience.hpp) beside its deadline. Not thread-safe: the owner serialises. After any error of transport the connection is broken() and has to be replaced.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "hypervisor/qemu/fd.hpp"

namespace ramet::hypervisor {

using Deadline = std::chrono::steady_clock::time_point;
inline Deadline after(std::chrono::milliseconds patience) { return std::chrono::steady_clock::now() + patience; }

// Bounded in depth and size; for text that another process sent.
Result<boost::json::value> parse_bounded(std::string_view text);
// The text of that name in an object; empty when there is none.
std::string text_in(const boost::json::object& from, std::string_view name);
std::string text_in(const boost::json::value& from, std::string_view name);  // empty, too, of what is no object

// `name` inside the open directory, whose path may be too long for a socket address. timeout when the other side takes nobody in.
Result<Fd> connect_unix(int directory, const std::string& name, Deadline deadline);

// Lines of bounded length from a socket, each read under a deadline.
class LineReader {
public:
    LineReader(int fd, std::size_t bytes_max) : fd_(fd), bytes_max_(bytes_max) {}
    // Up to `end`, without it. timeout at the deadline; internal when the peer is gone or the line too long.
    Result<std::string> read_line(Deadline deadline, char end = '\n');

private:
    int fd_;
    std::size_t bytes_max_;
    std::string buffer_;
    std::size_t searched_ = 0;
};

Result<void> send_all(int fd, std::string_view bytes, int passed_fd, Deadline deadline);  // passed_fd -1: none

struct QmpEvent {
    std::string name;
    std::chrono::microseconds at{0};  // QEMU's wall clock
    boost::json::object data;
};

class Qmp {
public:
    // Waits for the greeting and negotiates.
    static Result<std::unique_ptr<Qmp>> open(Fd socket, Deadline deadline);
    // Of a process whose monitor has done so before it was forked.
    static std::unique_ptr<Qmp> negotiated(Fd socket) { return std::unique_ptr<Qmp>(new Qmp(std::move(socket))); }

    // The value of "return". An error reply is operation_failed with QEMU's text in `detail` only.
    Result<boost::json::value> run(std::string_view command, boost::json::object arguments = {}, int passed_fd = -1,
                                   std::chrono::milliseconds patience = limits::kQmpTimeout);
    // Sends all of them and then takes their answers: one turn instead of many. Those behind one that is refused are carried out all the same, so
    // they have to fail without it. The first error.
    struct Command {
        std::string_view name;
        boost::json::object arguments;
    };
    Result<void> run_all(std::vector<Command> commands);
    // Returns as soon as such an event tells that the order is carried out, or with its error. Its answer is left to be skipped.
    Result<void> run_until(std::string_view command, std::string_view event);
    std::optional<QmpEvent> take_event(std::string_view name);  // of those read so far; the oldest
    // Reads until such an event comes. timeout when none does; that does not break the connection.
    Result<QmpEvent> wait_event(std::string_view name, Deadline deadline);
    void drop_events() { events_.clear(); }
    bool broken() const { return broken_; }

private:
    explicit Qmp(Fd socket) : socket_(std::move(socket)), reader_(socket_.get(), limits::kQmpReplyBytesMax) {}
    Result<std::uint64_t> send(std::string_view command, boost::json::object arguments, int passed_fd, Deadline deadline);  // its id
    // The answer to `id`, or nothing when the event comes first.
    Result<std::optional<boost::json::value>> answer_to(std::uint64_t id, std::string_view command, std::string_view event, Deadline deadline);
    Result<boost::json::object> read_object(Deadline deadline);
    void keep_event(boost::json::object& message);

    Fd socket_;
    LineReader reader_;
    std::deque<QmpEvent> events_;
    std::uint64_t next_id_ = 1;
    std::optional<std::uint64_t> skipped_;  // the answer that nobody waits for any more
    bool broken_ = false;
};

}  // namespace ramet::hypervisor
