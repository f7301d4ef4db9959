#include "hypervisor/qemu/agent.hpp"

#include <sodium.h>

#include <boost/json/serialize.hpp>

#include "base/patience.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

namespace {

constexpr char kDelimiter = '\xff';                 // never part of UTF-8, so it ends whatever was half said
constexpr std::size_t kFileChunkBytes = 48 * 1024;  // the agent reads requests of at most 64 KiB comfortably
constexpr auto kStatusPause = std::chrono::milliseconds(5);
constexpr auto kStatusPauseMax = std::chrono::milliseconds(100);
constexpr std::chrono::milliseconds kClockTolerance{100};
constexpr int kClockAttempts = 5;

const json::value* member(const json::value& value, const char* name) { return value.is_object() ? value.as_object().if_contains(name) : nullptr; }

std::int64_t number(const json::value& value, const char* name, std::int64_t otherwise) {
    const json::value* found = member(value, name);
    return found != nullptr && found->is_int64() ? found->as_int64() : otherwise;
}

bool flag(const json::value& value, const char* name) {
    const json::value* found = member(value, name);
    return found != nullptr && found->is_bool() && found->as_bool();
}

Result<std::string> bytes(const json::value& value, const char* name) {
    const json::value* found = member(value, name);
    if (found == nullptr || !found->is_string()) return std::string();
    return from_base64(std::string(found->as_string()));
}

std::unexpected<Error> unexpected_reply(const std::string& command) {
    return fail(ErrorCode::operation_failed, "The guest agent's answer to '" + command + "' makes no sense");
}

}  // namespace

std::string base64(const std::string& raw) {
    std::string text(sodium_base64_encoded_len(raw.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(raw.data()), raw.size(), sodium_base64_VARIANT_ORIGINAL);
    text.pop_back();  // the terminating NUL
    return text;
}

Result<std::string> from_base64(const std::string& text) {
    std::string raw(text.size() / 4 * 3 + 3, '\0');
    std::size_t size = 0;
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(raw.data()), raw.size(), text.data(), text.size(), "\r\n", &size, nullptr,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return fail(ErrorCode::operation_failed, "The guest agent sent data that is not base64");
    }
    raw.resize(size);
    return raw;
}

Result<std::unique_ptr<Agent>> Agent::open(Fd socket, Deadline deadline) {
    std::unique_ptr<Agent> agent(new Agent(std::move(socket), limits::kAgentReplyBytesMax));
    TRY(agent->send_synchronised("", deadline));
    return agent;
}

std::unique_ptr<Agent> Agent::adopt(Fd socket, std::size_t reply_bytes_max) {
    return std::unique_ptr<Agent>(new Agent(std::move(socket), reply_bytes_max));
}

// Returns when what comes next is the answer to `more`.
Result<void> Agent::send_synchronised(const std::string& more, Deadline deadline) {
    const auto id = static_cast<std::int64_t>(randombytes_random());
    const json::object request{{"execute", "guest-sync-delimited"}, {"arguments", json::object{{"id", id}}}};
    TRY(send_all(socket_.get(), kDelimiter + json::serialize(request) + "\n" + more, -1, deadline));
    // Answers to earlier questions, and ids of earlier conversations, may come first.
    while (true) {
        Result<std::string> skipped = reader_.read_line(deadline, kDelimiter);
        if (!skipped.has_value()) {
            if (skipped.error().code != ErrorCode::timeout) return std::unexpected<Error>(std::move(skipped.error()));
            return fail(ErrorCode::timeout, "The guest agent does not answer; check that qemu-guest-agent runs in the guest");
        }
        TRY_ASSIGN(const std::string line, reader_.read_line(deadline));
        const Result<json::value> reply = parse_bounded(line);
        if (reply.has_value() && number(*reply, "return", -1) == id) return {};
    }
}

Result<void> Agent::send(const std::string& command, json::object arguments, Deadline deadline) {
    json::object request{{"execute", command}};
    if (!arguments.empty()) request["arguments"] = std::move(arguments);
    return send_all(socket_.get(), json::serialize(request) + "\n", -1, deadline);
}

Result<json::value> Agent::run(const std::string& command, json::object arguments, Deadline deadline) {
    TRY(send(command, std::move(arguments), deadline));
    return answer(command, deadline);
}

Result<json::value> Agent::run_afresh(const std::string& command, Deadline deadline) {
    TRY(send_synchronised(json::serialize(json::object{{"execute", command}}) + "\n", deadline));
    return answer(command, deadline);
}

Result<json::value> Agent::answer(const std::string& command, Deadline deadline) {
    Result<std::string> line = reader_.read_line(deadline);
    if (!line.has_value()) {
        if (line.error().code != ErrorCode::timeout) return std::unexpected<Error>(std::move(line.error()));
        return fail(ErrorCode::timeout, "The guest agent did not answer '" + command + "' in time");
    }
    const Result<json::value> reply = parse_bounded(*line);
    if (!reply.has_value()) return unexpected_reply(command);
    if (const json::value* value = member(*reply, "return")) return *value;
    std::string reason = "no reason given";
    if (const json::value* error = member(*reply, "error")) {
        if (const json::value* text = member(*error, "desc"); text != nullptr && text->is_string())
            reason = std::string(text->as_string()).substr(0, 300);
    }
    return fail(ErrorCode::operation_failed, "The guest agent refused '" + command + "'", reason);
}

