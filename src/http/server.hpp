// The HTTP/1.1 listener: bytes in, requests to a plain function on a bounded pool, answers out. It refuses what is malformed,
// too large or too slow before the handler sees it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "http/exchange.hpp"

namespace ramet::http {

struct ServerOptions {
    std::string address = "127.0.0.1";
    std::uint16_t port = 8080;  // 0: the system picks one, see Server::port()
    std::size_t handler_threads = limits::kRequestThreads;
    std::size_t queue_max = limits::kRequestQueueMax;
    std::size_t connections_max = limits::kConnectionsMax;
    std::size_t header_bytes_max = limits::kHeaderBytesMax;
    std::size_t body_bytes_max = limits::kBodyBytesMax;
    std::chrono::milliseconds read_timeout = limits::kRequestReadTimeout;  // for the head of a request, and again for its body
    std::chrono::milliseconds write_timeout = limits::kRequestReadTimeout;
    std::chrono::milliseconds keep_alive_timeout = limits::kKeepAliveTimeout;
    std::chrono::milliseconds stop_timeout{10'000};  // what stop() gives the requests in flight
};

// `handle` runs on handler threads, several at once; a throw is answered as an internal error.
using RequestHandler = std::function<Reply(const Request&)>;

class Server {
public:
    Server(ServerOptions options, RequestHandler handle);
    ~Server();  // stops
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    Result<void> start();        // bound and listening when it returns
    std::uint16_t port() const;  // after start()
    // No new connections or requests; requests in flight are answered, held ones at once. Blocks; may be called twice.
    void stop();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace ramet::http
