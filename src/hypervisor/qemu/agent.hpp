// One conversation with a guest agent. Everything it sends is a guest's word: bounded, parsed, never trusted.
// The stream is brought into step by guest-sync-delimited first, as an earlier conversation may have left half an answer behind.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/qmp.hpp"

namespace ramet::hypervisor {

class Agent {
public:
    static Result<std::unique_ptr<Agent>> open(Fd socket, Deadline deadline);  // timeout when it does not answer
    // A socket that is in step already; longer answers than `reply_bytes_max` are errors.
    static std::unique_ptr<Agent> adopt(Fd socket, std::size_t reply_bytes_max);
    Fd release() { return std::move(socket_); }  // in step; nothing else may be asked of this object
    int fd() const { return socket_.get(); }

    Result<boost::json::value> run(const std::string& command, boost::json::object arguments, Deadline deadline);
    // Brings the stream into step first. All is sent before anything is read: an agent that hangs now finds the command when it wakes.
    Result<boost::json::value> run_afresh(const std::string& command, Deadline deadline);
    Result<boost::json::value> answer(const std::string& command, Deadline deadline);  // to what was sent last; may be called again after a timeout
    // For commands that answer with silence.
    Result<void> send(const std::string& command, boost::json::object arguments, Deadline deadline);

    Result<std::vector<std::string>> addresses(Deadline deadline);  // IPv4, of all interfaces
    Result<ExecResult> exec(const std::string& program, const std::vector<std::string>& arguments, const std::string& input, Deadline deadline,
                            const std::stop_token& stop = {});
    // The guest's clock becomes the host's and is read back: a guest that is slow to take the command up gets a time that is over.
    Result<void> set_clock(Deadline deadline);
    Result<void> write_file(const std::string& path, const std::string& content, Deadline deadline);
    Result<std::string> read_file(const std::string& path, std::size_t bytes_max, Deadline deadline);

private:
    Agent(Fd socket, std::size_t reply_bytes_max) : socket_(std::move(socket)), reader_(socket_.get(), reply_bytes_max) {}
    Result<void> send_synchronised(const std::string& more, Deadline deadline);
    Result<std::int64_t> open_file(const std::string& path, const char* mode, Deadline deadline);
    void close_file(std::int64_t handle);
    Fd socket_;
    LineReader reader_;
};

std::string base64(const std::string& bytes);
Result<std::string> from_base64(const std::string& text);

}  // namespace ramet::hypervisor
