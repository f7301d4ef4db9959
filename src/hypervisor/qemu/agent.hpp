// One conversation with a guest agent. Everything it sends is a guest's word: bounded, parsed, never trusted.
// The stream is brought into step by guest-sync-delimited first, as an earlier conversation may have left half an answer behind.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/qmp.hpp"

namespace ramet::hypervisor {

class Agent {
public:
    static Result<std::unique_ptr<Agent>> open(Fd socket, Deadline deadline);  // timeout when it does not answer

    Result<boost::json::value> run(const std::string& command, boost::json::object arguments, Deadline deadline);
    // For commands that answer with silence.
    Result<void> send(const std::string& command, boost::json::object arguments, Deadline deadline);

    Result<std::vector<std::string>> addresses(Deadline deadline);  // IPv4, of all interfaces
    Result<ExecResult> exec(const std::string& program, const std::vector<std::string>& arguments, const std::string& input, Deadline deadline);
    Result<void> write_file(const std::string& path, const std::string& content, Deadline deadline);
    Result<std::string> read_file(const std::string& path, std::size_t bytes_max, Deadline deadline);

private:
    explicit Agent(Fd socket) : socket_(std::move(socket)), reader_(socket_.get(), limits::kAgentReplyBytesMax) {}
    Result<void> synchronise(Deadline deadline);
    Result<std::int64_t> open_file(const std::string& path, const char* mode, Deadline deadline);
    void close_file(std::int64_t handle);
    Fd socket_;
    LineReader reader_;
};

std::string base64(const std::string& bytes);
Result<std::string> from_base64(const std::string& text);

}  // namespace ramet::hypervisor