Result<std::vector<std::string>> Agent::addresses(Deadline deadline) {
    TRY_ASSIGN(const json::value interfaces, run("guest-network-get-interfaces", {}, deadline));
    if (!interfaces.is_array()) return unexpected_reply("guest-network-get-interfaces");
    std::vector<std::string> found;
    for (const json::value& interface : interfaces.as_array()) {
        const json::value* list = member(interface, "ip-addresses");
        if (list == nullptr || !list->is_array()) continue;
        for (const json::value& entry : list->as_array()) {
            const json::value* type = member(entry, "ip-address-type");
            const json::value* address = member(entry, "ip-address");
            if (type == nullptr || !type->is_string() || type->as_string() != "ipv4" || address == nullptr || !address->is_string()) continue;
            found.emplace_back(std::string(address->as_string()));
        }
    }
    return found;
}

Result<ExecResult> Agent::exec(const std::string& program, const std::vector<std::string>& arguments, const std::string& input, Deadline deadline,
                               const std::stop_token& stop) {
    json::object request{{"path", program}, {"capture-output", true}};
    json::array list;
    for (const std::string& argument : arguments) list.emplace_back(argument);
    if (!list.empty()) request["arg"] = std::move(list);
    if (!input.empty()) request["input-data"] = base64(input);
    TRY_ASSIGN(const json::value started, run("guest-exec", std::move(request), deadline));
    const std::int64_t pid = number(started, "pid", -1);
    if (pid < 0) return unexpected_reply("guest-exec");
    auto pause = kStatusPause;
    while (true) {
        TRY_ASSIGN(const json::value status, run("guest-exec-status", {{"pid", pid}}, deadline));
        if (flag(status, "exited")) {
            ExecResult result;
            result.exit_code = static_cast<int>(number(status, "exitcode", 128 + number(status, "signal", 0)));
            TRY_ASSIGN(result.out, bytes(status, "out-data"));
            TRY_ASSIGN(result.err, bytes(status, "err-data"));
            return result;
        }
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
        if (std::chrono::steady_clock::now() + pause >= deadline) return fail(ErrorCode::timeout, "A command in the guest did not end in time");
        TRY(pause_patiently(pause));
        pause = std::min<std::chrono::milliseconds>(pause * 2, kStatusPauseMax);
    }
}

Result<std::int64_t> Agent::open_file(const std::string& path, const char* mode, Deadline deadline) {
    TRY_ASSIGN(const json::value handle, run("guest-file-open", {{"path", path}, {"mode", mode}}, deadline));
    if (!handle.is_int64()) return unexpected_reply("guest-file-open");
    return handle.as_int64();
}

void Agent::close_file(std::int64_t handle) {
    (void)run("guest-file-close", {{"handle", handle}}, std::chrono::steady_clock::now() + limits::kAgentTimeout);
}

Result<void> Agent::set_clock(Deadline deadline) {
    using std::chrono::nanoseconds;
    const auto now = [] { return std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch()); };
    for (int attempt = 0; attempt < kClockAttempts; ++attempt) {
        const Result<boost::json::value> set = run("guest-set-time", {{"time", now().count()}}, deadline);
        if (!set.has_value() && set.error().code == ErrorCode::timeout) return std::unexpected(set.error());
        const nanoseconds asked = now();
        const Result<boost::json::value> told = run("guest-get-time", {}, deadline);
        const nanoseconds answered = now();
        if (!told.has_value() || !told->is_int64()) return set.has_value() ? Result<void>{} : Result<void>(Error(set.error()));
        const nanoseconds guest{told->get_int64()};
        // The agent sets the hardware clock after the system's: a guest without the program for that complains, and has the right time.
        if (guest >= asked - kClockTolerance && guest <= answered + kClockTolerance) return {};
        if (!set.has_value()) return std::unexpected(set.error());
    }
    return fail(ErrorCode::operation_failed, "the guest's clock is not right after it was set");
}

Result<void> Agent::write_file(const std::string& path, const std::string& content, Deadline deadline) {
    TRY_ASSIGN(const std::int64_t handle, open_file(path, "w", deadline));
    for (std::size_t done = 0; done < content.size();) {
        const Result<json::value> reply =
            run("guest-file-write", {{"handle", handle}, {"buf-b64", base64(content.substr(done, kFileChunkBytes))}}, deadline);
        const std::int64_t count = reply.has_value() ? number(*reply, "count", 0) : 0;
        if (count <= 0 || static_cast<std::size_t>(count) > content.size() - done) {
            close_file(handle);
            if (!reply.has_value()) return std::unexpected<Error>(reply.error());
            return unexpected_reply("guest-file-write");
        }
        done += static_cast<std::size_t>(count);
    }
    TRY(run("guest-file-close", {{"handle", handle}}, deadline));
    return {};
}

Result<std::string> Agent::read_file(const std::string& path, std::size_t bytes_max, Deadline deadline) {
    TRY_ASSIGN(const std::int64_t handle, open_file(path, "r", deadline));
    std::string content;
    while (true) {
        const Result<json::value> reply = run("guest-file-read", {{"handle", handle}, {"count", kFileChunkBytes}}, deadline);
        if (!reply.has_value()) {
            close_file(handle);
            return std::unexpected<Error>(reply.error());
        }
        const Result<std::string> part = bytes(*reply, "buf-b64");
        if (part.has_value()) content += *part;
        if (!part.has_value() || content.size() > bytes_max || flag(*reply, "eof") || part->empty()) {
            close_file(handle);
            if (!part.has_value()) return std::unexpected<Error>(part.error());
            if (content.size() > bytes_max) return fail(ErrorCode::operation_failed, "A file in the guest is larger than expected", path);
            return content;
        }
    }
}

}  // namespace ramet::hypervisor
