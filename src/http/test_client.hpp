// For tests: raw bytes over a real socket, and one parsed answer at a time.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "http/exchange.hpp"

namespace ramet::http {

// Both ends of each connection are the test's own: 500 of them pass the usual limit.
inline void allow_many_descriptors() {
    rlimit descriptors{};
    if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return;
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
}

class TestClient {
public:
    explicit TestClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~TestClient() { ::close(socket_); }
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;
    bool connected() const { return connected_; }

    // False: the server closed first.
    bool send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    // The next answer; status 0 when the connection ended or `patience` is over. A HEAD's answer has no body.
    Response receive(bool head = false, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        Response response;
        response.status = 0;
        response.body.clear();
        std::size_t head_end = 0;
        while ((head_end = buffer_.find("\r\n\r\n")) == std::string::npos)
            if (!read_more(deadline)) return response;
        std::size_t length = 0;
        std::string_view lines = std::string_view(buffer_).substr(0, head_end);
        const int status = std::stoi(std::string(lines.substr(9, 3)));
        for (std::size_t at = lines.find("\r\n"); at != std::string_view::npos; at = lines.find("\r\n", at + 2)) {
            const std::string_view line = lines.substr(at + 2, lines.find("\r\n", at + 2) - at - 2);
            const std::size_t colon = line.find(':');
            response.headers.emplace_back(std::string(line.substr(0, colon)), std::string(line.substr(colon + 2)));
            if (equal_ignoring_case(line.substr(0, colon), "Content-Length")) length = std::stoul(std::string(line.substr(colon + 2)));
            if (equal_ignoring_case(line.substr(0, colon), "Content-Type")) response.content_type = std::string(line.substr(colon + 2));
        }
        if (head || status == 100) length = 0;
        while (buffer_.size() < head_end + 4 + length)
            if (!read_more(deadline)) return response;
        response.status = status;
        response.body = buffer_.substr(head_end + 4, length);
        buffer_.erase(0, head_end + 4 + length);
        return response;
    }

    Response ask(std::string_view bytes) { return send(bytes) ? receive() : Response{0, {}, {}, {}}; }

    // Whether the server closes the connection in time.
    bool closes(std::chrono::milliseconds patience = std::chrono::seconds(10)) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (read_more(deadline)) {}
        return closed_;
    }

    const std::string& buffered() const { return buffer_; }

private:
    bool read_more(std::chrono::steady_clock::time_point deadline) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        pollfd ready{socket_, POLLIN, 0};
        if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
        char chunk[16384];
        const ssize_t got = ::recv(socket_, chunk, sizeof chunk, 0);
        closed_ = got <= 0;
        if (got > 0) buffer_.append(chunk, static_cast<std::size_t>(got));
        return got > 0;
    }
    int socket_;
    bool connected_ = false;
    bool closed_ = false;
    std::string buffer_;
};

inline const std::string* header_of(const Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers)
        if (equal_ignoring_case(key, name)) return &value;
    return nullptr;
}

}  // namespace ramet::http
